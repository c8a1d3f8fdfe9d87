"""One question: does this candidate clear the bar?

The rule is a pure function of a plan, fixed before the first answer, and the completed prefix of
the seeded order. It may be asked after every answer: the first line that is crossed decides, and
what arrives later changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil
from statistics import fmean
from typing import Literal

from calibrate.criteria import Criterion, GatePlan, Part, as_pair
from calibrate.stats.betting import mean_bounds
from calibrate.stats.betting_plan import BettingPlan
from calibrate.stats.exact import clopper_pearson, sample_size_for_rate, upper_tail
from calibrate.stats.plan import Kind
from calibrate.summaries import latency_quantile, mean_cost_usd
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = [
    "OUTAGE_SHARE",
    "PROCEDURE",
    "RULE",
    "Outcome",
    "Reason",
    "SliceVerdict",
    "Verdict",
    "case_scores",
    "is_down",
    "judge",
    "misses_latency",
    "not_asked",
    "pair_scores",
    "quality_bounds",
    "standing",
]

PROCEDURE = "3"  # enters every policy: raise it when the same evidence could decide otherwise
RULE: Literal["sequential", "full"] = "sequential"
OUTAGE_SHARE = 0.05  # above this share of failed calls an outage is seen, not a quality
LATENCY_QUANTILE = 0.95


class Outcome(StrEnum):
    CERTIFIED = "certified"
    FAILED = "failed"
    UNDECIDED = "undecided"


class Reason(StrEnum):
    """What an outcome rests on."""

    QUALITY = "quality"
    CRITICAL = "critical"
    SLICE = "slice"
    BASELINE = "baseline"
    LATENCY = "latency"
    FUTILITY = "futility"  # it would hardly ever be certified
    EXHAUSTED = "exhausted"  # the cases ran out before the evidence sufficed
    OUTAGE = "outage"
    FAMILY = "family"  # certified by itself, but not among so many workflows
    NOT_ASKED = "not_asked"
    OPEN = "open"  # nothing is crossed yet


@dataclass(frozen=True, slots=True)
class SliceVerdict:
    """What was seen of one slice."""

    tag: str
    value: str
    floor: float
    passed: int
    cases: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says of one candidate.

    The figures are those of the first `cases_used` cases, where the verdict fell, or of the
    critical cases, where it fell there. The bounds are one-sided at `alpha` each and descriptive:
    Clopper-Pearson's are not adjusted for stopping (those of bets hold at any time).
    """

    model: str
    tier: str
    outcome: Outcome
    reason: Reason
    alpha: float
    cases_used: int
    cases: int
    attempt: int = 1
    test: Literal["exact", "betting"] = "exact"
    passed: int = 0  # cases, at every repeat
    failed_calls: int = 0
    estimate: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    latency_p95_s: float | None = None
    cost_usd_per_request: float | None = None
    critical_missed: tuple[str, ...] = ()
    slices: tuple[SliceVerdict, ...] = ()
    of_baseline: float | None = None  # the share of the baseline's quality on the same cases
    cases_to_settle: int | None = None  # how many in all would certify at the observed rate

    @property
    def is_settled(self) -> bool:
        return self.reason is not Reason.OPEN


def judge(
    plan: GatePlan,
    model: str,
    tier: str,
    trials: Sequence[AnyTrial],
    critical: Sequence[AnyTrial] = (),
    baseline: Sequence[AnyTrial] = (),
) -> Verdict:
    """Return the verdict on a candidate from the completed prefix of the seeded order.

    All trials stand in the seeded order, the repeats of a case together. `critical` are those of
    the critical cases, which are asked before the others; `baseline` those of the baseline, where
    the bar compares with it. Guarantee: a candidate whose true quality is at or below the floor
    is certified with probability at most `plan.alpha`, for independent cases (or groups of
    cases), however often this is asked. The other bars can only take a certification away, so
    they cost no error (intersection-union; Berger, Technometrics 24 (1982), 295-300).
    """
    missed = [trial for trial in critical if plan.bar.critical and not passes(trial)]
    if any(not isinstance(trial, FailedTrial) for trial in missed):
        return _at_the_critical_cases(plan, model, tier, Reason.CRITICAL, critical, missed)
    if missed:
        return _at_the_critical_cases(plan, model, tier, Reason.OUTAGE, critical, missed)
    scores, pairs = case_scores(plan, trials), pair_scores(plan, trials, baseline)
    used, outcome, reason = _first_crossing(plan, scores, pairs)
    if reason is Reason.OPEN:  # asked after every batch: the figures can wait for the verdict
        return Verdict(model, tier, outcome, reason, plan.alpha, used, plan.cases, plan.attempt)
    seen, rival = trials[: used * plan.repeats], baseline[: used * plan.repeats]
    if is_down(seen) or is_down(rival):
        outcome, reason = Outcome.UNDECIDED, Reason.OUTAGE
    elif outcome is Outcome.CERTIFIED and misses_latency(plan, seen):
        outcome, reason = Outcome.FAILED, Reason.LATENCY
    verdict = _verdict(plan, model, tier, outcome, reason, seen, missed)
    if not rival:
        return verdict
    kept = fmean(scores[:used]) / (fmean(case_scores(plan, rival)) or 1.0)
    return replace(verdict, of_baseline=kept)


