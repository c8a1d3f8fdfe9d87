"""Sequential plans: their lines, their exact characteristics, and where a sample settles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.stats.plan import (
    Crossing,
    Kind,
    Plan,
    build_plan,
    operating_characteristics,
    plan_for,
    settle_many,
)

plans = st.builds(
    lambda n, ends, alpha, spending, start: build_plan(
        n, min(ends), max(ends), alpha=alpha, spending=spending, futile_from=start
    ),
    st.integers(1, 9),
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.9, 1.0]), st.floats(0, 1)),
    st.floats(0.01, 0.4),
    st.sampled_from([0.5, 0.7, 1.0, 4.0]),
    st.integers(1, 9),
)


def law(n: int, p: float) -> list[tuple[tuple[bool, ...], float]]:
    """Every sequence of n observations with its probability."""
    return [
        (sequence, math.prod(p if passed else 1 - p for passed in sequence))
        for sequence in itertools.product((True, False), repeat=n)
    ]


def lines_crossed(plan: Plan, sequence: tuple[bool, ...]) -> Crossing | None:
    """`settle` from its definition, one observation after the other."""
    for t in range(1, len(sequence) + 1):
        failures = sequence[:t].count(False)
        if failures <= plan.accept[t]:
            return Crossing(Kind.ACCEPTED, t)
        if failures >= plan.reject[t]:
            return Crossing(Kind.REJECTED, t)
        if plan.futile_from <= t < plan.n and failures >= plan.futile[t]:
            return Crossing(Kind.FUTILE, t)
    return None


def accept_probability_of_the_line(plan: Plan) -> float:
    """P(ever accepted) at p = floor where neither futility nor rejection stops anybody."""
    left, accepted = np.zeros(plan.n + 1), 0.0  # the law of the failures of what goes on
    left[0] = 1.0
    for most in plan.accept[1:]:
        left[1:] = plan.floor * left[1:] + (1 - plan.floor) * left[:-1]
        left[0] *= plan.floor
        accepted += float(left[: most + 1].sum())
        left[: most + 1] = 0.0
    return accepted


def test_the_lines_of_a_small_plan_follow_from_its_definition() -> None:
    """Floor 1/2, alpha .3: budgets .15 .21 .26 .30; the laws are multiples of 1/16.

    t=1: P(0 failures) = .5; t=2: .25; neither fits. t=3: .125 fits; 1 failure, .375, does not.
    t=4: 1 failure has 3/16 left, and .125 + .1875 > .3. Rejected is the mirror image: 3 of 3.
    At rate .9, beta .2 (budgets .1 .141 .173 .2): t=1: 1 failure has .1 and fits; t=2: 1 failure
    has .09 more, .19; t=3: .271; t=4: at most a failure fewer than is certain to be too many.
    """
    plan = build_plan(4, 0.5, 0.9, alpha=0.3, futility_beta=0.2, futile_from=1)
    assert plan.accept == (-1, -1, -1, 0, 0)
    assert plan.reject == (1, 2, 3, 3, 4)
    assert plan.futile == (1, 1, 1, 1, 1)


def test_a_sample_that_is_sure_to_be_accepted_is_accepted_at_once() -> None:
    """With 8 of 10 failures allowed in the end, one success is enough to be sure after 3."""
    plan = build_plan(10, 0.05, 0.6, alpha=0.05)
    last = plan.accept[10]
    assert all(plan.accept[t] >= last - (10 - t) for t in range(11))


def test_lines_never_fall_and_never_meet() -> None:
    for n, floor, rate in [(300, 0.9, 0.95), (100, 0.5, 0.7), (60, 0.98, 0.995), (200, 0.1, 0.3)]:
        plan = build_plan(n, floor, rate, alpha=0.05)
        assert list(plan.accept) == sorted(plan.accept)
        assert list(plan.reject) == sorted(plan.reject)
        assert all(a < r for a, r in zip(plan.accept, plan.reject, strict=True))
        assert all(a < r for a, r in zip(plan.accept, plan.futile, strict=True))


@pytest.mark.parametrize(
    ("p", "expected_n", "accepted"),
    [
        (0.80, 27, 0.000),
        (0.85, 49, 0.002),
        (0.90, 119, 0.049),
        (0.95, 147, 0.865),
        (0.975, 75, 0.998),
        (0.99, 50, 1.000),
    ],
)
def test_the_oracle_table(p: float, expected_n: int, accepted: float) -> None:
    """The design's table: floor .90, rate .95, n = 300, futility at every look."""
    plan = build_plan(300, 0.90, 0.95, alpha=0.05, futile_from=1)
    found = operating_characteristics(plan, p)
    assert round(found.expected_n) == expected_n
    assert found.accept_probability == pytest.approx(accepted, abs=0.0006)


