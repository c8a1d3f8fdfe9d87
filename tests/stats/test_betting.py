"""Bets on a mean: exact by enumeration of small samples, literals for the rest."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.stats.betting import (
    bet,
    bet_below,
    bet_clusters,
    bet_many,
    bet_paired,
    mean_bounds,
)

scores = st.lists(st.floats(0, 1), max_size=30)
means = st.floats(0, 1)


@pytest.mark.parametrize("mean", [0.05, 0.5, 0.9])
def test_wealth_is_a_fair_game_at_the_mean(mean: float) -> None:
    """Over all binary samples of 10 at rate = mean the expected wealth is 1 after each."""
    expected = np.zeros(10)
    for sample in itertools.product((0, 1), repeat=10):
        weight = mean ** sum(sample) * (1 - mean) ** (10 - sum(sample))
        expected += weight * np.array(bet(sample, mean, alpha=0.05).wealth)
    assert expected == pytest.approx(np.ones(10), abs=1e-9)


@pytest.mark.parametrize(("mean", "alpha"), [(0.3, 0.3), (0.5, 0.1), (0.5, 0.3), (0.8, 0.4)])
def test_a_true_mean_is_crossed_with_probability_at_most_alpha(mean: float, alpha: float) -> None:
    samples = np.array(list(itertools.product((0.0, 1.0), repeat=12)))
    weights = mean ** samples.sum(1) * (1 - mean) ** (12 - samples.sum(1))
    above = bet_many(samples, mean, alpha=alpha)
    below = bet_many(1 - samples, 1 - mean, alpha=alpha)
    assert 0 < weights[above.crossed_at > 0].sum() <= alpha
    assert 0 < weights[below.crossed_at > 0].sum() <= alpha
    for level in (0.05, 0.2, 0.6):
        assert weights[above.p_values <= level].sum() <= level


def test_the_first_bet() -> None:
    """Against 1/2, n = 4, alpha = .07: mixture (mean bet 1, so 1.5 for a 1) and target.

    Target: L = ln(1 / (.7 x .07)) = 3.016; v = .25; sqrt(2 L / (.25 x 4)) = 2.46, cut to .9 / m
    = 1.8: wealth 1.9. In all .3 x 1.5 + .7 x 1.9 = 1.78, and for a 0 .3 x .5 + .7 x .1 = .22.
    """
    assert bet([1], 0.5, alpha=0.07, n=4).wealth == pytest.approx((1.78,))
    assert bet([0], 0.5, alpha=0.07, n=4).wealth == pytest.approx((0.22,))


def test_wealth_of_one_over_alpha_is_needed() -> None:
    """Against 1/2 at .05: 20. Wald's (1 - beta) / alpha, 18 or 19, is not enough."""
    found = bet([1] * 12, 0.5, alpha=0.05)
    assert found.wealth[4:6] == pytest.approx((18.77, 29.39), abs=0.005)
    assert found.crossed_at == 6
    close = bet([0] + [1] * 8, 0.5, alpha=0.05)
    assert max(close.wealth) == pytest.approx(19.65, abs=0.005)
    assert close.crossed_at is None


def test_the_p_value_is_that_of_the_largest_wealth() -> None:
    found = bet([1] * 5 + [0] * 3, 0.5, alpha=0.05)
    assert found.p_value == pytest.approx(1 / max(found.wealth))
    assert bet([0] * 5, 0.5, alpha=0.05).p_value == 1.0
    assert bet([], 0.5, alpha=0.05).p_value == 1.0


@given(scores, means, st.floats(0.01, 0.4))
@settings(max_examples=50)
def test_many_samples_are_bet_on_like_each(x: list[float], mean: float, alpha: float) -> None:
    rows = np.array([x, [1 - s for s in x]], dtype=float)
    found = bet_many(rows, np.array([mean, 1 - mean]), alpha=alpha)
    one, other = bet(x, mean, alpha=alpha), bet_below(x, mean, alpha=alpha)
    assert tuple(found.crossed_at) == ((one.crossed_at or 0), (other.crossed_at or 0))
    assert tuple(found.p_values) == pytest.approx((one.p_value, other.p_value))


