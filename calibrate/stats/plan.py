"""Exact sequential tests of a success probability: when a growing sample may stop.

A plan holds three lines of failures over the number of observations, fixed before the first:
`accept` (the rate is shown to be above the floor), `reject` (shown to be below it) and `futile`
(unlikely ever to be accepted). Each line may be looked at after every observation.

Assumption: independent Bernoulli observations with one success probability, in an order fixed
before any of them is known. Nothing here holds for clusters or bounded scores.

Sources: Lan & DeMets, Biometrika 70 (1983), 659-663 (spending an error over the looks); the
boundaries are exact, from the binomial law, in place of the normal approximation of that paper.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc

from calibrate.stats.boundary import (
    absorb,
    accept_line,
    advance,
    fixed_sample_limits,
    futile_line,
    probability_at_or_below,
    probability_between,
    reject_line,
)

__all__ = [
    "FUTILITY_FROM",
    "Characteristics",
    "Crossing",
    "Crossings",
    "Kind",
    "Plan",
    "accepts",
    "build_plan",
    "could_accept",
    "operating_characteristics",
    "plan_for",
    "settle_many",
]

Line = tuple[int, ...]

FUTILITY_FROM = 48  # earlier, a sample that is clearly bad is left the chance to be shown so
FUTILITY_BETA = 0.05
SPENDING = 0.5
SHORT_SPENDING = 0.7  # where a sample is too short for its power: gives up calls for power


class Kind(IntEnum):
    """What a sample has shown; `OPEN` while nothing is crossed."""

    OPEN = 0
    ACCEPTED = 1
    REJECTED = 2
    FUTILE = 3


@dataclass(frozen=True, slots=True)
class Crossing:
    """The first line that a sample crosses, and after how many observations."""

    kind: Kind
    index: int


@dataclass(frozen=True, slots=True)
class Crossings:
    """The same for many samples; where nothing is crossed, `OPEN` and the observations seen."""

    kinds: NDArray[np.int8]
    indices: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Characteristics:
    """What a plan does at one success probability, exactly."""

    p: float
    accept_probability: float
    reject_probability: float
    futile_probability: float
    expected_n: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines of failures, indexed by the number of observations t = 0..n.

    Accepted where failures <= accept[t] (-1: not yet), rejected where failures >= reject[t],
    futile where failures >= futile[t] (t + 1: not yet).
    """

    n: int
    floor: float
    rate: float
    alpha: float
    spending: float
    futile_from: int
    accept: Line
    reject: Line
    futile: Line

    @property
    def can_accept(self) -> bool:
        """Whether a sample without a failure would be accepted."""
        return self.accept[self.n] >= 0

    def settle(self, passed: Sequence[bool] | NDArray[np.bool_]) -> Crossing | None:
        """Return the first crossing within this prefix of the sample, or None while it is open.

        At one index accepted goes before rejected, and rejected before futile.
        """
        found = settle_many(self, np.asarray(passed, dtype=bool).reshape(1, -1))
        kind = Kind(int(found.kinds[0]))
        return None if kind is Kind.OPEN else Crossing(kind, int(found.indices[0]))

    def earliest_crossing(self, seen: int, failures: int) -> int:
        """Return the least t > seen at which some line could be crossed, or n."""
        for t in range(seen + 1, self.n):
            most = failures + t - seen
            is_futile = t >= self.futile_from and most >= self.futile[t]
            if failures <= self.accept[t] or most >= self.reject[t] or is_futile:
                return t
        return self.n


def build_plan(
    n: int,
    floor: float,
    rate: float,
    *,
    alpha: float,
    futility_beta: float = FUTILITY_BETA,
    spending: float = SPENDING,
    futility_spending: float = SPENDING,
    futile_from: int | None = None,
) -> Plan:
    """Return the plan for at most n observations that is meant to accept at `rate`.

    Guarantee: for every p <= floor, P(accepted at any t) <= alpha, whether or not anybody stops
    at the other two lines; for every p >= floor, P(rejected at any t) <= alpha likewise.
    Proof: of the law at p = floor no more than alpha (t/n)^spending is spent up to t; a smaller p
    has, by coupling, more failures at every t, and both lines ask for one side only.
    With floor 1 nothing is ever accepted, with floor 0 nothing is ever rejected; where n is too
    small to accept at all, every look is futile.
    """
    _check(n, floor, rate, alpha)
    accept = _raw_accept(n, floor, alpha, spending)
    futile = _futile(rate, accept, futility_beta, futility_spending)
    reject = tuple(reject_line(n, floor, _budget(n, alpha, spending)))
    if futile_from is None:
        futile_from = _futile_from(n)
    lines = _accept(accept), reject, futile
    return Plan(n, floor, rate, alpha, spending, futile_from, *lines)