@given(plans, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_characteristics_are_those_of_all_sequences(plan: Plan, p: float) -> None:
    totals = dict.fromkeys(Kind, 0.0)
    expected = 0.0
    for sequence, probability in law(plan.n, p):
        crossing = lines_crossed(plan, sequence)
        totals[crossing.kind if crossing else Kind.OPEN] += probability
        expected += probability * (crossing.index if crossing else plan.n)
    found = operating_characteristics(plan, p)
    assert found.accept_probability == pytest.approx(totals[Kind.ACCEPTED], abs=1e-12)
    assert found.reject_probability == pytest.approx(totals[Kind.REJECTED], abs=1e-12)
    assert found.futile_probability == pytest.approx(totals[Kind.FUTILE], abs=1e-12)
    assert found.expected_n == pytest.approx(expected, abs=1e-9)


@given(plans)
@settings(max_examples=60, deadline=None)
def test_errors_are_at_most_alpha_whatever_else_stops_the_sample(plan: Plan) -> None:
    """Over all sequences at the floor: ever at or below `accept`, ever at or above `reject`."""
    accepted = rejected = 0.0
    for sequence, probability in law(plan.n, plan.floor):
        failures = [sequence[:t].count(False) for t in range(plan.n + 1)]
        accepted += probability * any(f <= a for f, a in zip(failures, plan.accept, strict=True))
        rejected += probability * any(f >= r for f, r in zip(failures, plan.reject, strict=True))
    assert accepted == pytest.approx(accept_probability_of_the_line(plan), abs=1e-12)
    assert accepted <= plan.alpha + 1e-12
    assert rejected <= plan.alpha + 1e-12


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3, 0.05 / 64])
@pytest.mark.parametrize("n", [40, 300, 1000])
def test_no_plan_accepts_at_the_floor_more_often_than_alpha(n: int, alpha: float) -> None:
    """Also when the futility line is overridden: it is not part of the computation."""
    for floor, rate in [(0.75, 0.8), (0.87, 0.90), (0.90, 0.95), (0.95, 0.98), (0.99, 0.999)]:
        for spending in (0.5, 0.7, 1.0):
            plan = build_plan(n, floor, rate, alpha=alpha, spending=spending)
            assert accept_probability_of_the_line(plan) <= alpha + 1e-12
            kept = operating_characteristics(plan, floor)
            assert kept.accept_probability <= accept_probability_of_the_line(plan) + 1e-12
            assert kept.reject_probability <= alpha + 1e-12


def test_most_of_alpha_is_spent() -> None:
    plan = build_plan(300, 0.90, 0.95, alpha=0.05)
    assert accept_probability_of_the_line(plan) == pytest.approx(0.0499, abs=0.0001)


@given(plans, st.lists(st.booleans(), max_size=12))
def test_a_sample_settles_where_it_first_crosses(plan: Plan, passed: list[bool]) -> None:
    assert plan.settle(passed) == lines_crossed(plan, tuple(passed[: plan.n]))


