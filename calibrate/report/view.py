"""A calibration as a page: every number chosen and formatted, nothing left to compute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from calibrate.certificate import cost_of, policy_entry
from calibrate.decide import Calibration
from calibrate.gate import Reason
from calibrate.policy import WorkflowPolicy
from calibrate.project import Project
from calibrate.report.badges import STATUS_BADGES, Badge
from calibrate.report.breakdown import TagTable, measured, tag_tables
from calibrate.report.cases import CasePage, PromptView, case_pages, prompt_of
from calibrate.report.chart import Chart
from calibrate.report.confusion import MOST_LABELS, Confusion, confusions_of
from calibrate.report.costs import CostTable, cost_table
from calibrate.report.escalation import Escalation, escalation_of
from calibrate.report.evidence import (
    CandidateRow,
    OriginNote,
    Outsider,
    candidate_rows,
    origin_notes,
    served_models,
)
from calibrate.report.excerpt import unbroken
from calibrate.report.fallbacks import FallbackRow, fallback_rows
from calibrate.report.fields import FieldTable, field_table
from calibrate.report.figure import Figure
from calibrate.report.frontier import Frontier, frontier_of
from calibrate.report.index import page_file
from calibrate.report.latency import LatencyRow, latency_chart, latency_rows
from calibrate.report.paths import VerdictPath, paths_of
from calibrate.report.route_cost import RoutePart, route_parts
from calibrate.report.sensitivity import what_would_change
from calibrate.trial import Trial, passes
from calibrate.words import (
    LEAST_CALLS,
    headline,
    money,
    p95,
    percent,
    saving_sentence,
    seconds,
    share_saved,
    why,
)

__all__ = ["Page", "build_page"]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that a workflow's page shows, as text."""

    name: str
    file: str
    badge: Badge
    headline: str
    saving: str
    figures: tuple[Figure, ...]
    doubts: tuple[str, ...]
    origins: tuple[OriginNote, ...]
    description: tuple[str, ...]  # paragraphs
    frontier: Frontier
    alpha: str  # of each bound
    least_calls: str  # that a p95 is shown of
    candidates: tuple[CandidateRow, ...]
    unused: str  # whose answers no verdict used; empty where all were used
    outsiders: tuple[Outsider, ...]
    paths: tuple[VerdictPath, ...]
    escalation: Escalation | None
    fallbacks: tuple[FallbackRow, ...]
    changes: tuple[str, ...]  # what would change the decision
    bar: tuple[str, ...]
    promise: str
    costs: CostTable | None
    route_parts: tuple[RoutePart, ...]  # none for a route to one model
    latency_target: str  # empty where there is none
    latency: tuple[LatencyRow, ...]
    latency_chart: Chart | None
    tags: tuple[TagTable, ...]
    confusions: tuple[Confusion, ...]
    confusion_note: str
    fields: FieldTable | None
    cases: tuple[CasePage, ...]  # this page's first, then those of pages of their own
    prompt: PromptView | None
    provenance: tuple[tuple[str, str], ...]
    served: tuple[tuple[str, str], ...]  # by model
    command: str


def build_page(calibration: Calibration, project: Project) -> Page:
    """Return the page of a calibration; the same evidence gives the same page."""
    task, entry = calibration.task, policy_entry(calibration, project)
    target = task.workflow.bar.latency_p95_s
    return Page(
        name=task.name,
        file=page_file(task.name),
        badge=STATUS_BADGES[entry.status],
        headline=unbroken(headline(calibration)),
        saving=unbroken(saving_sentence(calibration)),
        figures=tuple(_figures(calibration, entry)),
        doubts=tuple(_doubts(calibration)),
        origins=origin_notes(calibration),
        description=_paragraphs(task.workflow.description),
        frontier=frontier_of(calibration),
        alpha=f"{calibration.verdicts[0].alpha:.3g}",
        least_calls=str(LEAST_CALLS),
        candidates=candidate_rows(calibration),
        unused=_unused(calibration),
        outsiders=tuple(Outsider(o.alias, o.tier, o.why) for o in task.field.inapplicable),
        bar=tuple(map(unbroken, _bar(calibration))),
        promise=unbroken(_promise(calibration)),
        paths=paths_of(calibration),
        escalation=escalation_of(calibration),
        fallbacks=fallback_rows(entry.evidence.when_down, task),
        changes=tuple(map(unbroken, what_would_change(calibration))),
        costs=cost_table(calibration),
        route_parts=route_parts(calibration),
        latency_target="" if target is None else seconds(target),
        latency=latency_rows(calibration),
        latency_chart=latency_chart(calibration),
        tags=tag_tables(calibration),
        confusions=confusions_of(calibration),
        confusion_note=_confusion_note(calibration),
        fields=field_table(calibration),
        cases=case_pages(calibration),
        prompt=prompt_of(calibration),
        provenance=tuple(_provenance(entry)),
        served=served_models(calibration),
        command=_command(calibration),
    )


