"""What results when models of a route give no answer, replayed from the trials that exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean

from calibrate.candidates import Candidate
from calibrate.criteria import GatePlan, Part
from calibrate.decide import Calibration
from calibrate.gate import (
    LATENCY_QUANTILE,
    Outcome,
    Reason,
    Verdict,
    case_scores,
    is_down,
    misses_latency,
    pair_scores,
    quality_bounds,
)
from calibrate.judged import gate_of, prefix_of
from calibrate.summaries import latency_quantile, mean_cost_usd
from calibrate.trial import AnyTrial, FailedTrial, Trial, passes

__all__ = ["FallbackOutcome", "Standing", "fallback_outcomes"]

_HAIR = 1e-9  # a mean that is the floor is not below it


class Standing(StrEnum):
    """How a fallback stands to the bar."""

    CERTIFIED = "certified"  # by its verdict
    UNDECIDED = "undecided"  # as measured it misses nothing, or its calls failed too often to tell
    MISSED = "missed"  # as measured it is short of a part of the bar
    NOT_MEASURED = "not_measured"  # it was not needed, and so not asked


@dataclass(frozen=True, slots=True)
class FallbackOutcome:
    """What `answering` gives while the models in `down` give no answer.

    The figures are those of all cases where it has answered them all, and else of the cases that
    its verdict used. They describe: the bound is one-sided at the model's share of the error, as
    `Verdict` has it, and not adjusted for stopping or for there being several fallbacks. Nothing
    but `CERTIFIED` is promised. `misses` names the parts of the bar that a mean is short of, a
    failed critical case, or a p95 that is late with confidence. What a call takes until it has
    failed is in no figure.
    """

    answering: Candidate
    down: tuple[Candidate, ...]
    standing: Standing
    misses: tuple[str, ...] = ()
    cases: int = 0
    failed_calls: int = 0
    estimate: float | None = None
    lower_bound: float | None = None
    cost_usd_per_request: float | None = None
    latency_p95_s: float | None = None


def fallback_outcomes(calibration: Calibration) -> tuple[FallbackOutcome, ...]:
    """Return an outcome for each fallback, in their order: all models before it are down.

    Where the route is a cascade, its dearer model answers by itself when the first is down, and
    when only the dearer one is, the first keeps all of its answers, for which its signal was
    still computed.
    """
    decision, by_model = calibration.decision, {v.model: v for v in calibration.verdicts}
    route = decision.escalation
    found = []
    for place, fallback in enumerate(decision.fallbacks):
        down = (decision.chosen, *decision.fallbacks[:place])
        found.append(_outcome(calibration, by_model[fallback.alias], fallback, down))
        if route is not None and fallback is route.strong:
            found.append(
                _outcome(calibration, decision.verdict, route.cheap, (route.strong,), route.signal)
            )
    return tuple(found)


def _outcome(
    calibration: Calibration,
    verdict: Verdict,
    answering: Candidate,
    down: tuple[Candidate, ...],
    signal: str | None = None,
) -> FallbackOutcome:
    trials = _measured(calibration, verdict)
    if not trials:
        return FallbackOutcome(answering, down, Standing.NOT_MEASURED)
    if signal is not None:
        trials = [_with_signal(trial, signal) for trial in trials]
    plan = gate_of(calibration, verdict)
    scores = case_scores(plan, trials)
    estimate, low, _ = quality_bounds(plan, scores)
    misses = tuple(dict.fromkeys(_misses(calibration, plan, verdict, trials)))
    return FallbackOutcome(
        answering=answering,
        down=down,
        standing=_standing(verdict, misses),
        misses=misses,
        cases=len(scores),
        failed_calls=sum(isinstance(trial, FailedTrial) for trial in trials),
        estimate=estimate,
        lower_bound=low,
        cost_usd_per_request=mean_cost_usd(trials),
        latency_p95_s=latency_quantile(trials, LATENCY_QUANTILE),
    )


def _measured(calibration: Calibration, verdict: Verdict) -> Sequence[AnyTrial]:
    """Return the answers that count: of all cases or up to the verdict, and none between.

    How far beyond its verdict a model was asked is chance, and must not show in the policy.
    """
    repeats, trials = calibration.task.workflow.repeats, prefix_of(calibration, verdict.model)
    if len(trials) == verdict.cases * repeats:
        return trials
    # A verdict that fell at the critical cases has no rate: they were chosen by hand.
    return trials[: 0 if verdict.estimate is None else verdict.cases_used * repeats]


def _standing(verdict: Verdict, misses: tuple[str, ...]) -> Standing:
    if verdict.outcome is Outcome.CERTIFIED:
        return Standing.CERTIFIED
    return Standing.MISSED if misses else Standing.UNDECIDED


def _misses(
    calibration: Calibration, plan: GatePlan, verdict: Verdict, trials: Sequence[AnyTrial]
) -> Iterator[str]:
    """Yield each part of the bar that the answers are short of; what is certified misses none."""
    if verdict.outcome is Outcome.CERTIFIED or is_down(trials):
        return
    if verdict.outcome is Outcome.FAILED:
        yield verdict.reason.value
    baseline = prefix_of(calibration, calibration.task.field.baseline.alias)
    scores = case_scores(plan, trials)
    for criterion in plan.criteria:
        is_pair = criterion.part is Part.BASELINE
        values = pair_scores(plan, trials, baseline) if is_pair else scores
        seen = [value for unit in criterion.evidence(values) for value in unit]
        if seen and fmean(seen) < criterion.lines.floor - _HAIR:
            yield criterion.part.value
    asked = calibration.trials.get(verdict.model, ())
    if plan.bar.critical and any(t.case.critical and _fails(t) for t in asked):
        yield Reason.CRITICAL.value
    if misses_latency(plan, trials):
        yield Reason.LATENCY.value


def _fails(trial: AnyTrial) -> bool:
    return isinstance(trial, Trial) and not passes(trial)


def _with_signal(trial: AnyTrial, signal: str) -> AnyTrial:
    """Return the trial with what its signal cost and took on top."""
    cost = None if isinstance(trial, FailedTrial) else trial.signal_costs.get(signal)
    if cost is None:
        return trial
    is_timed = trial.latency_s is not None and cost.wait_s is not None
    latency_s = (trial.latency_s or 0) + (cost.wait_s or 0) if is_timed else None
    return replace(trial, cost_usd=trial.cost_usd + cost.usd, latency_s=latency_s)
