"""An exact plan followed piece by piece: what it crosses is what the whole sample crosses."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.stats.plan import Crossing, Kind, Plan, build_plan
from calibrate.stats.walk import Walk

PLANS = [build_plan(60, floor, floor + 0.1, alpha=0.05) for floor in (0.5, 0.8, 0.9)]


def alone(passed: list[bool]) -> list[list[float]]:
    return [[float(one)] for one in passed]


@given(
    st.sampled_from(PLANS),
    st.lists(st.sampled_from([True, True, True, False]), max_size=70),
    st.integers(1, 30),
)
@settings(max_examples=200)
def test_it_crosses_what_the_plan_says_of_the_same_prefix(
    plan: Plan, passed: list[bool], step: int
) -> None:
    walk = Walk(plan)
    for start in range(0, len(passed), step):
        walk = walk.after(alone(passed[start : start + step]))
        assert walk.crossing == plan.settle(passed[: start + step])
    assert walk.seen == min(len(passed), plan.n)


def test_it_crosses_a_line_once() -> None:
    # 0.05 sqrt(t / 60) is spent up to t: 0.8^16 = 0.0281 is more than 0.0258, 0.8^17 = 0.0225 less
    # than 0.0266; 0.2^3 = 0.008 is less than 0.0112. Futility is looked at from a quarter on.
    plan = build_plan(60, 0.8, 0.9, alpha=0.05)
    accepted, rejected, futile = (
        Walk(plan).after(alone(passed)).crossing
        for passed in ([True] * 20 + [False] * 40, [False] * 60, [True, True, False] * 20)
    )
    assert accepted == Crossing(Kind.ACCEPTED, 17)
    assert rejected == Crossing(Kind.REJECTED, 3)
    assert futile == Crossing(Kind.FUTILE, 15)


def test_the_earliest_crossing_is_that_of_the_plan() -> None:
    plan = PLANS[1]
    walk = Walk(plan).after(alone([True, False, True]))
    assert (walk.seen, walk.failures) == (3, 1)
    assert walk.earliest_crossing() == plan.earliest_crossing(3, 1)