def _figures(calibration: Calibration, entry: WorkflowPolicy) -> Iterator[Figure]:
    evidence, verdict = entry.evidence, calibration.decision.verdict
    escalation = calibration.decision.escalation
    rate, calls, latency_s = verdict.estimate, verdict.cases_used, verdict.latency_p95_s
    note = "not measured"
    if escalation is not None:
        rate, calls, latency_s = escalation.estimate, escalation.cases, escalation.latency_p95_s
        note = (
            f"lower bound {percent(escalation.lower_bound)}, bar {percent(evidence.floor)}; "
            f"of the cascade, on {calls:,} cases"
        )
    elif verdict.lower_bound is not None:
        note = (
            f"lower bound {percent(verdict.lower_bound)}, bar {percent(evidence.floor)}; "
            f"{verdict.cases_used:,} of {verdict.cases:,} cases used"
        )
    elif verdict.cases_used:
        note = f"{why(verdict, calibration)}; critical cases give no rate"
    yield Figure("Pass rate", percent(rate), unbroken(note))
    cost = money(evidence.cost_usd_per_1k_requests)
    yield Figure("Cost per 1,000 requests", cost, evidence.cost_basis)
    baseline = money(evidence.baseline_cost_usd_per_1k_requests)
    if calibration.decision.chosen is calibration.task.field.baseline:
        yield Figure("Saving", "–", "this is the baseline")
    elif evidence.saving is not None:
        basis = f"against {baseline}, {evidence.baseline_cost_basis}"
        if evidence.saving < 0:
            yield Figure("Dearer by", percent(-evidence.saving, 0), basis)
        else:
            label = "Saving" if entry.status == "certified" else "Saving, not certified"
            yield Figure(label, share_saved(evidence.saving), basis)
    target = calibration.task.workflow.bar.latency_p95_s
    note = "no target" if target is None else f"target {seconds(target)}"
    if 0 < calls < LEAST_CALLS:
        note += f"; of fewer than {LEAST_CALLS} calls none is shown"
    latency = p95(latency_s, calls)
    yield Figure("Latency, p95", latency, unbroken(note))


def _doubts(calibration: Calibration) -> Iterator[str]:
    """Yield what a reader should know before trusting the figures."""
    task, verdicts = calibration.task, calibration.verdicts
    chosen, field = calibration.decision.chosen, task.field
    if chosen.model.origin is not None and not chosen.model.origin.verified:
        yield f"The origin of the weights of {chosen.alias} is not verified: see below."
    for verdict in verdicts:
        if verdict.reason is Reason.OUTAGE:
            yield f"{verdict.model}: too many calls failed to judge it; mend the endpoint."
    cases = max(verdict.cases for verdict in verdicts)
    if cases < len(task.cases):
        yield f"The run was limited to the first {cases:,} of {len(task.cases):,} cases."
    baseline = next(v for v in verdicts if v.model == field.baseline.alias)
    basis = cost_of(field.baseline, baseline).basis
    if chosen is not field.baseline and basis == "estimated":
        has_answers = bool(calibration.trials.get(field.baseline.alias))
        yield "The saving is against an estimate: " + (
            "no verdict needed the baseline's answers."
            if has_answers
            else "the baseline was not asked."
        )
    for verdict, trials in measured(calibration):
        answers = [trial for trial in trials if isinstance(trial, Trial)]
        served = {trial.served_model for trial in answers}
        if len(served) > 1:
            yield f"{verdict.model}: its endpoint served {len(served)} different models."
        if any(trial.usage.is_estimated for trial in answers):
            yield f"{verdict.model}: its endpoint did not count tokens; the cost is estimated."


