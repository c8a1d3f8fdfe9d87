"""The search for the shortest plan, against one that builds every plan that it looks at."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from calibrate.stats.plan import (
    SHORT_SPENDING,
    Kind,
    Plan,
    accepts,
    build_plan,
    could_accept,
    operating_characteristics,
    plan_for,
)

ALPHA = 0.05 / 3


def by_building(cases: int, floor: float, rate: float, power: float) -> Plan:
    """`plan_for` from its definition."""
    step = 10 * max(1, math.ceil(cases / 1000))
    able = []
    for n in range(step, cases + 1, step):
        limit = int(np.flatnonzero(binom.cdf(np.arange(-1, n), n, 1 - floor) <= ALPHA)[-1]) - 1
        if binom.cdf(limit + 1, n, 1 - rate) >= power:
            able.append(n)
    low, high, found = 0, len(able), None
    while low < high:
        middle = (low + high) // 2
        plan = build_plan(able[middle], floor, rate, alpha=ALPHA)
        if operating_characteristics(plan, rate).accept_probability >= power:
            found, high = plan, middle
        else:
            low = middle + 1
    return found or build_plan(cases, floor, rate, alpha=ALPHA, spending=SHORT_SPENDING)


@pytest.mark.parametrize("power", [0.9, 0.5])
@pytest.mark.parametrize(
    ("cases", "floor", "rate"),
    [
        (7, 0.5, 0.75),
        (64, 0.8, 0.9),
        (150, 0.9, 0.95),
        (300, 0.87, 0.9),
        (400, 0.95, 0.98),
        (600, 0.9, 0.95),
        (800, 0.94, 0.97),
        (500, 0.3, 0.4),
        (1_200, 0.97, 0.985),
        (200, 0.0, 0.1),
        (200, 0.99, 1.0),
        (60, 1.0, 1.0),
    ],
)
def test_the_plan_is_the_one_that_is_found_by_building_them(
    cases: int, floor: float, rate: float, power: float
) -> None:
    assert plan_for(cases, floor, rate, alpha=ALPHA, power=power) == by_building(
        cases, floor, rate, power
    )


@pytest.mark.parametrize(
    ("cases", "floor", "rate"), [(300, 0.9, 0.95), (100, 0.87, 0.9), (600, 0.8, 0.85)]
)
def test_what_is_accepted_could_be(cases: int, floor: float, rate: float) -> None:
    plan, rng = plan_for(cases, floor, rate, alpha=ALPHA), np.random.default_rng(3)
    ruled_out = accepted = 0
    for p in np.linspace(floor - 0.1, 1, 60):
        for seen in (cases, cases // 2, 1, 0):
            passed = (rng.random(seen) < p).tolist()
            settled = plan.settle(passed)
            if could_accept(passed, cases, floor, rate, alpha=ALPHA):
                accepted += settled is not None and settled.kind is Kind.ACCEPTED
            else:
                ruled_out += 1
                assert settled is None or settled.kind is not Kind.ACCEPTED
    assert accepted > 10
    assert ruled_out > 40


@pytest.mark.parametrize(
    ("cases", "floor", "rate"),
    [(300, 0.9, 0.95), (100, 0.87, 0.9), (600, 0.8, 0.85), (7, 0.5, 0.75), (60, 1.0, 1.0)],
)
def test_what_is_accepted_is_what_the_plan_accepts(cases: int, floor: float, rate: float) -> None:
    plan, rng = plan_for(cases, floor, rate, alpha=ALPHA), np.random.default_rng(5)
    kinds = set()
    for p in np.linspace(floor - 0.1, 1, 60):
        for seen in (cases + 5, cases, cases // 2, 1, 0):
            passed = rng.random(seen) < p
            settled = plan.settle(passed)
            kinds.add(Kind.OPEN if settled is None else settled.kind)
            is_accepted = settled is not None and settled.kind is Kind.ACCEPTED
            assert accepts(passed, cases, floor, rate, alpha=ALPHA) is is_accepted
            assert accepts(passed.tolist(), cases, floor, rate, alpha=ALPHA) is is_accepted
    assert kinds >= ({Kind.OPEN, Kind.ACCEPTED, Kind.FUTILE} if plan.can_accept else {Kind.OPEN})


def test_a_sample_that_is_futile_first_is_not_accepted_by_what_comes_later() -> None:
    plan = plan_for(300, 0.9, 0.95, alpha=ALPHA)
    passed = [False] * 12 + [True] * 288
    settled = plan.settle(passed)
    assert settled is not None
    assert settled.kind is not Kind.ACCEPTED
    assert plan.accept[plan.n] >= 12  # where the sample ends it would have been
    assert accepts(passed, 300, 0.9, 0.95, alpha=ALPHA) is False


def test_of_a_sample_that_is_too_short_for_its_power_the_one_plan_says_it() -> None:
    """Of 100 cases at .87 no length has the power; the plan of all of them accepts 4 failures."""
    plan = plan_for(100, 0.87, 0.9, alpha=ALPHA)
    last = plan.accept[100]
    assert (plan.spending, last) == (SHORT_SPENDING, 4)
    for failures, could in ((last, True), (last + 1, False)):
        passed = [False] * failures + [True] * (100 - failures)
        assert could_accept(passed, 100, 0.87, 0.9, alpha=ALPHA) is could
        assert could_accept([*passed, True], 100, 0.87, 0.9, alpha=ALPHA) is could