@functools.lru_cache(maxsize=4096)
def plan_for(cases: int, floor: float, rate: float, *, alpha: float, power: float = 0.9) -> Plan:
    """Return a plan of at most `cases`, nearly the shortest, that has this power at `rate`.

    Lengths are multiples of 10 (of 20 above 1000 cases, and so on). Where none has the power, the
    plan uses all cases and spends its error later, which gives up calls for power.
    """
    n, spending = _shape(cases, floor, rate, alpha, power)
    return build_plan(n, floor, rate, alpha=alpha, spending=spending)


def could_accept(
    passed: Sequence[bool] | NDArray[np.bool_],
    cases: int,
    floor: float,
    rate: float,
    *,
    alpha: float,
    power: float = 0.9,
) -> bool:
    """Return False only where `plan_for` gives no plan that accepts this prefix of a sample.

    Quick, since no plan is drawn whole. What is accepted after t observations has a binomial tail
    within what may be spent up to t, which is the most for the shortest plan; what is accepted
    because it is certain to be in the end has a tail within alpha there.
    """
    failures = _failures(passed[:cases])
    times = np.arange(1, len(failures) + 1)
    tails = bdtr(failures, times, 1 - floor)
    if not (tails <= alpha).any():
        return False
    able = _able(cases, floor, rate, alpha, power)
    shortest, spending = (able[0], SPENDING) if able else (cases, SHORT_SPENDING)
    share = np.minimum(times / shortest, 1.0)
    if len(times) == cases and not (tails <= alpha * share**spending).any():
        return False
    if able:
        return True
    line = _accept(_raw_accept(cases, floor, alpha, SHORT_SPENDING))
    return bool((failures <= line[1 : len(times) + 1]).any())


def accepts(
    passed: Sequence[bool] | NDArray[np.bool_],
    cases: int,
    floor: float,
    rate: float,
    *,
    alpha: float,
    power: float = 0.9,
) -> bool:
    """Return whether the plan of `plan_for` accepts this prefix of a sample.

    Quicker where it does not: the accept line alone is drawn.
    """
    if not could_accept(passed, cases, floor, rate, alpha=alpha, power=power):
        return False
    n, spending = _shape(cases, floor, rate, alpha, power)
    failures = _failures(passed[:n])
    line = _accept(_raw_accept(n, floor, alpha, spending))
    if not (failures <= line[1 : len(failures) + 1]).any():
        return False
    found = plan_for(cases, floor, rate, alpha=alpha, power=power).settle(passed)
    return found is not None and found.kind is Kind.ACCEPTED


def settle_many(plan: Plan, passed: NDArray[np.bool_]) -> Crossings:
    """Return the first crossing of every row: a sample in its order, whole or a prefix."""
    failures = np.cumsum(~passed[:, : plan.n], axis=1, dtype=np.int32)
    rows, seen = failures.shape
    if seen == 0:
        return Crossings(np.zeros(rows, np.int8), np.zeros(rows, np.int64))
    times = np.arange(1, seen + 1)
    looks = (times >= plan.futile_from) & (times < plan.n)
    kinds = np.select(
        [
            failures <= np.asarray(plan.accept[1 : seen + 1]),
            failures >= np.asarray(plan.reject[1 : seen + 1]),
            looks & (failures >= np.asarray(plan.futile[1 : seen + 1])),
        ],
        [np.int8(Kind.ACCEPTED), np.int8(Kind.REJECTED), np.int8(Kind.FUTILE)],
        np.int8(Kind.OPEN),
    )
    crossed = kinds != Kind.OPEN
    at = np.where(crossed.any(axis=1), crossed.argmax(axis=1), seen - 1)
    return Crossings(kinds[np.arange(rows), at], at + 1)


def operating_characteristics(plan: Plan, p: float) -> Characteristics:
    """Return what the plan does at success probability p, with futility at its looks, exactly."""
    law = np.zeros(max(plan.reject) + 2)
    law[0] = 1.0
    accepted = rejected = futile = expected = 0.0
    for t in range(1, plan.n + 1):
        live = law[: plan.reject[t - 1] + 1]
        expected += float(live.sum())
        advance(live, p)
        accepted += absorb(live[: plan.accept[t] + 1])
        rejected += absorb(live[plan.reject[t] :])
        if plan.futile_from <= t < plan.n:
            futile += absorb(live[plan.futile[t] :])
    return Characteristics(p, accepted, rejected, futile, expected)


