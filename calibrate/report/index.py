"""The routing policy as one table: every workflow, its route, and what that costs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from calibrate.policy import Evidence, Policy, WorkflowPolicy
from calibrate.project import Project
from calibrate.report.badges import STATUS_BADGES, Badge
from calibrate.report.changes import Change, changes_between
from calibrate.report.figure import Figure
from calibrate.words import LEAST_CALLS, money, p95, percent, share_saved

__all__ = [
    "INDEX_FILE",
    "Index",
    "IndexRow",
    "Totals",
    "build_index",
    "case_file",
    "page_file",
    "totals_of",
]

INDEX_FILE = "index.html"
DAYS_A_MONTH = 30


@dataclass(frozen=True, slots=True)
class Totals:
    """What all routes with a stated traffic cost in US dollars, beside their baselines alone."""

    usd_per_day: float
    baseline_usd_per_day: float
    usd_per_month: float
    baseline_usd_per_month: float
    saved_usd_per_month: float  # negative where the routes are dearer
    saving: float | None  # None where the baselines cost nothing
    workflows: int
    not_certified: int


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One workflow of the policy."""

    name: str
    link: str  # empty where there is no page
    badge: Badge
    model: str
    tier: str
    escalation: str  # empty where all requests stay
    estimate: str
    bound: str
    used: str
    bar: str
    cost: str
    cost_basis: str
    saving: str
    saving_basis: str
    month: str
    month_baseline: str
    latency: str
    note: str


@dataclass(frozen=True, slots=True)
class Index:
    """Everything that the index shows, as text."""

    summary: str
    totals: tuple[Figure, ...]  # none where no workflow states its traffic
    traffic: str  # whose, and what to know of it
    least_calls: str  # that a p95 is shown of
    rows: tuple[IndexRow, ...]
    without_route: tuple[str, ...]
    changes: tuple[Change, ...] | None  # None where there is no earlier policy


def page_file(workflow: str) -> str:
    """Return the name of a workflow's page; a workflow may be called `index`, too."""
    return "_index.html" if workflow.casefold() == "index" else f"{workflow}.html"


def case_file(workflow: str, number: int) -> str:
    """Return the name of a further page of cases; no workflow's name begins with `_`."""
    return f"_{workflow}.cases-{number}.html"


def build_index(
    policy: Policy,
    project: Project,
    linked: Collection[str],
    previous: Policy | None = None,
) -> Index:
    """Return the index of a policy; `linked` names the workflows that have a page."""
    rows = tuple(
        _row(name, entry, project, page_file(name) if name in linked else "")
        for name, entry in policy.workflows.items()
    )
    certified = sum(entry.status == "certified" for entry in policy.workflows.values())
    return Index(
        summary=f"{certified} of {_count(len(rows), 'route')} certified.",
        totals=tuple(_totals(policy, project)),
        traffic=_traffic(policy, project),
        least_calls=str(LEAST_CALLS),
        rows=rows,
        without_route=tuple(name for name in project.workflows if name not in policy.workflows),
        changes=None if previous is None else changes_between(previous, policy),
    )


def _row(name: str, entry: WorkflowPolicy, project: Project, link: str) -> IndexRow:
    evidence = entry.evidence
    requests = _requests(name, project)
    return IndexRow(
        name=name,
        link=link,
        badge=STATUS_BADGES[entry.status],
        model=entry.model,
        tier=entry.tier,
        escalation=_escalation(entry),
        estimate=percent(evidence.estimate),
        bound=_bound(evidence),
        used=f"{evidence.cases_used:,} of {evidence.cases:,} cases used",
        bar=percent(evidence.floor),
        cost=money(evidence.cost_usd_per_1k_requests),
        cost_basis=evidence.cost_basis,
        saving=_saving(entry),
        saving_basis=_saving_basis(entry),
        month="–" if requests is None else _monthly(evidence.cost_usd_per_1k_requests, requests),
        month_baseline=(
            ""
            if requests is None or entry.model == evidence.baseline
            else _monthly(evidence.baseline_cost_usd_per_1k_requests, requests)
        ),
        latency=p95(evidence.latency_p95_s, evidence.cases_used),
        note="" if name in project.workflows else f"evals/{name}.yaml is gone",
    )