@given(scores, means)
@settings(max_examples=50)
def test_a_prefix_is_bet_on_alike(x: list[float], mean: float) -> None:
    whole = bet(x, mean, alpha=0.05, n=30)
    for seen in (0, len(x) // 2):
        part = bet(x[:seen], mean, alpha=0.05, n=30)
        assert part.wealth == pytest.approx(whole.wealth[:seen])


@given(scores, means)
@settings(max_examples=50)
def test_not_both_directions_are_proved(x: list[float], mean: float) -> None:
    above = bet(x, mean, alpha=0.05)
    below = bet_below(x, mean, alpha=0.05)
    assert above.crossed_at is None or below.crossed_at is None or len(x) > 3
    assert below.mean == mean
    assert math.isnan(below.estimate) if not x else below.estimate == pytest.approx(np.mean(x))


def test_the_length_that_was_planned_may_be_exceeded() -> None:
    found = bet([1.0, 0.0] * 20, 0.4, alpha=0.05, n=10)
    assert len(found.wealth) == 40
    assert all(math.isfinite(w) and w >= 0 for w in found.wealth)


def test_a_mean_of_one_is_never_crossed_and_any_score_is_above_zero() -> None:
    assert bet([1.0] * 500, 1.0, alpha=0.05).crossed_at is None
    assert bet([0.0] * 9 + [0.01], 0.0, alpha=0.05).crossed_at == 10
    assert bet([0.0] * 9, 0.0, alpha=0.05).crossed_at is None
    assert bet_below([1.0, 0.99], 1.0, alpha=0.05).crossed_at == 2
    assert bet_below([0.0] * 500, 0.0, alpha=0.05).crossed_at is None


def test_nothing_seen_is_nothing_proved() -> None:
    found = bet([], 0.9, alpha=0.05)
    assert (found.wealth, found.crossed_at, math.isnan(found.estimate)) == ((), None, True)
    assert mean_bounds([], alpha=0.05).low == 0.0
    assert bet_clusters([], 0.9, alpha=0.05).crossed_at is None
    assert bet_paired([], alpha=0.05).crossed_at is None


def test_a_very_long_sample_overflows_nothing() -> None:
    assert bet([1.0] * 10_000, 0.01, alpha=0.05).crossed_at == 2
    assert bet([0.0] * 10_000, 0.01, alpha=0.05).p_value == 1.0


def test_pairs_are_scaled_to_the_unit_interval() -> None:
    """d in [-1, 1] above -.05 is (d + 1) / 2 above .475; in [-r, 1], (d + r) / (1 + r)."""
    d = [0, 0, 1, 0, -1, 0, 1, 0, 0, 0] * 5
    found = bet_paired(d, -0.05, alpha=0.05)
    assert found.wealth == bet([(x + 1) / 2 for x in d], 0.475, alpha=0.05).wealth
    assert found.mean == -0.05
    assert found.estimate == pytest.approx(0.1)
    ratio = bet_paired([0.05, 1, -0.95, 0], 0.0, alpha=0.05, low=-0.95)
    scaled = [(x + 0.95) / 1.95 for x in (0.05, 1, -0.95, 0)]
    assert ratio.wealth == pytest.approx(bet(scaled, 0.95 / 1.95, alpha=0.05).wealth)
    below = bet_paired([-1, -1, 0, -1], 0.0, alpha=0.05, below=True)
    assert below.wealth == bet_paired([1, 1, 0, 1], 0.0, alpha=0.05).wealth


def test_pairs_without_a_difference_show_that_they_are_within_the_margin() -> None:
    assert bet_paired([0] * 300, -0.05, alpha=0.05).crossed_at is not None
    assert bet_paired([0] * 300, 0.0, alpha=0.05).crossed_at is None


@pytest.mark.parametrize("clusters", [[(1, 1), (0, 0)], [(1, 1, 1), (0, 0, 0)]])
def test_a_true_mean_of_clusters_is_crossed_with_probability_at_most_alpha(
    clusters: list[tuple[int, ...]],
) -> None:
    """Members that are all alike: eight clusters, of whole ones and whole zeros, at mean .5."""
    crossed = 0
    for chosen in itertools.product(clusters, repeat=8):
        found = bet_clusters(chosen, 0.5, alpha=0.1)
        assert found.n == 8
        crossed += found.crossed_at is not None
    assert 0 < crossed / 2**8 <= 0.1


def test_a_cluster_is_one_bet() -> None:
    """Largest 2, mean .5: (1, 1) bets like 1, (1, 0) like 1/2, (1) like .75, () like .5."""
    found = bet_clusters([(1, 1), (1, 0), (1,), ()], 0.5, alpha=0.05)
    assert found.wealth == bet([1, 0.5, 0.75, 0.5], 0.5, alpha=0.05).wealth
    assert found.estimate == pytest.approx(4 / 5)
    assert bet_clusters([(1, 0)], 0.5, alpha=0.05, largest=4, below=True).n == 1
    with pytest.raises(ValueError, match="larger than the largest"):
        bet_clusters([(1, 0, 1)], 0.5, alpha=0.05, largest=2)


def test_a_cluster_that_is_the_whole_sample_proves_nothing() -> None:
    assert bet_clusters([[1.0] * 300], 0.9, alpha=0.05).crossed_at is None


def alone(scores: list[float]) -> list[list[float]]:
    return [[score] for score in scores]


def test_the_lower_bound_is_the_last_mean_that_is_rejected() -> None:
    x = [1.0] * 95 + [0.0] + [1.0] * 99 + [0.0] * 5
    bound = mean_bounds(alone(x), alpha=0.05).low
    assert bet(x, bound, alpha=0.05).crossed_at is not None
    assert bet(x, bound + 0.002, alpha=0.05).crossed_at is None
    assert 0.88 < bound < 194 / 200
    assert mean_bounds(alone(x), alpha=0.01).low < bound
    assert mean_bounds(alone([0.0] * 50), alpha=0.05).low == 0.0


def test_the_upper_bound_is_the_lower_one_of_the_opposite_scores() -> None:
    x = [1.0, 0.0, 0.25, 1.0, 0.0, 0.0] * 20
    found = mean_bounds(alone(x), alpha=0.05)
    opposite = mean_bounds(alone([1 - score for score in x]), alpha=0.05)
    assert (found.low, found.high) == pytest.approx((1 - opposite.high, 1 - opposite.low))
    assert found.low < found.estimate == 0.375 < found.high


@pytest.mark.parametrize(
    "clusters",
    [
        alone([1.0] * 30 + [0.0] * 90),  # the first thirty reject means far above that of all
        alone([0.5, 1.0, 0.75, 0.0] * 20),
        [[1.0, 0.5], [0.25], [1.0, 1.0], [0.0, 1.0]] * 10,
        alone([0.6]),
    ],
)
def test_the_bounds_are_those_of_every_step_of_the_grid(clusters: list[list[float]]) -> None:
    found = mean_bounds(clusters, alpha=0.05)
    steps = [step / 500 for step in range(501)]
    above = [bet_clusters(clusters, m, alpha=0.05).crossed_at is not None for m in steps]
    below = [
        bet_clusters(clusters, m, alpha=0.05, below=True).crossed_at is not None for m in steps
    ]
    assert found.low == steps[max(above.index(False) - 1, 0)]
    assert found.high == pytest.approx(1 - max(below[::-1].index(False) - 1, 0) / 500)


def test_clusters_widen_the_bounds() -> None:
    x = ([1.0] * 4 + [0.0]) * 40
    apart = mean_bounds(alone(x), alpha=0.05)
    together = mean_bounds([x[i : i + 5] for i in range(0, 200, 5)], alpha=0.05)
    alike = mean_bounds([[score] * 5 for score in x[:40]], alpha=0.05)
    assert together.estimate == alike.estimate == apart.estimate == 0.8
    assert alike.low < apart.low


@pytest.mark.parametrize("bad", [[1.2], [-0.1], [math.nan]])
def test_scores_outside_the_unit_interval_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="observations must lie"):
        bet(bad, 0.9, alpha=0.05)


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="the mean"):
        bet([1.0], 1.1, alpha=0.05)
    with pytest.raises(ValueError, match="alpha"):
        bet([1.0], 0.9, alpha=0.0)
    with pytest.raises(ValueError, match="margin"):
        bet_paired([0.0], 1.5, alpha=0.05)
    with pytest.raises(ValueError, match="observations must lie"):
        bet_paired([0.99], 0.0, alpha=0.05, high=0.5)
