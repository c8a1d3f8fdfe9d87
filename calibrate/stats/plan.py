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

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from calibrate.stats.boundary import (
    absorb,
    accept_line,
    advance,
    fixed_sample_limit,
    upper_line,
)

__all__ = [
    "FUTILITY_FROM",
    "Characteristics",
    "Crossing",
    "Crossings",
    "Kind",
    "Plan",
    "build_plan",
    "false_accept_probability",
    "operating_characteristics",
    "plan_for",
    "settle_many",
]

FUTILITY_FROM = 48  # earlier, a sample that is clearly bad is left the chance to be shown so
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
    accept: tuple[int, ...]
    reject: tuple[int, ...]
    futile: tuple[int, ...]

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
    futility_beta: float = 0.05,
    spending: float = 0.5,
    futility_spending: float = 0.5,
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
    share = (np.arange(n + 1) / max(n, 1)).tolist()
    budget = [alpha * s**spending for s in share]
    raw = accept_line(n, floor, budget)
    reject = upper_line(n, floor, budget, None)
    lost = upper_line(n, rate, [futility_beta * s**futility_spending for s in share], raw)
    last = raw[n]
    accept = [max(a, last - (n - t)) for t, a in enumerate(raw)]  # certain to be accepted
    futile = [min(max(r, a + 1), last + 1) for r, a in zip(lost, accept, strict=True)]
    if futile_from is None:
        futile_from = min(FUTILITY_FROM, math.ceil(n / 4))
    lines = tuple(accept), tuple(reject), tuple(futile)
    return Plan(n, floor, rate, alpha, spending, futile_from, *lines)


@functools.lru_cache(maxsize=4096)
def plan_for(cases: int, floor: float, rate: float, *, alpha: float, power: float = 0.9) -> Plan:
    """Return a plan of at most `cases`, nearly the shortest, that has this power at `rate`.

    Lengths are multiples of 10 (of 20 above 1000 cases, and so on). Where none has the power, the
    plan uses all cases and spends its error later, which gives up calls for power.
    """
    step = 10 * max(1, math.ceil(cases / 1000))
    lengths = range(step, cases + 1, step)
    able = [n for n in lengths if _most_power(n, floor, rate, alpha) >= power]
    shortest = None
    low, high = 0, len(able)
    while low < high:  # the power rises with the length, but for small steps back
        middle = (low + high) // 2
        plan = build_plan(able[middle], floor, rate, alpha=alpha)
        if operating_characteristics(plan, rate).accept_probability >= power:
            shortest, high = plan, middle
        else:
            low = middle + 1
    return shortest or build_plan(cases, floor, rate, alpha=alpha, spending=SHORT_SPENDING)


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


def false_accept_probability(plan: Plan) -> float:
    """Return P(accepted) at p = floor when neither futility nor rejection stops anybody."""
    law = np.zeros(max(plan.accept) + 2)
    law[0] = 1.0
    accepted = 0.0
    for t in range(1, plan.n + 1):
        advance(law, plan.floor)
        accepted += absorb(law[: plan.accept[t] + 1])
    return accepted


def _most_power(n: int, floor: float, rate: float, alpha: float) -> float:
    """An upper bound on the power of any test of n observations at level alpha.

    The best is the randomised fixed-sample test (Neyman & Pearson 1933): one failure more than
    the exact test allows is accepted with a probability below one.
    """
    return float(bdtr(fixed_sample_limit(n, floor, alpha) + 1, n, 1 - rate))


def _check(n: int, floor: float, rate: float, alpha: float) -> None:
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if not 0 <= floor <= rate <= 1:
        raise ValueError(f"need 0 <= floor <= rate <= 1, got floor {floor} and rate {rate}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie in (0, 1), got {alpha}")
