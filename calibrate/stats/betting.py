"""Sequential tests of a mean by betting, for bounded scores, paired differences and clusters.

A gambler who believes that the mean is above m bets on every observation at odds that are fair,
or worse, if it is not. Wealth 1 / alpha then is evidence at level alpha, whenever it is reached
(Ville's inequality). No distribution is assumed beyond the bounds.

Assumption: given what came before, each observation has the same mean (independent cases, in an
order fixed beforehand, suffice).

Sources: Waudby-Smith & Ramdas, JRSS B 86 (2024), 1-27, Proposition 3 (the capital process) and
section 4 (betting); Voracek & Orabona, arXiv 2505.22422, for bets that aim at the threshold with
the observations that are left, of which `_target_log_wealth` is a simplified form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

__all__ = [
    "BettingResult",
    "BettingResults",
    "MeanBounds",
    "bet",
    "bet_below",
    "bet_clusters",
    "bet_many",
    "bet_paired",
    "cluster_stakes",
    "mean_bounds",
]

MIXTURE_BETS = 40
MIXTURE_SHARE = 0.3  # of the stake; the rest follows the bets that aim at the threshold
LARGEST_BET = 0.9  # of the bet that could lose everything
GRID = 500  # steps of the lower bound


@dataclass(frozen=True, slots=True)
class BettingResult:
    """The wealth after each observation, and the first at which it reaches 1 / alpha."""

    wealth: tuple[float, ...]
    crossed_at: int | None
    mean: float
    alpha: float
    n: int
    estimate: float

    @property
    def p_value(self) -> float:
        """The least level at which the largest wealth so far is evidence; 1 for no wealth."""
        return 1 / max((1.0, *self.wealth))


@dataclass(frozen=True, slots=True)
class MeanBounds:
    """One-sided bounds on a mean, each at level `alpha` by itself."""

    estimate: float
    low: float
    high: float
    alpha: float


@dataclass(frozen=True, slots=True)
class BettingResults:
    """The same for many samples: where each first crosses (0: never), and its p-value."""

    crossed_at: NDArray[np.int64]
    p_values: Floats


def bet(
    scores: Sequence[float] | Floats, mean: float, *, alpha: float, n: int | None = None
) -> BettingResult:
    """Test whether the mean of scores in [0, 1] is above `mean`.

    Guarantee: P(ever crossed) <= alpha if the true mean is at most `mean`, at every length of
    the sample, also beyond n. `n` is the length the bets are made for (the sample's own, unless
    given); choose it beforehand. A mean of 1 is never crossed; against a mean of 0 the first
    score above 0 is a proof. Source: Ville's inequality, as in Waudby-Smith & Ramdas, section 4.
    """
    x = _checked(scores, 0.0, 1.0)
    log_wealth, crossed = _run(x[None, :], np.array([mean]), alpha, len(x) if n is None else n)
    wealth = tuple(np.exp(np.minimum(log_wealth[0], 700.0)).tolist())
    at = int(crossed[0]) or None
    estimate = float(x.mean()) if len(x) else math.nan
    return BettingResult(wealth, at, mean, alpha, len(x) if n is None else n, estimate)


def bet_below(
    scores: Sequence[float] | Floats, mean: float, *, alpha: float, n: int | None = None
) -> BettingResult:
    """Test whether the mean of scores in [0, 1] is below `mean`: `bet` on 1 - score."""
    x = _checked(scores, 0.0, 1.0)
    return _restated(bet(1.0 - x, 1.0 - mean, alpha=alpha, n=n), mean, x)


def bet_paired(
    differences: Sequence[float] | Floats,
    margin: float = 0.0,
    *,
    alpha: float,
    n: int | None = None,
    low: float = -1.0,
    high: float = 1.0,
    below: bool = False,
) -> BettingResult:
    """Test whether the mean of differences in [low, high] is above `margin` (or `below` it).

    The pair is the observation: what both of its members share cancels, so that fewer pairs are
    needed than for two separate samples. Guarantee as for `bet`, on (d - low) / (high - low).
    """
    d = _checked(differences, low, high)
    if not low <= margin <= high or low == high:
        raise ValueError(f"the margin must lie in [{low}, {high}], got {margin}")
    test = bet_below if below else bet
    scaled = np.clip((d - low) / (high - low), 0.0, 1.0)
    return _restated(test(scaled, (margin - low) / (high - low), alpha=alpha, n=n), margin, d)


def bet_clusters(
    clusters: Sequence[Sequence[float] | Floats],
    mean: float,
    *,
    alpha: float,
    n: int | None = None,
    largest: int | None = None,
    below: bool = False,
) -> BettingResult:
    """Test whether the mean of clustered scores in [0, 1] is above `mean`: one bet a cluster.

    The bet is on sum(x - mean) / largest, so scores may depend on each other in any way within a
    cluster; the clusters must be independent. `largest`, the size of the largest cluster, must
    be known beforehand, as must n, the number of clusters. The hypothesis is about the mean over
    scores, not over clusters. An empty cluster is worth nothing, for or against.
    """
    test = bet_below if below else bet
    found = test(cluster_stakes(clusters, mean, largest=largest), mean, alpha=alpha, n=n)
    return _restated(found, mean, np.concatenate([np.empty(0), *map(np.asarray, clusters)]))


def cluster_stakes(
    clusters: Sequence[Sequence[float] | Floats], mean: float, *, largest: int | None = None
) -> Floats:
    """Return one observation a cluster, in [0, 1]: mean + sum(x - mean) / largest.

    Its mean is above `mean` exactly when that of the scores is.
    """
    parts = [_checked(part, 0.0, 1.0) for part in clusters]
    largest = max([1, *map(len, parts)]) if largest is None else largest
    if any(len(part) > largest for part in parts):
        raise ValueError(f"a cluster is larger than the largest, {largest}")
    stakes = [mean + float((part - mean).sum()) / largest for part in parts]
    clipped: Floats = np.clip(np.array(stakes), 0.0, 1.0)
    return clipped


def bet_many(
    scores: Floats, means: float | Floats, *, alpha: float, n: int | None = None
) -> BettingResults:
    """Return what `bet` finds for each row of scores, all against one mean or each its own."""
    x = _checked(scores, 0.0, 1.0)
    length = x.shape[1] if n is None else n
    log_wealth, crossed = _run(x, np.atleast_1d(np.asarray(means, dtype=float)), alpha, length)
    peak = log_wealth.max(axis=1, initial=0.0)
    return BettingResults(crossed, np.exp(-peak))


def mean_bounds(
    clusters: Sequence[Sequence[float] | Floats], *, alpha: float, largest: int | None = None
) -> MeanBounds:
    """Return one-sided bounds on the mean of clustered scores, on a grid of steps of 0.002.

    Below `low` every step is rejected as being at least the mean, above `high` as at most that.
    Guarantee: P(low > true mean) <= alpha and P(high < true mean) <= alpha, at any length of the
    sample, since for that the step next to the true mean, on its far side, has to be rejected.
    """
    scores = np.concatenate([np.empty(0), *map(np.asarray, clusters)])
    opposite = [1.0 - np.asarray(part) for part in clusters]
    return MeanBounds(
        estimate=float(scores.mean()) if scores.size else math.nan,
        low=_lower_bound(clusters, alpha, largest),
        high=1.0 - _lower_bound(opposite, alpha, largest),
        alpha=alpha,
    )


def _lower_bound(
    clusters: Sequence[Sequence[float] | Floats], alpha: float, largest: int | None
) -> float:
    """The largest m such that it and every smaller one on the grid is rejected, or 0."""
    means = np.arange(GRID + 1) / GRID
    sizes = np.array([len(part) for part in clusters], dtype=float)
    sums = np.array([float(np.sum(part)) for part in clusters])
    whole = max([1, *map(len, clusters)]) if largest is None else largest
    gains = (sums - means[:, None] * sizes) / whole  # as in `cluster_stakes`, for every mean
    stakes = np.clip(means[:, None] + gains, 0.0, 1.0)
    crossed = _run(stakes, means, alpha, len(clusters))[1]
    return float(means[max(int(np.argmin(crossed > 0)) - 1, 0)])


def _run(x: Floats, means: Floats, alpha: float, n: int) -> tuple[Floats, NDArray[np.int64]]:
    """The hybrid's log wealth, and where it first reaches 1 / alpha: 1-based, 0 for never.

    One of `x` (samples) and `means` (hypotheses) may have one row that goes with all of the other.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie in (0, 1), got {alpha}")
    if not np.all((means >= 0) & (means <= 1)):
        raise ValueError("the mean must lie in [0, 1]")
    m = np.maximum(means, 1e-12)  # `mean <= 0` implies `mean <= 1e-12`: no division by zero
    mixture = math.log(MIXTURE_SHARE) + _mixture_log_wealth(x, m)
    target = math.log(1 - MIXTURE_SHARE) + _target_log_wealth(x, m, (1 - MIXTURE_SHARE) * alpha, n)
    log_wealth = np.logaddexp(mixture, target)
    crossed = log_wealth >= math.log(1 / alpha)
    first = crossed.argmax(axis=1) + 1 if x.shape[1] else np.zeros(len(crossed), np.int64)
    return log_wealth, np.where(crossed.any(axis=1), first, 0)


