"""Verdicts and decisions in words and figures, the same in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Sequence

from calibrate.certificate import cost_of, route_cost, saving
from calibrate.config import Bar
from calibrate.decide import (
    Calibration,
    CascadePair,
    CascadePoint,
    Cascades,
    EscalatedRoute,
    SignalFinding,
    Status,
)
from calibrate.gate import Outcome, Reason, Verdict
from calibrate.signals import SIGNALS
from calibrate.stats.exact import zero_failure_size

__all__ = [
    "LEAST_CALLS",
    "cascade_notes",
    "demand",
    "headline",
    "is_split",
    "money",
    "needless_cascades",
    "p95",
    "percent",
    "saving_sentence",
    "seconds",
    "share_saved",
    "why",
    "why_no_cascade",
]


LEAST_CALLS = 20  # of fewer, the 95th percentile is just the longest one


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as a percentage; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def money(usd: float) -> str:
    """Return dollars with as many digits as a reader can use."""
    if usd == 0 or abs(usd) >= 100:
        return f"${usd:,.0f}"
    if abs(usd) >= 0.01:
        return f"${usd:,.2f}"
    return f"${usd:.2g}"


def share_saved(share: float) -> str:
    """Return a saving as a percentage that is not rounded up to everything."""
    return "over 99 %" if 0.99 < share < 1 else percent(share, 0)


def seconds(value: float | None) -> str:
    """Return a duration; a dash where there is none."""
    if value is None:
        return "–"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"


def p95(latency_s: float | None, calls: int) -> str:
    """Return a 95th percentile; a dash where it would be that of too few calls."""
    return seconds(latency_s if calls >= LEAST_CALLS else None)


def why(verdict: Verdict, calibration: Calibration) -> str:
    """Return why a model got its verdict, in a few words with the figures that decided."""
    bar = calibration.task.workflow.bar
    reason = verdict.reason
    if reason is Reason.NOT_ASKED:
        return "not needed: a cheaper model is certified"
    if reason is Reason.FAMILY:
        return f"{_share(verdict, bar)}: too little among so many workflows"
    if reason is Reason.OUTAGE:
        return f"{verdict.failed_calls} of {verdict.cases_used} calls failed: no evidence"
    if reason is Reason.CRITICAL:
        count = len(verdict.critical_missed)
        return f"failed {count} critical case{'s' if count > 1 else ''}"
    if reason is Reason.LATENCY:
        return f"p95 {seconds(verdict.latency_p95_s)} misses {seconds(bar.latency_p95_s)}"
    if reason is Reason.BASELINE:
        kept = f"{percent(verdict.of_baseline)} of the baseline's quality"
        return f"{_share(verdict, bar)}, {kept}; the bar is {percent(bar.of_baseline)} of it"
    if reason is Reason.SLICE:
        failing = [s for s in verdict.slices if s.outcome is not Outcome.CERTIFIED]
        return "slice " + ", ".join(f"{s.tag}={s.value} {s.passed}/{s.cases}" for s in failing)
    return _of_quality(verdict, bar)


def headline(calibration: Calibration) -> str:
    """Return the decision in one sentence."""
    decision, name = calibration.decision, calibration.task.name
    chosen = f"{decision.chosen.alias} ({decision.chosen.tier})"
    bar = calibration.task.workflow.bar
    if decision.escalation is not None:
        route = decision.escalation
        further = "but at once" if is_split(route) else "and on"
        return (
            f"{name} goes to {chosen}, {further} to {route.strong.alias} where {route.signal} is "
            f"below {route.below:g} ({percent(route.escalated, 0)} of cases): certified to "
            f"{demand(bar)} with {percent(bar.confidence, 0)} confidence."
        )
    if decision.status is Status.CERTIFIED:
        return (
            f"{name} goes to {chosen}: certified to {demand(bar)} with "
            f"{percent(bar.confidence, 0)} confidence."
        )
    if decision.status is Status.UNMET:
        return f"{name}: no model meets {percent(bar.floor)}; {chosen} comes nearest."
    nothing = f"{name}: nothing is certified at {percent(bar.floor)} yet"
    if decision.chosen is calibration.task.field.baseline:
        return f"{nothing}; keep the baseline {chosen}."
    return f"{nothing}, and the baseline failed; {chosen} is the strongest that did not."


def is_split(route: EscalatedRoute) -> bool:
    """Return whether it is known before the call who answers, so that one model is asked."""
    return SIGNALS[route.signal].moment == "before"


def demand(bar: Bar) -> str:
    """Return what the bar demands of a model's quality."""
    if bar.measure == "mean_score":
        return f"score at least {percent(bar.floor)} on average"
    return f"pass at least {percent(bar.floor)} of cases"