@given(plans, st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_many_samples_settle_like_each(plan: Plan, length: int, seed: int) -> None:
    passed = np.random.default_rng(seed).random((7, length)) < plan.floor
    found = settle_many(plan, passed)
    for row, kind, index in zip(passed, found.kinds, found.indices, strict=True):
        crossing = plan.settle(row)
        open_at = Crossing(Kind.OPEN, min(length, plan.n))
        assert (crossing or open_at) == Crossing(Kind(int(kind)), int(index))


@given(plans, st.lists(st.booleans(), min_size=9, max_size=9), st.integers(0, 9))
def test_what_follows_a_crossing_changes_nothing(plan: Plan, passed: list[bool], seen: int) -> None:
    early, late = plan.settle(passed[:seen]), plan.settle(passed)
    assert early is None or early == late


def test_a_clearly_bad_sample_is_shown_to_be_bad_before_it_is_futile() -> None:
    plan = build_plan(300, 0.90, 0.95, alpha=0.05)
    assert plan.settle([False] * 48) == Crossing(Kind.REJECTED, 3)
    assert plan.settle([True, False, False] * 16) == Crossing(Kind.REJECTED, 6)


def test_futility_waits_for_its_first_look_and_is_not_asked_at_the_end() -> None:
    plan = build_plan(300, 0.90, 0.95, alpha=0.05)
    four_in_five = [True, True, True, True, False] * 60
    assert plan.settle(four_in_five) == Crossing(Kind.FUTILE, 48)
    assert plan.settle(four_in_five[:47]) is None
    short = build_plan(20, 0.90, 0.95, alpha=0.05, futile_from=20)
    assert short.settle([True] * 15 + [False] * 3 + [True] * 2) is None


def test_a_plan_that_cannot_accept_is_futile_from_the_first_look() -> None:
    """.95^50 = .077 > .05: not even fifty passes of fifty would do."""
    plan = build_plan(50, 0.95, 0.99, alpha=0.05)
    assert set(plan.accept) == {-1}
    assert plan.settle([True] * 50) == Crossing(Kind.FUTILE, 13)
    assert operating_characteristics(plan, 1.0).accept_probability == 0.0
    assert accept_probability_of_the_line(plan) == 0.0


def test_a_floor_of_one_is_never_accepted_and_one_failure_rejects() -> None:
    plan = build_plan(100, 1.0, 1.0, alpha=0.05)
    assert set(plan.accept) == {-1}
    assert plan.settle([True] * 10 + [False]) == Crossing(Kind.REJECTED, 11)


def test_a_floor_of_zero_is_never_rejected_and_one_success_accepts() -> None:
    plan = build_plan(100, 0.0, 0.5, alpha=0.05)
    assert plan.settle([False] * 10 + [True]) == Crossing(Kind.ACCEPTED, 11)
    assert plan.settle([False] * 24) is None
    assert accept_probability_of_the_line(plan) == 0.0


def test_a_plan_without_observations_never_settles() -> None:
    plan = build_plan(0, 0.9, 0.95, alpha=0.05)
    assert plan.settle([]) is None
    assert plan.settle([True]) is None
    assert operating_characteristics(plan, 0.9).expected_n == 0.0


@pytest.mark.parametrize(
    ("n", "floor", "rate", "alpha"),
    [(-1, 0.9, 0.95, 0.05), (9, 0.9, 0.8, 0.05), (9, -0.1, 0.8, 0.05), (9, 0.9, 0.95, 0.0)],
)
def test_a_plan_of_nonsense_is_refused(n: int, floor: float, rate: float, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"n must not|floor|alpha"):
        build_plan(n, floor, rate, alpha=alpha)


@pytest.mark.parametrize(
    ("cases", "floor", "rate", "alpha"),
    [(300, 0.8, 0.9, 0.05), (300, 0.85, 0.95, 0.05 / 3), (260, 0.1, 0.2, 0.05)],
)
def test_the_shortest_plan_with_the_power_is_found(
    cases: int, floor: float, rate: float, alpha: float
) -> None:
    plan = plan_for(cases, floor, rate, alpha=alpha)
    powers = {
        n: operating_characteristics(build_plan(n, floor, rate, alpha=alpha), rate)
        for n in range(10, cases + 1, 10)
    }
    enough = [n for n, found in powers.items() if found.accept_probability >= 0.9]
    assert plan.n == min(enough) < cases
    assert plan.spending == 0.5


def test_a_sample_too_short_for_the_power_is_used_whole_and_spends_later() -> None:
    plan = plan_for(300, 0.90, 0.95, alpha=0.05 / 3)
    assert (plan.n, plan.spending) == (300, 0.7)
    early = build_plan(300, 0.90, 0.95, alpha=0.05 / 3)
    gain = [operating_characteristics(each, 0.95).accept_probability for each in (plan, early)]
    assert gain == pytest.approx([0.755, 0.708], abs=0.001)
    assert plan_for(7, 0.5, 0.9, alpha=0.05).n == 7


def test_the_search_is_remembered() -> None:
    assert plan_for(120, 0.8, 0.9, alpha=0.05) is plan_for(120, 0.8, 0.9, alpha=0.05)