def _budget(n: int, error: float, spending: float) -> list[float]:
    """Return what may be spent up to each observation."""
    return [error * share**spending for share in (np.arange(n + 1) / max(n, 1)).tolist()]


def _failures(passed: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of failures after each observation."""
    return np.cumsum(~np.asarray(passed, dtype=bool), dtype=np.int64)


@functools.lru_cache(maxsize=4096)
def _shape(cases: int, floor: float, rate: float, alpha: float, power: float) -> tuple[int, float]:
    """Return the length of the plan of `plan_for`, and how it spends its error."""
    able = _able(cases, floor, rate, alpha, power)
    # The power rises with the length, but for small steps back.
    place = bisect.bisect_left(able, True, key=lambda n: _has_power(n, floor, rate, alpha, power))
    return (able[place], SPENDING) if place < len(able) else (cases, SHORT_SPENDING)


@functools.lru_cache(maxsize=16)  # a plan is drawn just after its power was asked for
def _raw_accept(n: int, floor: float, alpha: float, spending: float) -> Line:
    return tuple(accept_line(n, floor, _budget(n, alpha, spending)))


def _accept(raw: Line) -> Line:
    """Return the accept line with what is certain to be accepted in the end."""
    n, last = len(raw) - 1, raw[-1]
    return tuple(max(a, last - (n - t)) for t, a in enumerate(raw))


@functools.lru_cache(maxsize=16)
def _futile(rate: float, raw: Line, beta: float, spending: float) -> Line:
    lost, last = futile_line(rate, _budget(len(raw) - 1, beta, spending), raw), raw[-1]
    return tuple(min(max(r, a + 1), last + 1) for r, a in zip(lost, _accept(raw), strict=True))


def _futile_from(n: int) -> int:
    return min(FUTILITY_FROM, math.ceil(n / 4))


def _has_power(n: int, floor: float, rate: float, alpha: float, power: float) -> bool:
    """Return whether a plan of n observations is accepted with this probability at `rate`.

    Where a bound says it, the other two lines are not drawn: without them a sample is accepted at
    least as often, and more often by at most the two errors that are spent on them.
    """
    raw = _raw_accept(n, floor, alpha, SPENDING)
    accept = _accept(raw)
    most = probability_at_or_below(accept, rate)
    if most < power or most - alpha - FUTILITY_BETA >= power:
        return most >= power
    futile = _futile(rate, raw, FUTILITY_BETA, SPENDING)
    upper = _stopping_line(n, floor, _budget(n, alpha, SPENDING), futile)
    return probability_between(accept, upper, rate) >= power


def _stopping_line(n: int, floor: float, budget: list[float], futile: Line) -> list[int]:
    """Return the line at which a sample that is not accepted stops.

    Where P(at least as many failures as are futile) at the floor is above the budget, they are
    fewer than are rejected, for which it is within; the reject line need not be drawn there.
    """
    start, counts = _futile_from(n), np.arange(n)
    tails = bdtrc(np.asarray(futile[start:n]) - 1, counts[start:], 1 - floor)
    if (tails > budget[start:n]).all():
        return [*reject_line(start - 1, floor, budget), *futile[start:]]
    reject = reject_line(n, floor, budget)
    looks = zip(reject[start:n], futile[start:n], strict=True)
    return [*reject[:start], *map(min, looks), reject[n]]


@functools.lru_cache(maxsize=4096)
def _able(cases: int, floor: float, rate: float, alpha: float, power: float) -> tuple[int, ...]:
    """Return the lengths of which some test at level alpha could have this power.

    The best is the randomised fixed-sample test (Neyman & Pearson 1933): one failure more than
    the exact test allows is accepted with a probability below one.
    """
    step = 10 * max(1, math.ceil(cases / 1000))
    lengths = np.arange(step, cases + 1, step)
    limits = fixed_sample_limits(lengths, floor, alpha)
    most = bdtr(limits + 1.0, lengths, 1 - rate)
    return tuple(lengths[most >= power].tolist())


def _check(n: int, floor: float, rate: float, alpha: float) -> None:
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if not 0 <= floor <= rate <= 1:
        raise ValueError(f"need 0 <= floor <= rate <= 1, got floor {floor} and rate {rate}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie in (0, 1), got {alpha}")