def cascade_notes(calibration: Calibration) -> list[str]:
    """Return what was found of cascades, a sentence each; nothing where none were looked for."""
    found = calibration.cascades
    if found is None:
        return [needless] if (needless := needless_cascades(calibration)) else []
    if not found.thresholds:
        lacking = [_signal_note(signal) for signal in found.signals if signal.shortage]
        return [*lacking, *why_no_cascade(found, calibration.task.workflow.bar)]
    notes = [_signal_note(signal) for signal in found.signals if signal.signal is not None]
    route = found.route
    if route is None:
        return [*notes, *why_no_cascade(found, calibration.task.workflow.bar)]
    change = (route.cost_usd_per_request / _cost_of_all(calibration, route)) - 1
    dearer = f"{percent(abs(change), 0)} {'dearer' if change > 0 else 'cheaper'}"
    notes.append(
        f"{route.cheap.alias} escalates {percent(route.escalated, 0)} of requests: {dearer} than "
        f"sending all to {route.strong.alias} (break-even at {percent(route.break_even, 0)})"
    )
    if calibration.decision.escalation is None:
        notes.append("a certified model costs less, so the cascade is not the route")
    return notes


def needless_cascades(calibration: Calibration) -> str:
    """Return why none were looked for, though the bar asks for them; empty where that is not so."""
    first = calibration.verdicts[0]
    if not calibration.task.workflow.bar.cascades or first.outcome is not Outcome.CERTIFIED:
        return ""
    return (
        f"no cascade was looked for: {first.model}, the cheapest model, is certified by itself, so "
        "none could cost less"
    )


def why_no_cascade(found: Cascades, bar: Bar) -> list[str]:
    """Return why none is certified, and what the best of them would have needed."""
    if not found.thresholds:
        answering = "the baseline and another model, and calls to one of them failed too often"
        parting = "a signal that parts the cases, and no model has one"
        return [f"no cascade: it takes {parting if found.signals else answering}"]
    none = f"no cascade of {found.thresholds:,} thresholds is certified"
    if not found.pairs:
        return [none]
    best = found.pairs[0]
    return [f"{none}: {_where_it_ended(found.pairs, bar)}", _in_hindsight(best, bar)]


def _where_it_ended(pairs: Sequence[CascadePair], bar: Bar) -> str:
    certified = next((pair for pair in pairs if pair.certified), None)
    if certified is not None:
        return (
            f"where {certified.cheap} escalates {percent(certified.certified_from)} or more to "
            f"{certified.strong}, quality is enough, but a critical case or the latency target is "
            "missed"
        )
    stopped = next(((pair, pair.stopped) for pair in pairs if pair.stopped is not None), None)
    if stopped is not None:
        pair, point = stopped
        return (
            f"the first to be tested, {pair.cheap} that escalates {percent(point.escalated)} to "
            f"{pair.strong}, {_told(point)}, bar {percent(bar.floor)}"
        )
    dearer = max(pairs, key=lambda pair: pair.strong_estimate)
    return (
        "the thresholds of a pair are tested once its dearer model alone is certified, and none "
        f"is; the best of these, {dearer.strong}, has {percent(dearer.strong_estimate)}, bar "
        f"{percent(bar.floor)}"
    )


def _in_hindsight(pair: CascadePair, bar: Bar) -> str:
    point = pair.best
    text = (
        f"the best in hindsight, {pair.cheap} that escalates {percent(point.escalated)} to "
        f"{pair.strong} where {pair.signal} is below {point.below:.4g}, {_told(point)}, bar "
        f"{percent(bar.floor)}"
    )
    if point.estimate <= bar.floor:
        return f"{text}: it misses the bar on these cases, so more like them would not certify it"
    if point.cases_to_settle is None:
        return text
    more = point.cases_to_settle - point.cases
    if more <= 0:
        return f"{text}: enough for one threshold named beforehand, but the test ended before it"
    return (
        f"{text}: {more:,} more cases at this rate would certify it, if {pair.strong} were "
        "certified as well"
    )


