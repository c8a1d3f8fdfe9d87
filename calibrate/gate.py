"""One question: does this candidate clear the bar?

The rule is a pure function of a plan, fixed before the first answer, and the completed prefix of
the seeded order. Here it is the fixed-sample rule: every case, then one exact bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from calibrate.config import Bar
from calibrate.frames import latency_quantile, mean_cost_usd, trial_table
from calibrate.stats.exact import (
    Bounds,
    clopper_pearson,
    fewest_successes,
    sample_size_for_rate,
    upper_tail,
)
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = [
    "OUTAGE_SHARE",
    "PROCEDURE",
    "RULE",
    "GatePlan",
    "Outcome",
    "Reason",
    "SliceVerdict",
    "Verdict",
    "judge",
    "not_asked",
    "plan_gate",
]

PROCEDURE = "1"  # enters every policy: raise it when the same evidence could decide otherwise
RULE: Literal["sequential", "full"] = "full"
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
    LATENCY = "latency"
    EXHAUSTED = "exhausted"  # the cases ran out before the evidence sufficed
    OUTAGE = "outage"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What a candidate is held against; every part is known before it is asked."""

    bar: Bar
    alpha: float  # this candidate's share of the error
    cases: int

    @property
    def fewest_passes(self) -> int | None:
        """The passes that certify on all cases; None where the set is too small for the bar."""
        return fewest_successes(self.cases, self.bar.floor, alpha=self.alpha)


@dataclass(frozen=True, slots=True)
class SliceVerdict:
    """One value of one tag against its own floor."""

    tag: str
    value: str
    floor: float
    passed: int
    cases: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says of one candidate. Bounds are one-sided at `alpha` each."""

    model: str
    tier: str
    outcome: Outcome
    reason: Reason
    alpha: float
    cases_used: int
    cases: int
    passed: int = 0
    failed_calls: int = 0
    estimate: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    latency_p95_s: float | None = None
    cost_usd_per_request: float | None = None
    critical_missed: tuple[str, ...] = ()
    slices: tuple[SliceVerdict, ...] = ()
    cases_to_settle: int | None = None  # how many in all would certify at the observed rate


def plan_gate(bar: Bar, candidates: int, cases: int) -> GatePlan:
    """Return the plan of each of `candidates` models: alpha is shared out equally (union bound)."""
    return GatePlan(bar, bar.alpha / candidates, cases)


def judge(plan: GatePlan, model: str, tier: str, trials: Sequence[AnyTrial]) -> Verdict:
    """Return the verdict on a candidate from one trial for each case of the set.

    Guarantee: a candidate whose true pass rate is at or below the floor is certified with
    probability at most `plan.alpha`, for independent cases. The other bars can only take a
    certification away, so they cost no error (intersection-union).
    """
    table = trial_table(trials)
    passed = sum(passes(trial) for trial in trials)
    failed_calls = sum(isinstance(trial, FailedTrial) for trial in trials)
    bounds = clopper_pearson(passed, len(trials), alpha=plan.alpha)
    slices = tuple(_slices(plan, trials))
    outcome, reason = _outcome(plan, trials, bounds, slices, failed_calls)
    return Verdict(
        model=model,
        tier=tier,
        outcome=outcome,
        reason=reason,
        alpha=plan.alpha,
        cases_used=len(trials),
        cases=plan.cases,
        passed=passed,
        failed_calls=failed_calls,
        estimate=bounds.estimate,
        lower_bound=bounds.low,
        upper_bound=bounds.high,
        latency_p95_s=latency_quantile(table, LATENCY_QUANTILE),
        cost_usd_per_request=mean_cost_usd(table),
        critical_missed=tuple(t.case.id for t in _missed_critical(plan, trials)),
        slices=slices,
        cases_to_settle=(
            sample_size_for_rate(bounds.estimate, plan.bar.floor, alpha=plan.alpha)
            if outcome is Outcome.UNDECIDED and reason is Reason.EXHAUSTED
            else None
        ),
    )


def not_asked(plan: GatePlan, model: str, tier: str) -> Verdict:
    """Return the verdict on a candidate that was never needed."""
    return Verdict(model, tier, Outcome.UNDECIDED, Reason.NOT_ASKED, plan.alpha, 0, plan.cases)


def _outcome(
    plan: GatePlan,
    trials: Sequence[AnyTrial],
    bounds: Bounds,
    slices: Sequence[SliceVerdict],
    failed_calls: int,
) -> tuple[Outcome, Reason]:
    """Weigh the bars: an outage is no evidence, one failed bar fails, all met certify."""
    if failed_calls > OUTAGE_SHARE * len(trials):
        return Outcome.UNDECIDED, Reason.OUTAGE
    critical = _missed_critical(plan, trials)
    if any(not isinstance(trial, FailedTrial) for trial in critical):
        return Outcome.FAILED, Reason.CRITICAL
    if bounds.high < plan.bar.floor:
        return Outcome.FAILED, Reason.QUALITY
    if any(part.outcome is Outcome.FAILED for part in slices):
        return Outcome.FAILED, Reason.SLICE
    if _misses_latency(plan, trials):
        return Outcome.FAILED, Reason.LATENCY
    if critical:
        return Outcome.UNDECIDED, Reason.OUTAGE
    needed = plan.fewest_passes
    if needed is None or bounds.successes < needed or bounds.n < plan.cases:
        return Outcome.UNDECIDED, Reason.EXHAUSTED
    if any(part.outcome is Outcome.UNDECIDED for part in slices):
        return Outcome.UNDECIDED, Reason.SLICE
    return Outcome.CERTIFIED, Reason.QUALITY


def _missed_critical(plan: GatePlan, trials: Sequence[AnyTrial]) -> list[AnyTrial]:
    if plan.bar.critical is None:
        return []
    return [trial for trial in trials if trial.case.critical and not passes(trial)]


def _misses_latency(plan: GatePlan, trials: Sequence[AnyTrial]) -> bool:
    """Return whether too many answers are late for the p95 to be within its target by chance."""
    target = plan.bar.latency_p95_s
    if target is None:
        return False
    late = sum(trial.latency_s > target for trial in trials)
    return upper_tail(late, len(trials), 1 - LATENCY_QUANTILE) <= plan.alpha


def _slices(plan: GatePlan, trials: Sequence[AnyTrial]) -> list[SliceVerdict]:
    found = []
    for tag, floor in plan.bar.slices.items():
        values = sorted({t.case.tags[tag] for t in trials if tag in t.case.tags})
        for value in values:
            members = [t for t in trials if t.case.tags.get(tag) == value]
            passed = sum(passes(t) for t in members)
            bounds = clopper_pearson(passed, len(members), alpha=plan.alpha)
            outcome = Outcome.UNDECIDED
            if bounds.low >= floor:
                outcome = Outcome.CERTIFIED
            elif bounds.high < floor:
                outcome = Outcome.FAILED
            found.append(SliceVerdict(tag, value, floor, passed, len(members), outcome))
    return found