def not_asked(plan: GatePlan, model: str, tier: str) -> Verdict:
    """Return the verdict on a candidate that was never needed."""
    return Verdict(
        model, tier, Outcome.UNDECIDED, Reason.NOT_ASKED, plan.alpha, 0, plan.cases, plan.attempt
    )


def standing(plan: GatePlan, model: str, tier: str, trials: Sequence[AnyTrial]) -> Verdict:
    """Return the figures of a completed prefix on which no verdict has fallen; it is open.

    They describe, and decide nothing: only the lines of the plan do, by `judge`.
    """
    if not plan.criteria[0].evidence(case_scores(plan, trials)):
        outcome, reason = Outcome.UNDECIDED, Reason.OPEN
        return Verdict(model, tier, outcome, reason, plan.alpha, 0, plan.cases, plan.attempt)
    return _verdict(plan, model, tier, Outcome.UNDECIDED, Reason.OPEN, trials, ())


def case_scores(plan: GatePlan, trials: Sequence[AnyTrial]) -> list[float]:
    """Return one score a case: the mean of its repeats, by what the bar is about."""
    is_rate = plan.bar.measure == "pass_rate"
    each = [float(passes(trial)) if is_rate else trial.score for trial in trials]
    r = plan.repeats
    return each if r == 1 else [fmean(each[i : i + r]) for i in range(0, len(each) - r + 1, r)]


