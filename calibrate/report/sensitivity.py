"""What would change the decision: more cases, another bar, another price."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from calibrate.certificate import cost_of, route_cost
from calibrate.criteria import GatePlan, Part, design_rate
from calibrate.decide import Calibration, Status
from calibrate.gate import Outcome, Reason, Verdict, case_scores, judge
from calibrate.judged import gate_of, prefix_of
from calibrate.stats.plan import Kind, accepts, could_accept
from calibrate.trial import AnyTrial, passes
from calibrate.words import money, percent

__all__ = ["what_would_change"]

_STEPS = 200  # of the bars that are tried: half a percentage point each
_NEAR = 8  # bars that are tried one by one
_MOST_JUDGED = 8  # models whose answers are judged again
_OF_QUALITY = (Reason.QUALITY, Reason.FUTILITY, Reason.EXHAUSTED, Reason.FAMILY)


def what_would_change(calibration: Calibration) -> tuple[str, ...]:
    """Return a sentence for each change that the evidence says something of."""
    return (*_more_cases(calibration), *_another_bar(calibration), *_another_price(calibration))


def _more_cases(calibration: Calibration) -> Iterator[str]:
    for verdict in _up_to_the_route(calibration):
        if verdict.outcome is Outcome.UNDECIDED and verdict.cases_to_settle is not None:
            more = max(verdict.cases_to_settle - verdict.cases_used, 1)
            yield (
                f"About {more:,} more case{'s' if more > 1 else ''} like these would certify "
                f"{verdict.model}{_then(verdict, calibration)}, if it did on them as on the "
                f"{verdict.cases_used:,} used."
            )


def _another_bar(calibration: Calibration) -> Iterator[str]:
    least = calibration.task.workflow.bar.least
    reached = 0.0  # by a model that is tried earlier, and would be the route at that bar
    for verdict in list(_up_to_the_route(calibration))[:_MOST_JUDGED]:
        if verdict.reason not in _OF_QUALITY or verdict.estimate is None:
            continue
        best = _highest_bar(calibration, verdict)
        if verdict.outcome is Outcome.CERTIFIED:
            yield (
                f"With a bar of up to {percent(max(best, least))} these answers would still "
                f"certify {verdict.model}."
            )
        elif reached < best < least:
            yield (
                f"With a bar of {percent(best)} or less these answers would certify "
                f"{verdict.model}{_then(verdict, calibration)}."
            )
        reached = max(reached, best)
    hopeless = [v.model for v in _up_to_the_route(calibration) if v.reason is Reason.CRITICAL]
    if hopeless:
        yield f"No other bar would certify {', '.join(hopeless)}: critical cases were failed."


def _another_price(calibration: Calibration) -> Iterator[str]:
    decision, field = calibration.decision, calibration.task.field
    if decision.chosen is field.baseline or decision.status is not Status.CERTIFIED:
        return
    by_model = {verdict.model: verdict for verdict in calibration.verdicts}
    cost = route_cost(calibration)
    route = decision.chosen.alias
    if decision.escalation is not None:
        route = f"the cascade of {route} and {decision.escalation.strong.alias}"
    baseline = cost_of(field.baseline, by_model[field.baseline.alias])
    if baseline.is_ceiling or cost.is_ceiling or not cost.usd_per_1k:
        return
    ratio = baseline.usd_per_1k / cost.usd_per_1k
    yield (
        f"At {money(baseline.usd_per_1k)} per 1,000 requests {route} would save "
        f"nothing: {ratio:,.3g} times its cost today."
        if ratio > 1
        else f"{route} is no cheaper than the baseline {field.baseline.alias}."
    )


def _up_to_the_route(calibration: Calibration) -> Iterator[Verdict]:
    """Yield the verdicts on which the route depends: those dearer than it change nothing."""
    is_certified = calibration.decision.status is Status.CERTIFIED
    for verdict in calibration.verdicts:
        yield verdict
        if is_certified and verdict is calibration.decision.verdict:
            return


def _then(verdict: Verdict, calibration: Calibration) -> str:
    """Return what would follow for the route."""
    pairs = zip(calibration.task.field.candidates, calibration.verdicts, strict=True)
    cost = next(cost_of(candidate, other) for candidate, other in pairs if other is verdict)
    decision = calibration.decision
    if verdict.model == decision.chosen.alias and decision.escalation is None:
        return ", which is the route"
    return f" and make it the route, at {money(cost.usd_per_1k)} per 1,000 requests"


def _highest_bar(calibration: Calibration, verdict: Verdict) -> float:
    """Return the highest bar, in steps, at which the same answers would certify; 0 for none.

    The gate judges them again at each bar that is tried: downward from those that are plainly out
    of reach, and by bisection where none of the first ones will do.
    """
    could, certifies = _judgements(calibration, verdict)
    if verdict.test == "exact":
        highest = _bisected(could)
        for step in range(highest, max(highest - _NEAR, 0), -1):
            if certifies(step / _STEPS):
                return step / _STEPS
    return _bisected(certifies) / _STEPS


def _bisected(holds: Callable[[float], bool]) -> int:
    """Return the last step at which it holds."""
    low, high = 0, _STEPS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle / _STEPS) else (low, middle)
    return low


def _judgements(
    calibration: Calibration, verdict: Verdict
) -> tuple[Callable[[float], bool], Callable[[float], bool]]:
    """Return whether a model's answers could certify at a bar, quickly, and whether they do."""
    bar, rival = calibration.task.workflow.bar, calibration.task.field.baseline.alias
    here = gate_of(calibration, verdict)
    trials = prefix_of(calibration, verdict.model)
    passed = np.array([passes(trial) for trial in trials[: verdict.cases]], dtype=bool)
    critical = [
        trial
        for trial in calibration.trials.get(verdict.model, ())
        if trial.case.critical and bar.critical
    ]
    has_rival = bar.of_baseline is not None and verdict.model != rival
    baseline = prefix_of(calibration, rival) if has_rival else ()
    is_certified = verdict.outcome is Outcome.CERTIFIED
    # The verdict says it of its own bar; among so many workflows it says nothing of the gate.
    sure = bar.least if is_certified else bar.tolerance
    hopeless = math.inf if is_certified or verdict.reason is Reason.FAMILY else bar.least
    if _misses_a_slice(here, trials):
        hopeless = 0.0

    def could(least: float) -> bool:
        if least <= sure or least >= hopeless:
            return least <= sure
        other = bar.model_copy(update={bar.measure: least})
        return could_accept(
            passed, verdict.cases, other.floor, design_rate(other), alpha=here.alpha
        )

    def certifies(least: float) -> bool:
        if least <= sure or least >= hopeless:
            return least <= sure
        other = bar.model_copy(update={bar.measure: least})
        if verdict.test == "exact" and not accepts(
            passed, verdict.cases, other.floor, design_rate(other), alpha=here.alpha
        ):
            return False
        gate = gate_of(calibration, verdict, least)
        found = judge(gate, verdict.model, verdict.tier, trials, critical, baseline)
        return found.outcome is Outcome.CERTIFIED

    return could, certifies


def _misses_a_slice(plan: GatePlan, trials: Sequence[AnyTrial]) -> bool:
    """Return whether some slice is not certified, whose bar is its own."""
    scores = case_scores(plan, trials)
    crossings = (one.crossing(scores) for one in plan.criteria if one.part is Part.SLICE)
    return any(found is None or found.kind is not Kind.ACCEPTED for found in crossings)