def _bar(calibration: Calibration) -> Iterator[str]:
    bar = calibration.task.workflow.bar
    less = (
        f": {percent(bar.least)} less a tolerance of {percent(bar.tolerance)}"
        if bar.tolerance
        else ""
    )
    if bar.measure == "mean_score":
        yield f"The mean score is at least {percent(bar.floor)}{less}."
    else:
        yield f"At least {percent(bar.floor)} of cases pass{less}."
    if bar.of_baseline is not None:
        yield (
            f"It keeps at least {percent(bar.of_baseline)} of the baseline's quality on the same "
            "cases."
        )
    if calibration.task.workflow.repeats > 1:
        yield f"Each case is asked {calibration.task.workflow.repeats} times; the mean counts."
    if bar.critical is not None:
        critical = sum(case.critical for case in calibration.task.cases)
        yield f"Every critical case passes; there are {critical:,}."
    for tag, floor in bar.slices.items():
        yield f"For each value of {tag}, at least {percent(floor)} of its cases pass."
    if bar.latency_p95_s is not None:
        yield f"The 95th percentile of latency is at most {seconds(bar.latency_p95_s)}."
    yield f"Certified means shown with {percent(bar.confidence, 0)} confidence."


def _promise(calibration: Calibration) -> str:
    bar, k = calibration.task.workflow.bar, len(calibration.verdicts)
    over = f"over all {k} candidates together" if k > 1 else "with its one candidate"
    order = "Cases are asked in an order fixed by the seed"
    if bar.critical is not None:
        order += ", critical ones first"
    certified = " To be certified, a model must cross its line in every slice, too."
    return (
        f"{order}; the verdict falls at the first crossing of lines fixed beforehand."
        f"{certified if bar.slices else ''} "
        f"A route whose true {bar.measure.replace('_', ' ')} is at or below {percent(bar.floor)} "
        f"is certified with probability at most {_short_percent(bar.alpha)} {over}, however many "
        "answers were looked at and however many attempts were made, assuming that the cases "
        f"{_sample(calibration)}. Nothing is "
        "promised of traffic that is unlike the cases, nor of a model that changes behind its "
        "name. A model that is undecided is not shown to be worse: the evidence did not suffice. "
        "The lines decide and not the bounds, which describe the cases used, each one-sided at "
        "the model's own α, and are not adjusted for stopping."
    )


def _sample(calibration: Calibration) -> str:
    if any(case.group is not None for case in calibration.task.cases):
        return "come in groups that are an independent sample of the traffic"
    return "are an independent sample of the traffic"


def _unused(calibration: Calibration) -> str:
    """Return on how many cases what is not of the verdicts rests, where that is more than these."""
    repeats = calibration.task.workflow.repeats
    found = [
        f"{verdict.model} {len(trials):,}, of which {sum(map(passes, trials)):,} pass "
        f"(verdict: {verdict.cases_used * repeats:,})"
        for verdict, trials in measured(calibration)
        if len(trials) > verdict.cases_used * repeats
    ]
    if not found:
        return ""
    return (
        "More answers were asked for than the verdicts used. All that is said below of latency, "
        "tags, labels, single cases and served models rests on every answer: "
        f"{'; '.join(found)}."
    )


def _confusion_note(calibration: Calibration) -> str:
    labels = calibration.task.workflow.labels or []
    if len(labels) <= MOST_LABELS:
        return ""
    return f"{len(labels):,} labels are too many for a table; the cases below show each answer."


def _provenance(entry: WorkflowPolicy) -> Iterator[tuple[str, str]]:
    yield "Signature", entry.evidence.signature
    inputs = entry.inputs
    yield "Prompt", inputs.prompt
    yield "Cases", inputs.dataset
    yield "Graders", inputs.graders
    yield "Models", inputs.models
    yield "Prices", inputs.prices
    yield "Bar and seed", inputs.bar
    yield "Procedure", inputs.procedure


def _command(calibration: Calibration) -> str:
    """Return the command that gives this page again from the same answers."""
    cases = max(verdict.cases for verdict in calibration.verdicts)
    command = f"calibrate run {calibration.task.name}"
    if cases < len(calibration.task.cases):
        return f"{command} --cases {cases}"
    repeats = calibration.task.workflow.repeats
    asked = {verdict.model: len(t) // repeats for verdict, t in measured(calibration)}
    has_all = all(asked.get(verdict.model) == cases for verdict in calibration.verdicts)
    if has_all and any(verdict.cases_used < cases for verdict in calibration.verdicts):
        return f"{command} --cases all"
    return command


def _paragraphs(text: str) -> tuple[str, ...]:
    found = (" ".join(part.split()) for part in text.replace("\r\n", "\n").split("\n\n"))
    return tuple(part for part in found if part)


def _short_percent(share: float) -> str:
    return f"{100 * share:.3g} %"