def pair_scores(
    plan: GatePlan, trials: Sequence[AnyTrial], baseline: Sequence[AnyTrial]
) -> list[float]:
    """Return the differences from the baseline on the prefix that both have answered.

    A call to the baseline that failed counts as a pass: no candidate may gain by it.
    """
    share = plan.bar.of_baseline
    if share is None:
        return []
    rival = case_scores(plan, baseline)
    for place, trial in enumerate(baseline):
        if isinstance(trial, FailedTrial) and place // plan.repeats < len(rival):
            rival[place // plan.repeats] = 1.0
    pairs = zip(case_scores(plan, trials), rival, strict=False)
    return [as_pair(share, score, other) for score, other in pairs]


def _values(criterion: Criterion, scores: list[float], pairs: list[float]) -> list[float]:
    return pairs if criterion.part is Part.BASELINE else scores


def _first_crossing(
    plan: GatePlan, scores: list[float], pairs: list[float]
) -> tuple[int, Outcome, Reason]:
    """Return where the verdict fell, and which: the first line against, or the last one for."""
    accepted: list[int] = []
    against: list[tuple[int, Outcome, Reason]] = []
    for criterion in plan.criteria:
        crossing = criterion.crossing(_values(criterion, scores, pairs))
        if crossing is None:
            continue
        if crossing.kind is Kind.ACCEPTED:
            accepted.append(crossing.index)
        else:
            against.append((crossing.index, *_against(crossing.kind, criterion.part)))
    if against:
        return min(against)
    if len(accepted) == len(plan.criteria):
        return max(accepted), Outcome.CERTIFIED, Reason.QUALITY
    return len(scores), Outcome.UNDECIDED, Reason.OPEN


def _against(kind: Kind, part: Part) -> tuple[Outcome, Reason]:
    outcome = Outcome.FAILED if kind is Kind.REJECTED else Outcome.UNDECIDED
    if part is not Part.QUALITY or kind is Kind.REJECTED:
        return outcome, Reason(part.value)
    return outcome, Reason.FUTILITY if kind is Kind.FUTILE else Reason.EXHAUSTED


def is_down(trials: Sequence[AnyTrial]) -> bool:
    """Return whether so many calls failed that an outage is seen, and not a quality."""
    return sum(isinstance(trial, FailedTrial) for trial in trials) > OUTAGE_SHARE * len(trials)


def misses_latency(plan: GatePlan, trials: Sequence[AnyTrial]) -> bool:
    """Return whether too many answers are late for the p95 to be within its target by chance.

    Those that came in a batch have no latency. Where a target is set none is given out of storage
    or asked for, so that no model gets past the target unmeasured.
    """
    target = plan.bar.latency_p95_s
    if target is None:
        return False
    measured = [trial.latency_s for trial in trials if trial.latency_s is not None]
    late = sum(latency_s > target for latency_s in measured)
    return upper_tail(late, len(measured), 1 - LATENCY_QUANTILE) <= plan.alpha


def _verdict(
    plan: GatePlan,
    model: str,
    tier: str,
    outcome: Outcome,
    reason: Reason,
    seen: Sequence[AnyTrial],
    missed: Sequence[AnyTrial],
) -> Verdict:
    scores = case_scores(plan, seen)
    estimate, low, high = quality_bounds(plan, scores)
    return Verdict(
        model=model,
        tier=tier,
        outcome=outcome,
        reason=reason,
        alpha=plan.alpha,
        cases_used=len(scores),
        cases=plan.cases,
        attempt=plan.attempt,
        test=plan.test,
        passed=_whole_passes(plan, seen),
        failed_calls=sum(isinstance(trial, FailedTrial) for trial in seen),
        estimate=estimate,
        lower_bound=low,
        upper_bound=high,
        latency_p95_s=latency_quantile(seen, LATENCY_QUANTILE),
        cost_usd_per_request=mean_cost_usd(seen),
        critical_missed=tuple(dict.fromkeys(trial.case.id for trial in missed)),
        slices=tuple(_slice_verdicts(plan, scores)),
        cases_to_settle=(
            _cases_to_settle(plan, scores, estimate)
            if reason in (Reason.EXHAUSTED, Reason.FUTILITY)
            else None
        ),
    )


def _whole_passes(plan: GatePlan, trials: Sequence[AnyTrial]) -> int:
    """Return the number of cases that pass at every repeat."""
    r, each = plan.repeats, [passes(trial) for trial in trials]
    return sum(all(each[i : i + r]) for i in range(0, len(each), r))


def quality_bounds(plan: GatePlan, scores: list[float]) -> tuple[float, float, float]:
    """Return the estimate with its bounds, by the kind of evidence; see `Verdict` for these."""
    quality = plan.criteria[0]
    if isinstance(quality.lines, BettingPlan):
        largest = max(quality.lines.sizes)
        found = mean_bounds(quality.evidence(scores), alpha=plan.alpha, largest=largest)
        return fmean(scores), found.low, found.high
    exact = clopper_pearson(round(sum(scores)), len(scores), alpha=plan.alpha)
    return exact.estimate, exact.low, exact.high


def _cases_to_settle(plan: GatePlan, scores: list[float], estimate: float) -> int | None:
    """Return how many cases in all would certify at the observed rate, in another attempt."""
    quality = plan.criteria[0]
    if isinstance(quality.lines, BettingPlan):
        return quality.lines.size_to_accept(quality.evidence(scores), alpha=plan.next_alpha)
    return sample_size_for_rate(estimate, plan.bar.floor, alpha=plan.next_alpha)


def _at_the_critical_cases(
    plan: GatePlan,
    model: str,
    tier: str,
    reason: Reason,
    critical: Sequence[AnyTrial],
    missed: Sequence[AnyTrial],
) -> Verdict:
    """Return a verdict that fell before the first ordinary case.

    Critical cases are chosen by hand: they say nothing of the pass rate, so none is given.
    """
    return Verdict(
        model=model,
        tier=tier,
        outcome=Outcome.FAILED if reason is Reason.CRITICAL else Outcome.UNDECIDED,
        reason=reason,
        alpha=plan.alpha,
        cases_used=ceil(len(critical) / plan.repeats),
        cases=plan.cases,
        attempt=plan.attempt,
        test=plan.test,
        passed=_whole_passes(plan, critical),
        failed_calls=sum(isinstance(trial, FailedTrial) for trial in critical),
        latency_p95_s=latency_quantile(critical, LATENCY_QUANTILE),
        cost_usd_per_request=mean_cost_usd(critical),
        critical_missed=tuple(dict.fromkeys(trial.case.id for trial in missed)),
    )


def _slice_verdicts(plan: GatePlan, scores: list[float]) -> Iterator[SliceVerdict]:
    outcomes = {Kind.ACCEPTED: Outcome.CERTIFIED, Kind.REJECTED: Outcome.FAILED}
    for criterion in plan.criteria:
        if criterion.part is not Part.SLICE:
            continue
        crossing = criterion.crossing(scores)
        kind = Kind.OPEN if crossing is None else crossing.kind
        seen = [score for unit in criterion.evidence(scores) for score in unit]
        yield SliceVerdict(
            criterion.tag,
            criterion.value,
            criterion.lines.floor,
            sum(score == 1 for score in seen),
            len(seen),
            outcomes.get(kind, Outcome.UNDECIDED),
        )
