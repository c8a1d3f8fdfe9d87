"""Exact binomial bounds: reference values, and the promises by enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.stats.exact import (
    clopper_pearson,
    fewest_successes,
    sample_size_for_rate,
    sequence_p_value,
    upper_tail,
    zero_failure_size,
)


def test_bounds_are_one_sided_at_alpha_each() -> None:
    """statsmodels 0.15: proportion_confint(289, 300, alpha=0.10, method="beta")."""
    bounds = clopper_pearson(289, 300, alpha=0.05)
    assert (bounds.low, bounds.high) == pytest.approx((0.9400376280647724, 0.9793034664176532))
    assert bounds.estimate == pytest.approx(289 / 300)


def test_bounds_at_the_ends() -> None:
    """With 20 of 20, low^20 = .05; with none of 20, (1 - high)^20 = .05."""
    assert clopper_pearson(20, 20, alpha=0.05).low == pytest.approx(0.05 ** (1 / 20))
    assert clopper_pearson(20, 20, alpha=0.05).high == 1.0
    assert clopper_pearson(0, 20, alpha=0.05).high == pytest.approx(1 - 0.05 ** (1 / 20))
    nothing = clopper_pearson(0, 0, alpha=0.05)
    assert (nothing.low, nothing.high, math.isnan(nothing.estimate)) == (0.0, 1.0, True)


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 0.4))
def test_bounds_hold_the_estimate_and_tighten(successes: int, failures: int, alpha: float) -> None:
    n = successes + failures
    bounds = clopper_pearson(successes, n, alpha=alpha)
    assert 0 <= bounds.low <= bounds.high <= 1
    if n:
        assert bounds.low <= bounds.estimate <= bounds.high
    doubled = clopper_pearson(2 * successes, 2 * n, alpha=alpha)
    assert doubled.high - doubled.low <= bounds.high - bounds.low + 1e-12


@given(st.integers(1, 40), st.floats(0, 1), st.floats(0.01, 0.4))
def test_a_bound_is_wrong_with_probability_at_most_alpha(n: int, p: float, alpha: float) -> None:
    law = [math.comb(n, s) * p**s * (1 - p) ** (n - s) for s in range(n + 1)]
    bounds = [clopper_pearson(s, n, alpha=alpha) for s in range(n + 1)]
    assert sum(w for w, b in zip(law, bounds, strict=True) if b.low > p) <= alpha + 1e-9
    assert sum(w for w, b in zip(law, bounds, strict=True) if b.high < p) <= alpha + 1e-9


def test_tails_at_and_beyond_their_ends() -> None:
    assert upper_tail(0, 5, 0.3) == 1.0
    assert upper_tail(6, 5, 0.3) == 0.0
    assert upper_tail(5, 5, 0.5) == pytest.approx(1 / 32)
    assert (upper_tail(1, 5, 0.0), upper_tail(5, 5, 1.0)) == (0.0, 1.0)


def test_the_fewest_successes_that_reject() -> None:
    """n = 200, floor .90: P(at most 12 failures) = .0320, at most 13 .0566."""
    assert fewest_successes(200, 0.90, alpha=0.05) == 188
    assert upper_tail(188, 200, 0.90) == pytest.approx(0.0320465, abs=1e-7)
    assert upper_tail(187, 200, 0.90) == pytest.approx(0.0565620, abs=1e-7)
    assert fewest_successes(28, 0.90, alpha=0.05) is None  # .9^28 = .0523
    assert fewest_successes(29, 0.90, alpha=0.05) == 29
    assert fewest_successes(0, 0.90, alpha=0.05) is None


@pytest.mark.parametrize(
    ("floor", "n"),
    [(0.80, 14), (0.85, 19), (0.90, 29), (0.95, 59), (0.98, 149), (0.99, 299), (0.0, 1)],
)
def test_the_size_at_which_a_clean_sample_rejects(floor: float, n: int) -> None:
    assert zero_failure_size(floor, alpha=0.05) == n


def test_no_clean_sample_rejects_a_floor_of_one() -> None:
    assert zero_failure_size(1.0, alpha=0.05) is None
    assert zero_failure_size(0.5, alpha=0.5) == 1


@pytest.mark.parametrize(("observed", "floor"), [(0.95, 0.9), (1.0, 0.9), (0.5, 0.1), (0.3, 0.0)])
def test_from_the_size_on_every_sample_at_the_rate_rejects(observed: float, floor: float) -> None:
    def rejects(n: int) -> bool:
        return upper_tail(int(observed * n + 1e-9), n, floor) <= 0.05

    size = sample_size_for_rate(observed, floor, alpha=0.05)
    assert size is not None
    assert all(rejects(n) for n in range(size, 4 * size + 50))
    assert size == 1 or not rejects(size - 1)


def test_no_size_settles_a_rate_at_or_hardly_above_the_floor() -> None:
    assert sample_size_for_rate(0.90, 0.90, alpha=0.05) is None
    assert sample_size_for_rate(0.80, 0.90, alpha=0.05) is None
    assert sample_size_for_rate(0.91, 0.90, alpha=0.05, limit=2000) is None
    assert sample_size_for_rate(0.91, 0.90, alpha=0.05, limit=2679) == 2679
    assert sample_size_for_rate(1.0, 0.0, alpha=0.05) == 1


def test_equal_counts_are_ranked_by_the_clean_run_at_the_end() -> None:
    """Floor 1/2, n = 3, each sequence 1/8: +++ 1, -++ 2, +-+ 3, ++- 4, --+ 5, -+- 6, +-- 7."""
    ranked = ["+++", "-++", "+-+", "++-", "--+", "-+-", "+--", "---"]
    for place, word in enumerate(ranked, 1):
        passed = [sign == "+" for sign in word]
        assert sequence_p_value(passed, 0.5) == pytest.approx(place / 8)


@given(st.integers(0, 9), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_sequence_p_value_is_valid_at_every_level(n: int, floor: float) -> None:
    """P(p-value <= level) <= level at the floor, and no larger below it."""
    sequences = list(itertools.product((True, False), repeat=n))
    values = np.array([sequence_p_value(s, floor) for s in sequences])
    for rate in (floor, floor / 2):
        weights = np.array([rate ** sum(s) * (1 - rate) ** (n - sum(s)) for s in sequences])
        order = np.argsort(values)
        reached = np.cumsum(weights[order])
        assert np.all(reached <= values[order] + 1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.floats(0.05, 0.95))
def test_a_sequence_p_value_lies_between_the_tails_it_refines(
    passed: list[bool], floor: float
) -> None:
    successes, n = sum(passed), len(passed)
    value = sequence_p_value(passed, floor)
    assert upper_tail(successes + 1, n, floor) <= value <= upper_tail(successes, n, floor) + 1e-15


def test_sequence_p_values_of_no_sample_and_of_certain_floors() -> None:
    assert sequence_p_value([], 0.9) == 1.0
    assert sequence_p_value([True] * 5, 1.0) == 1.0
    assert sequence_p_value([False] * 4 + [True], 0.0) == 0.0
    assert sequence_p_value([False] * 5, 0.0) == 1.0


@pytest.mark.parametrize(("successes", "n", "alpha"), [(6, 5, 0.05), (-1, 5, 0.05), (1, 5, 1.0)])
def test_impossible_counts_are_refused(successes: int, n: int, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"successes|alpha"):
        clopper_pearson(successes, n, alpha=alpha)
