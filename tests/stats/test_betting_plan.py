"""When a sample of bounded scores, or of clusters, may stop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.stats.betting import bet, bet_below
from calibrate.stats.betting_plan import BettingPlan
from calibrate.stats.plan import FUTILITY_FROM, Kind

SINGLE = BettingPlan((1,) * 200, 0.8, 0.9, 0.05)


def alone(scores: list[float]) -> list[list[float]]:
    return [[score] for score in scores]


def test_it_accepts_where_the_bet_for_it_crosses() -> None:
    scores = [1.0, 1.0, 0.75, 1.0] * 30
    found = SINGLE.settle(alone(scores))
    assert found is not None
    assert (found.kind, found.index) == (
        Kind.ACCEPTED,
        bet(scores, 0.8, alpha=0.05, n=200).crossed_at,
    )


def test_it_rejects_where_the_bet_against_it_crosses() -> None:
    scores = [0.25, 0.5, 0.0, 0.5] * 20
    found = SINGLE.settle(alone(scores))
    assert found is not None
    assert (found.kind, found.index) == (
        Kind.REJECTED,
        bet_below(scores, 0.8, alpha=0.05, n=200).crossed_at,
    )


def test_what_comes_after_the_crossing_changes_nothing() -> None:
    scores = [1.0, 1.0, 0.75, 1.0] * 30
    found = SINGLE.settle(alone(scores))
    assert found is not None
    assert SINGLE.settle(alone([*scores[: found.index], *[0.0] * 50])) == found
    assert SINGLE.settle(alone(scores[: found.index - 1])) is None


def test_a_sample_below_the_design_rate_is_futile_but_not_at_once() -> None:
    # 0.8 on average: neither above the floor nor below it, but hardly ever at 0.9
    found = SINGLE.settle(alone([1.0, 1.0, 1.0, 1.0, 0.0] * 40))
    assert found is not None
    assert found.kind is Kind.FUTILE
    assert FUTILITY_FROM <= found.index < 200


def test_a_cluster_is_one_observation() -> None:
    scores = [1.0] * 60
    apart = SINGLE.settle(alone(scores))
    clustered = BettingPlan((5,) * 40, 0.8, 0.9, 0.05).settle([scores[:5]] * 12)
    assert apart is not None
    assert apart.kind is Kind.ACCEPTED
    assert apart.index > 12  # the same 60 passes are 12 observations, too few
    assert clustered is None


@pytest.mark.parametrize(
    ("sizes", "best", "can"),
    [
        ((1,) * 30, 1.0, True),
        ((1,) * 8, 1.0, False),
        ((300,), 1.0, False),  # one cluster is one observation
        ((1,) * 30, 0.85, False),
    ],
)
def test_whether_the_best_sample_would_be_accepted(
    sizes: tuple[int, ...], best: float, can: bool
) -> None:
    assert BettingPlan(sizes, 0.8, 0.9, 0.05, best=best).can_accept is can


def test_the_earliest_crossing_is_where_the_best_or_the_worst_would_end() -> None:
    best, worst = (SINGLE.settle(alone([score] * 200)) for score in (1.0, 0.0))
    assert best is not None
    assert worst is not None
    assert SINGLE.start().earliest_crossing() == min(best.index, worst.index)
    seen = alone([1.0] * (best.index - 1))
    assert SINGLE.start().after(seen).earliest_crossing() == best.index
    assert BettingPlan((1,) * 2, 0.8, 0.9, 0.05).start().earliest_crossing() == 2


def test_where_something_is_crossed_the_earliest_crossing_is_that() -> None:
    seen = SINGLE.start().after(alone([1.0] * 200))
    assert seen.crossing is not None
    assert seen.earliest_crossing() == seen.crossing.index


@given(st.data(), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_sample_in_pieces_crosses_what_the_whole_one_does(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, rng.choice([2, 6, 12]), 90)
    plan = BettingPlan(tuple(sizes.tolist()), 0.8, 0.9, 0.05)
    mean = rng.choice([0.7, 0.8, 0.85, 0.95])
    clusters = [rng.beta(mean, 1 - mean, size).tolist() for size in sizes]
    course, seen = plan.start(), 0
    while seen < plan.n:
        last = seen + data.draw(st.integers(1, 40))
        course, seen = course.after(clusters[seen:last]), min(last, plan.n)
        assert course.seen == seen
        assert course.crossing == plan.settle(clusters[:seen])
    assert plan.start().after(clusters).crossing == plan.settle(clusters)


def test_looking_only_where_something_could_be_crossed_misses_no_crossing() -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        clusters = alone(rng.beta(1.7, 0.3, SINGLE.n).tolist())
        course = SINGLE.start()
        while course.crossing is None and course.seen < SINGLE.n:
            course = course.after(clusters[course.seen : course.earliest_crossing()])
        crossing = SINGLE.settle(clusters)
        assert course.seen == (SINGLE.n if crossing is None else crossing.index)


def test_what_comes_after_the_last_cluster_is_not_looked_at() -> None:
    plan = BettingPlan((1,) * 6, 0.8, 0.9, 0.05)
    course = plan.start().after(alone([1.0] * 9))
    assert course.seen == 6
    assert course.after(alone([0.0] * 9)) is course


def test_a_sample_at_the_floor_is_accepted_no_more_often_than_promised() -> None:
    found = BettingPlan((3,) * 60, 0.9, 0.95, 0.05).characteristics(0.9, seed=3)
    assert found.accept_probability <= 0.05
    assert found.expected_n <= 180


def test_the_characteristics_are_those_of_the_rule_itself() -> None:
    plan = BettingPlan((2,) * 50, 0.8, 0.9, 0.05)
    rng = np.random.default_rng(5)
    kinds = []
    for _ in range(60):
        found = plan.settle([[float(x)] * 2 for x in rng.random(50) < 0.95])
        kinds.append(Kind.OPEN if found is None else found.kind)
    said = plan.characteristics(0.95)
    assert abs(kinds.count(Kind.ACCEPTED) / 60 - said.accept_probability) < 0.2
    parts = said.accept_probability + said.reject_probability + said.futile_probability
    assert 0.5 < parts <= 1


def test_how_many_more_like_these_would_be_accepted() -> None:
    clusters = alone([1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 0.25, 1.0])  # 0.875 on average
    more = SINGLE.size_to_accept(clusters, alpha=0.05)
    assert more is not None
    assert 20 < more < SINGLE.size_to_accept(clusters, alpha=0.001) < 1000  # type: ignore[operator]


@pytest.mark.parametrize("scores", [[], [0.8] * 10, [0.801] * 10])
def test_where_nothing_would_be_accepted_it_says_none(scores: list[float]) -> None:
    plan = BettingPlan((1,) * 10, 0.8, 0.9, 1e-9)
    assert plan.size_to_accept(alone(scores), alpha=1e-30) is None