def _told(point: CascadePoint) -> str:
    """Return what a pair gave at one threshold."""
    if point.passed is None:
        return f"has a mean of {percent(point.estimate)} over {point.cases:,} cases"
    return (
        f"passes {point.passed:,} of {point.cases:,}, {percent(point.estimate)}, lower bound "
        f"{percent(point.lower_bound)}"
    )


def _cost_of_all(calibration: Calibration, route: EscalatedRoute) -> float:
    """Return what a request would cost if all went to the stronger model."""
    trials = calibration.trials[route.strong.alias]
    return sum(float(trial.cost_usd) for trial in trials) / len(trials) or 1.0


def _signal_note(signal: SignalFinding) -> str:
    name = f"{signal.model}: {signal.signal}"
    if signal.shortage is not None:
        return f"{name} is {signal.shortage}"
    if signal.fitted_cases is not None:
        name = f"{name}, fitted on {signal.fitted_cases:,} cases and judged on the others,"
    if signal.auroc is None:
        return f"{name} says nothing yet: all of its answers are right, or all are wrong"
    text = (
        f"{name} is {signal.worth}, AUROC {signal.auroc:.2f} "
        f"({signal.auroc_low:.2f} to {signal.auroc_high:.2f})"
    )
    if signal.over_confidence is None or abs(signal.over_confidence) < 0.05:
        return text
    over = "over" if signal.over_confidence > 0 else "under"
    return f"{text}; {over}-confident by {percent(abs(signal.over_confidence), 0)}"


def saving_sentence(calibration: Calibration) -> str:
    """Return what the route saves against the baseline, and how well that is known."""
    field, decision = calibration.task.field, calibration.decision
    verdicts = {verdict.model: verdict for verdict in calibration.verdicts}
    cost = route_cost(calibration)
    baseline = cost_of(field.baseline, verdicts[field.baseline.alias])
    if decision.chosen is field.baseline and decision.escalation is None:
        what = "this is" if decision.status is Status.UNMET else "keep"
        return f"No saving: {what} the baseline, {money(cost.usd_per_1k)} per 1,000 requests."
    certified = "" if decision.status is Status.CERTIFIED else "Not certified: "
    costs = f"{certified}{money(cost.usd_per_1k)} per 1,000 requests"
    if baseline.is_ceiling or cost.is_ceiling:
        return f"{costs}; what it saves is unknown, {field.baseline.alias} was never timed."
    share = saving(cost, baseline)
    change = ""
    if share is not None:
        change = f", {share_saved(share)} less" if share >= 0 else f", {percent(-share, 0)} more"
    return (
        f"{costs} instead of {money(baseline.usd_per_1k)} for the baseline "
        f"{field.baseline.alias} ({baseline.basis}){change}."
    )


def _of_quality(verdict: Verdict, bar: Bar) -> str:
    floor = percent(bar.floor)
    if verdict.outcome is Outcome.CERTIFIED:
        return f"{_share(verdict, bar)}, lower bound {percent(verdict.lower_bound)}, bar {floor}"
    if verdict.outcome is Outcome.FAILED:
        return f"{_share(verdict, bar)}, upper bound {percent(verdict.upper_bound)}, bar {floor}"
    needed = zero_failure_size(bar.floor, alpha=verdict.alpha)
    if verdict.test == "exact" and (needed is None or verdict.cases < needed):
        cases = f"{verdict.cases:,} case{'' if verdict.cases == 1 else 's'}"
        return f"{cases} cannot certify {floor}; at least {needed} are needed"
    if verdict.reason is Reason.FUTILITY:
        return f"{_share(verdict, bar)}: it would hardly ever be certified"
    return _exhausted(verdict, floor)


def _share(verdict: Verdict, bar: Bar) -> str:
    if verdict.test == "betting":
        measure = bar.measure.replace("_", " ")
        return f"{measure} {percent(verdict.estimate)} over {verdict.cases_used} cases"
    return f"{verdict.passed} of {verdict.cases_used} passed"


def _exhausted(verdict: Verdict, floor: str) -> str:
    between = (
        f"between {percent(verdict.lower_bound)} and {percent(verdict.upper_bound)}, bar {floor}"
    )
    if verdict.cases_to_settle is None:
        return between
    more = max(verdict.cases_to_settle - verdict.cases_used, 1)
    return f"{between}; {more:,} more cases at this rate would certify"
