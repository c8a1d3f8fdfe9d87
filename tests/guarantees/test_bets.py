"""What is promised of bets: their error for scores, repeats and clusters; what pairs save."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate.stats.betting import bet_clusters, bet_many

Floats = NDArray[np.float64]
Design = Callable[[np.random.Generator, int, int], Floats]


def binary(rng: np.random.Generator, runs: int, n: int) -> Floats:
    return (rng.random((runs, n)) < 0.95).astype(float)


def two_kinds(rng: np.random.Generator, runs: int, n: int) -> Floats:
    """85 % Beta(30, 1), 15 % Beta(2, 3): mean .85 x 30/31 + .15 x 2/5."""
    good, bad = rng.beta(30, 1, (runs, n)), rng.beta(2, 3, (runs, n))
    return np.where(rng.random((runs, n)) < 0.85, good, bad)


def skewed(rng: np.random.Generator, runs: int, n: int) -> Floats:
    return rng.beta(9, 1, (runs, n))


def repeats(rng: np.random.Generator, runs: int, n: int) -> Floats:
    """Four repeats of each case, averaged: the case is the unit, never the repeat."""
    return rng.binomial(4, rng.beta(1.8, 0.2, (runs, n))) / 4


DESIGNS: dict[str, tuple[Design, float]] = {
    "binary": (binary, 0.95),
    "two kinds": (two_kinds, 0.85 * 30 / 31 + 0.15 * 2 / 5),
    "skewed": (skewed, 0.9),
    "repeats": (repeats, 0.9),
}


def clustered(rng: np.random.Generator, runs: int, n: int, p: float) -> Floats:
    """Clusters of five binary scores with intraclass correlation 1/3: runs x clusters x 5.

    Beta(2 p, 2 (1 - p)) over clusters: the correlation is 1 / (1 + 2).
    """
    rates = rng.beta(2 * p, 2 * (1 - p), (runs, n // 5, 1))
    return (rng.random((runs, n // 5, 5)) < rates).astype(float)


def crossings(scores: Floats, mean: float) -> float:
    return float(np.mean(bet_many(scores, mean, alpha=0.05).crossed_at > 0))


def check(design: str, n: int, runs: int, seed: int) -> float:
    draw, mean = DESIGNS[design]
    return crossings(draw(np.random.default_rng(seed), runs, n), mean)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_true_mean_is_hardly_ever_rejected(design: str) -> None:
    assert check(design, 100, 1000, 3) <= 0.05 + 0.014  # two standard errors of 1000


@pytest.mark.audit
@pytest.mark.parametrize("n", [20, 50, 100, 300])
@pytest.mark.parametrize("design", DESIGNS)
def test_no_design_rejects_its_true_mean_too_often(design: str, n: int) -> None:
    assert check(design, n, 4000, 4) <= 0.055


def cluster_bets(scores: Floats, mean: float) -> float:
    """`bet_clusters`, all runs at once: the stakes it bets on (a test holds them equal)."""
    stakes = (scores - mean).sum(axis=2) / scores.shape[2]
    return crossings(np.clip(mean + stakes, 0, 1), mean)


def test_clusters_are_bet_on_as_one() -> None:
    scores = clustered(np.random.default_rng(5), 40, 300, 0.9)
    found = [bet_clusters(list(run), 0.9, alpha=0.05).crossed_at is not None for run in scores]
    assert np.mean(found) == cluster_bets(scores, 0.9)
    loose = clustered(np.random.default_rng(5), 60, 300, 0.97)
    assert cluster_bets(loose, 0.9) > 0.5


def test_clusters_keep_the_error_that_their_members_would_not() -> None:
    """The same bets on single members are wrong four times as often as promised."""
    scores = clustered(np.random.default_rng(6), 1000, 300, 0.9)
    assert cluster_bets(scores, 0.9) <= 0.05 + 0.014
    assert crossings(scores.reshape(1000, 300), 0.9) > 0.15


def test_bet_clusters_keeps_the_error_of_its_promise() -> None:
    scores = clustered(np.random.default_rng(7), 200, 300, 0.9)
    found = [bet_clusters(list(run), 0.9, alpha=0.05).crossed_at is not None for run in scores]
    assert np.mean(found) <= 0.05 + 2 * 0.0154


@pytest.mark.audit
@pytest.mark.parametrize("n", [20, 50, 100, 300])
@pytest.mark.parametrize("p", [0.8, 0.9, 0.95])
def test_clusters_keep_the_error(n: int, p: float) -> None:
    assert cluster_bets(clustered(np.random.default_rng(8), 4000, n, p), p) <= 0.055


@pytest.mark.audit
def test_the_power_of_the_hybrid() -> None:
    """Floor .90, true .95, n = 300: .81 of samples and 165 observations in the design's table."""
    scores = binary(np.random.default_rng(9), 4000, 300)
    at = bet_many(scores, 0.90, alpha=0.05).crossed_at
    assert np.mean(at > 0) >= 0.78
    assert np.where(at > 0, at, 300).mean() <= 173
    for design in ("two kinds", "repeats"):
        draw, mean = DESIGNS[design]
        assert crossings(draw(np.random.default_rng(10), 4000, 300), mean - 0.05) >= 0.89


def paired(rng: np.random.Generator, correlation: float, runs: int, n: int) -> Floats:
    """Differences of two binary grades of rate .95 each, scaled from [-1, 1] to [0, 1]."""
    both = 0.95 * 0.95 + correlation * 0.95 * 0.05
    draw = rng.random((runs, n))
    return np.where(
        draw < both, 0.5, np.where(draw < 0.95, 1.0, np.where(draw < 1.9 - both, 0, 0.5))
    )


def pairs_needed(correlation: float, runs: int, seed: int) -> float:
    """The mean number of pairs until a difference above -.05 is proved, up to 1000."""
    scores = paired(np.random.default_rng(seed), correlation, runs, 1000)
    at = bet_many(scores, (1 - 0.05) / 2, alpha=0.05, n=300).crossed_at
    return float(np.where(at > 0, at, 1000).mean())


@pytest.mark.parametrize(
    "runs", [pytest.param(300), pytest.param(2000, marks=pytest.mark.audit)], ids=str
)
def test_correlated_pairs_need_at_least_35_percent_fewer(runs: int) -> None:
    assert pairs_needed(0.5, runs, 11) <= 0.65 * pairs_needed(0.0, runs, 12)


@pytest.mark.audit
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_pairs_at_the_margin_keep_the_error(correlation: float) -> None:
    """Rates .90 and .95, so that the true difference is the margin: grades d + 1 over 2."""
    rng = np.random.default_rng(13)
    first = 0.9 * 0.95 + correlation * np.sqrt(0.9 * 0.1 * 0.95 * 0.05)
    draw = rng.random((4000, 300))
    scores = np.where(draw < 0.9 - first, 1.0, np.where(draw < 1.85 - 2 * first, 0.0, 0.5))
    assert crossings(scores, 0.475) <= 0.055