def _mixture_log_wealth(x: Floats, m: Floats) -> Floats:
    """Constant bets, spread evenly over what may be bet: good at any length."""
    sizes = (np.arange(MIXTURE_BETS) + 0.5) / (MIXTURE_BETS * m[:, None])
    wealth = np.ones((max(len(x), len(m)), MIXTURE_BETS))
    path = np.empty((len(wealth), x.shape[1]))
    for t in range(x.shape[1]):
        wealth *= 1 + sizes * (x[:, t] - m)[:, None]
        np.minimum(wealth, 1e100, out=wealth)  # far above any 1 / alpha
        path[:, t] = wealth.mean(axis=1)
    return np.log(np.maximum(path, 1e-300))


def _target_log_wealth(x: Floats, m: Floats, alpha: float, n: int) -> Floats:
    """Bets of the size that would reach 1 / alpha with the observations left up to n.

    Each uses only what came before it. With variance v, k observations left and L still to gain
    in log wealth, sqrt(2 L / (v k)) is that size to second order.
    """
    rows = max(len(x), len(m))
    wealth, total, squares = np.zeros(rows), np.full(rows, 0.5), np.full(rows, 0.25)
    path = np.empty((rows, x.shape[1]))
    goal = math.log(1 / alpha)
    for t in range(1, x.shape[1] + 1):
        needed = 2 * np.maximum(goal - wealth, 0.0) / (squares / t * max(n - t + 1, 1))
        size = np.minimum(np.sqrt(needed), LARGEST_BET / m)
        seen = x[:, t - 1]
        wealth = wealth + np.log1p(size * (seen - m))
        total = total + seen
        squares = squares + (seen - total / (t + 1)) ** 2
        path[:, t - 1] = wealth
    return path


def _checked(values: Sequence[float] | Floats, low: float, high: float) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if not np.all((x >= low) & (x <= high)):  # false for NaN as well
        raise ValueError(f"observations must lie in [{low}, {high}]")
    return x


def _restated(found: BettingResult, mean: float, values: Floats) -> BettingResult:
    """The same bets, told in the terms of the question."""
    estimate = float(values.mean()) if values.size else math.nan
    return BettingResult(found.wealth, found.crossed_at, mean, found.alpha, found.n, estimate)
