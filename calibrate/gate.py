"""One question: does this candidate clear the bar?

The rule is a pure function of a plan, fixed before the first answer, and the completed prefix of
the seeded order. It may be asked after every answer: the first line that is crossed decides, and
what arrives later changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from calibrate.config import Bar
from calibrate.dataset import Case
from calibrate.frames import latency_quantile, mean_cost_usd, trial_table
from calibrate.stats.exact import clopper_pearson, sample_size_for_rate, upper_tail
from calibrate.stats.plan import Crossing, Kind, Plan, plan_for
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = [
    "OUTAGE_SHARE",
    "PROCEDURE",
    "RULE",
    "GatePlan",
    "Outcome",
    "Reason",
    "SlicePlan",
    "SliceVerdict",
    "Verdict",
    "design_rate",
    "judge",
    "not_asked",
    "plan_gate",
]

PROCEDURE = "2"  # enters every policy: raise it when the same evidence could decide otherwise
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
    LATENCY = "latency"
    FUTILITY = "futility"  # it would hardly ever be certified
    EXHAUSTED = "exhausted"  # the cases ran out before the evidence sufficed
    OUTAGE = "outage"
    NOT_ASKED = "not_asked"
    OPEN = "open"  # nothing is crossed yet


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """One value of one tag with its own floor and its own lines."""

    tag: str
    value: str
    lines: Plan


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What a candidate is held against; every part is known before it is asked."""

    bar: Bar
    alpha: float  # this candidate's share of the error
    cases: int
    lines: Plan
    slices: tuple[SlicePlan, ...]

    @property
    def can_certify(self) -> bool:
        """Whether a faultless model would be certified on these cases."""
        return _can_accept(self.lines) and not self.slices_too_small

    @property
    def slices_too_small(self) -> tuple[SlicePlan, ...]:
        """The slices that no model could be certified on."""
        return tuple(part for part in self.slices if not _can_accept(part.lines))


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
    they are not adjusted for stopping.
    """

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

    @property
    def is_settled(self) -> bool:
        return self.reason is not Reason.OPEN


def design_rate(bar: Bar) -> float:
    """Return the rate of a model that the plan is meant to certify."""
    return bar.pass_rate if bar.tolerance > 0 else bar.floor + (1 - bar.floor) / 2


def plan_gate(bar: Bar, candidates: int, cases: Sequence[Case]) -> GatePlan:
    """Return the plan of each of `candidates` models: alpha is shared out equally (union bound)."""
    alpha = bar.alpha / candidates
    return GatePlan(
        bar=bar,
        alpha=alpha,
        cases=len(cases),
        lines=plan_for(len(cases), bar.floor, design_rate(bar), alpha=alpha),
        slices=tuple(_slice_plans(bar, cases, alpha)),
    )


def judge(
    plan: GatePlan,
    model: str,
    tier: str,
    trials: Sequence[AnyTrial],
    critical: Sequence[AnyTrial] = (),
) -> Verdict:
    """Return the verdict on a candidate from the completed prefix of the seeded order.

    `critical` are the critical cases, which are asked before the others. Guarantee: a candidate
    whose true pass rate is at or below the floor is certified with probability at most
    `plan.alpha`, for independent cases, however often this is asked. The other bars can only take
    a certification away, so they cost no error (intersection-union).
    """
    missed = [trial for trial in critical if plan.bar.critical and not passes(trial)]
    if any(not isinstance(trial, FailedTrial) for trial in missed):
        return _at_the_critical_cases(plan, model, tier, Reason.CRITICAL, critical, missed)
    if missed:
        return _at_the_critical_cases(plan, model, tier, Reason.OUTAGE, critical, missed)
    used, outcome, reason = _first_crossing(plan, trials)
    if reason is Reason.OPEN:  # asked after every batch: the figures can wait for the verdict
        return Verdict(model, tier, outcome, reason, plan.alpha, used, plan.cases)
    seen = trials[:used]
    failed_calls = sum(isinstance(trial, FailedTrial) for trial in seen)
    if failed_calls > OUTAGE_SHARE * len(seen):
        outcome, reason = Outcome.UNDECIDED, Reason.OUTAGE
    elif outcome is Outcome.CERTIFIED and _misses_latency(plan, seen):
        outcome, reason = Outcome.FAILED, Reason.LATENCY
    return _verdict(plan, model, tier, outcome, reason, seen, missed)


def not_asked(plan: GatePlan, model: str, tier: str) -> Verdict:
    """Return the verdict on a candidate that was never needed."""
    return Verdict(model, tier, Outcome.UNDECIDED, Reason.NOT_ASKED, plan.alpha, 0, plan.cases)


def _can_accept(lines: Plan) -> bool:
    return lines.accept[lines.n] >= 0


def _slice_plans(bar: Bar, cases: Sequence[Case], alpha: float) -> Iterator[SlicePlan]:
    for tag, floor in bar.slices.items():
        for value in sorted({case.tags[tag] for case in cases if tag in case.tags}):
            size = sum(case.tags.get(tag) == value for case in cases)
            rate = floor + (1 - floor) / 2
            yield SlicePlan(tag, value, plan_for(size, floor, rate, alpha=alpha))


def _first_crossing(plan: GatePlan, trials: Sequence[AnyTrial]) -> tuple[int, Outcome, Reason]:
    """Return where the verdict fell, and which: the first line against, or the last one for."""
    passed = [passes(trial) for trial in trials]
    crossings = [(plan.lines, list(range(1, len(trials) + 1)), False)]
    for part in plan.slices:
        places = [i for i, t in enumerate(trials, 1) if t.case.tags.get(part.tag) == part.value]
        crossings.append((part.lines, places, True))
    accepted: list[int] = []
    against: list[tuple[int, Outcome, Reason]] = []
    for lines, places, is_slice in crossings:
        crossing = _crossing(lines, [passed[place - 1] for place in places])
        if crossing is None:
            continue
        at = places[crossing.index - 1]
        if crossing.kind is Kind.ACCEPTED:
            accepted.append(at)
        else:
            against.append((at, *_against(crossing.kind, is_slice)))
    if against:
        return min(against)
    if len(accepted) == len(crossings):
        return max(accepted), Outcome.CERTIFIED, Reason.QUALITY
    return len(trials), Outcome.UNDECIDED, Reason.OPEN


def _crossing(lines: Plan, passed: Sequence[bool]) -> Crossing | None:
    """Return the first crossing; one that ran out of cases ends `OPEN` at its last one."""
    crossing = lines.settle(passed)
    if crossing is None and len(passed) >= lines.n:
        return Crossing(Kind.OPEN, lines.n)
    return crossing


def _against(kind: Kind, is_slice: bool) -> tuple[Outcome, Reason]:
    if kind is Kind.REJECTED:
        return Outcome.FAILED, Reason.SLICE if is_slice else Reason.QUALITY
    if is_slice:
        return Outcome.UNDECIDED, Reason.SLICE
    return Outcome.UNDECIDED, Reason.FUTILITY if kind is Kind.FUTILE else Reason.EXHAUSTED


def _misses_latency(plan: GatePlan, trials: Sequence[AnyTrial]) -> bool:
    """Return whether too many answers are late for the p95 to be within its target by chance."""
    target = plan.bar.latency_p95_s
    if target is None:
        return False
    late = sum(trial.latency_s > target for trial in trials)
    return upper_tail(late, len(trials), 1 - LATENCY_QUANTILE) <= plan.alpha


def _verdict(
    plan: GatePlan,
    model: str,
    tier: str,
    outcome: Outcome,
    reason: Reason,
    seen: Sequence[AnyTrial],
    missed: Sequence[AnyTrial],
) -> Verdict:
    passed = sum(passes(trial) for trial in seen)
    bounds = clopper_pearson(passed, len(seen), alpha=plan.alpha)
    table = trial_table(seen)
    more = reason in (Reason.EXHAUSTED, Reason.FUTILITY)
    return Verdict(
        model=model,
        tier=tier,
        outcome=outcome,
        reason=reason,
        alpha=plan.alpha,
        cases_used=len(seen),
        cases=plan.cases,
        passed=passed,
        failed_calls=sum(isinstance(trial, FailedTrial) for trial in seen),
        estimate=bounds.estimate,
        lower_bound=bounds.low,
        upper_bound=bounds.high,
        latency_p95_s=latency_quantile(table, LATENCY_QUANTILE),
        cost_usd_per_request=mean_cost_usd(table),
        critical_missed=tuple(trial.case.id for trial in missed),
        slices=tuple(_slice_verdicts(plan, seen)),
        cases_to_settle=(
            sample_size_for_rate(bounds.estimate, plan.bar.floor, alpha=plan.alpha)
            if more
            else None
        ),
    )


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
    outcome = Outcome.FAILED if reason is Reason.CRITICAL else Outcome.UNDECIDED
    return replace(
        _verdict(plan, model, tier, outcome, reason, critical, missed),
        estimate=None,
        lower_bound=None,
        upper_bound=None,
    )


def _slice_verdicts(plan: GatePlan, seen: Sequence[AnyTrial]) -> Iterator[SliceVerdict]:
    for part in plan.slices:
        passed = [passes(t) for t in seen if t.case.tags.get(part.tag) == part.value]
        crossing = _crossing(part.lines, passed)
        outcome = {
            Kind.ACCEPTED: Outcome.CERTIFIED,
            Kind.REJECTED: Outcome.FAILED,
        }.get(Kind.OPEN if crossing is None else crossing.kind, Outcome.UNDECIDED)
        yield SliceVerdict(
            part.tag, part.value, part.lines.floor, sum(passed), len(passed), outcome
        )