def _escalation(entry: WorkflowPolicy) -> str:
    found = entry.escalation
    if found is None:
        return ""
    return f"where {found.signal} is below {found.below:.4g}: {found.to}"


def _bound(evidence: Evidence) -> str:
    if evidence.lower_bound is None:
        return "fell at critical cases" if evidence.cases_used else "not measured"
    return f"lower bound {percent(evidence.lower_bound)}"


def _saving(entry: WorkflowPolicy) -> str:
    share = entry.evidence.saving
    if entry.model == entry.evidence.baseline or share is None:
        return "–"
    return share_saved(share) if share >= 0 else f"{percent(-share, 0)} dearer"


def _saving_basis(entry: WorkflowPolicy) -> str:
    evidence = entry.evidence
    if entry.model == evidence.baseline:
        return "this is the baseline"
    cost = money(evidence.baseline_cost_usd_per_1k_requests)
    return f"against {evidence.baseline}, {cost} ({evidence.baseline_cost_basis})"


def _requests(name: str, project: Project) -> int | None:
    workflow = project.workflows.get(name)
    traffic = None if workflow is None else workflow.traffic
    return None if traffic is None else traffic.requests_per_day * DAYS_A_MONTH


def _monthly(usd_per_1k: float, requests: int) -> str:
    return money(usd_per_1k * requests / 1000)


def totals_of(policy: Policy, project: Project) -> Totals | None:
    """Return what all routes cost at the traffic that the workflows state; None where none does."""
    known = list(_with_traffic(policy, project))
    if not known:
        return None
    cost = sum(e.evidence.cost_usd_per_1k_requests * n / 1000 for e, n in known)
    baseline = sum(e.evidence.baseline_cost_usd_per_1k_requests * n / 1000 for e, n in known)
    return Totals(
        usd_per_day=cost / DAYS_A_MONTH,
        baseline_usd_per_day=baseline / DAYS_A_MONTH,
        usd_per_month=cost,
        baseline_usd_per_month=baseline,
        saved_usd_per_month=baseline - cost,
        saving=1 - cost / baseline if baseline else None,
        workflows=len(known),
        not_certified=sum(entry.status != "certified" for entry, _ in known),
    )


def _totals(policy: Policy, project: Project) -> Iterator[Figure]:
    found, note = totals_of(policy, project), "with the baselines alone"
    if found is None:
        return
    day, month = found.usd_per_day, found.usd_per_month
    yield Figure("A day", money(day), f"{money(found.baseline_usd_per_day)} {note}")
    baseline = found.baseline_usd_per_month
    yield Figure(f"A month of {DAYS_A_MONTH} days", money(month), f"{money(baseline)} {note}")
    share = found.saving
    if share is not None:
        saved = "Saving, not all certified" if found.not_certified else "Saving"
        value = share_saved(share) if share >= 0 else percent(-share, 0)
        label = saved if share >= 0 else "Dearer by"
        yield Figure(label, value, f"{money(abs(found.saved_usd_per_month))} a month")


def _traffic(policy: Policy, project: Project) -> str:
    found = totals_of(policy, project)
    if found is None:
        return ""
    which = (
        "the stated traffic"
        if found.workflows == len(policy.workflows)
        else f"the traffic that {found.workflows} of {len(policy.workflows)} workflows state"
    )
    unproven = found.not_certified
    more = f", {_count(unproven, 'route')} not certified among them" if unproven else ""
    return f"At {which}{more}."


def _with_traffic(policy: Policy, project: Project) -> Iterator[tuple[WorkflowPolicy, int]]:
    for name, entry in policy.workflows.items():
        requests = _requests(name, project)
        if requests is not None:
            yield entry, requests


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
