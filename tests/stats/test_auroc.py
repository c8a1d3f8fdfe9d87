"""The area under the curve: reference values and what has no answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from calibrate.stats.auroc import auroc


def test_it_is_the_share_of_pairs_in_the_right_order() -> None:
    """Right: .9, .6; wrong: .6, .1. Of four pairs three are right and one is a tie."""
    found = auroc(np.array([0.9, 0.6, 0.6, 0.1]), np.array([1.0, 1, 0, 0]))
    assert found is not None
    assert found.estimate == pytest.approx(3.5 / 4)


def test_it_equals_the_statistic_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(1)
    scores = (rng.random(100) < 0.8).astype(float)
    signal = (scores + rng.normal(size=100)).round(1)
    found = auroc(signal, scores)
    assert found is not None
    u = mannwhitneyu(signal[scores == 1], signal[scores == 0]).statistic
    assert found.estimate == pytest.approx(u / (scores.sum() * (1 - scores).sum()))


def test_the_interval_is_newcombes() -> None:
    """Its ends solve (estimate - a)^2 = z^2 V(a): here with 30 right and 10 wrong."""
    signal = np.concatenate([np.arange(30) + 4.5, np.arange(10)])
    scores = np.repeat([1.0, 0.0], [30, 10])
    found = auroc(signal, scores)
    assert found is not None
    for end in (found.low, found.high):
        shape = 2 * 20 - 1 - (3 * 20 - 3) / ((2 - end) * (1 + end))
        variance = end * (1 - end) * shape / 300
        assert (found.estimate - end) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-5)
    assert found.low < found.estimate < found.high


def test_a_perfect_signal_and_its_opposite_have_bounds_too() -> None:
    scores = np.repeat([1.0, 0.0], 10)
    best, worst = auroc(scores, scores), auroc(-scores, scores)
    assert best is not None
    assert worst is not None
    assert (best.estimate, best.high, worst.estimate, worst.low) == (1, 1, 0, 0)
    assert best.low == pytest.approx(1 - worst.high)
    assert 0.7 < best.low < 0.95


def test_a_constant_signal_knows_nothing() -> None:
    found = auroc(np.full(40, 0.9), np.repeat([1.0, 0.0], [30, 10]))
    assert found is not None
    assert found.estimate == 0.5
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("scores", [[1.0, 1.0], [0.0, 0.0], []])
def test_without_both_right_and_wrong_there_is_none(scores) -> None:
    assert auroc(np.zeros(len(scores)), np.array(scores)) is None


def test_a_score_in_between_counts_in_its_parts() -> None:
    """Right are .9 of the upper and .2 of the lower answer, wrong are .1 and .8 of them."""
    found = auroc(np.array([0.7, 0.3]), np.array([0.9, 0.2]))
    assert found is not None
    assert found.estimate == pytest.approx((0.9 * 0.8 + (0.09 + 0.16) / 2) / (1.1 * 0.9))
