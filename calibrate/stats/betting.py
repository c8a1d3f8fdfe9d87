"""Sequential tests of a mean by betting, for bounded scores, paired differences and clusters.

A gambler who believes that the mean is above m bets on every observation at odds that are fair,
or worse, if it is not. Wealth 1 / alpha then is evidence at level alpha, whenever it is reached
(Ville's inequality). No distribution is assumed beyond the bounds. The bets are in `wagers`.

Assumption: given what came before, each observation has the same mean (independent cases, in an
order fixed beforehand, suffice).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.stats.wagers import Floats, first_crossings, open_wagers

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

GRID = 500  # steps of the lower bound

Counts = NDArray[np.int64]


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

    crossed_at: Counts
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
    log_wealth, crossed = _run(x[None, :], mean, alpha, len(x) if n is None else n)
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
    return _restated(found, mean, _joined(clusters)[0])


def cluster_stakes(
    clusters: Sequence[Sequence[float] | Floats], mean: float, *, largest: int | None = None
) -> Floats:
    """Return one observation a cluster, in [0, 1]: mean + sum(x - mean) / largest.

    Its mean is above `mean` exactly when that of the scores is.
    """
    scores, sizes = _joined(clusters)
    largest = int(sizes.max(initial=1)) if largest is None else largest
    if (sizes > largest).any():
        raise ValueError(f"a cluster is larger than the largest, {largest}")
    gains = _sums(_checked(scores, 0.0, 1.0) - mean, sizes) / largest
    clipped: Floats = np.clip(mean + gains, 0.0, 1.0)
    return clipped


def bet_many(
    scores: Floats, means: float | Floats, *, alpha: float, n: int | None = None
) -> BettingResults:
    """Return what `bet` finds for each row of scores, all against one mean or each its own."""
    x = _checked(scores, 0.0, 1.0)
    length = x.shape[1] if n is None else n
    log_wealth, crossed = _run(x, means, alpha, length)
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
    scores, sizes = _joined(clusters)
    largest = int(sizes.max(initial=1)) if largest is None else largest
    sums = np.vstack([_sums(scores, sizes), _sums(1.0 - scores, sizes)])
    low, below = _lower_bounds(sums, sizes, alpha, largest)
    estimate = float(scores.mean()) if scores.size else math.nan
    return MeanBounds(estimate, low, 1.0 - below, alpha)


def _lower_bounds(sums: Floats, sizes: Counts, alpha: float, largest: int) -> list[float]:
    """For each row of sums the last step of the grid up to which all are rejected, or 0."""
    estimates = sums.sum(axis=1) / max(int(sizes.sum()), 1)
    # Hardly ever is a mean above the estimate rejected: the others suffice as long as one is not.
    kept = _kept(sums, sizes, (estimates * GRID).astype(int) + 2, alpha, largest)
    if not all(steps.any() for steps in kept):
        kept = _kept(sums, sizes, np.full(len(sums), GRID + 1), alpha, largest)
    return [max(int(steps.argmax()) - 1, 0) / GRID for steps in kept]


def _kept(
    sums: Floats, sizes: Counts, ends: Counts, alpha: float, largest: int
) -> list[NDArray[np.bool_]]:
    """For each row of sums: which of the first so many steps of the grid are not rejected."""
    steps = [np.arange(min(end, GRID + 1)) for end in ends]
    means = np.concatenate(steps) / GRID
    of = np.repeat(np.arange(len(sums)), [len(part) for part in steps])

    def stakes(rows: NDArray[np.int64], part: slice) -> Floats:  # as in `cluster_stakes`
        m = means[rows, None]
        clipped: Floats = np.clip(m + (sums[of[rows], part] - m * sizes[part]) / largest, 0.0, 1.0)
        return clipped

    crossed = first_crossings(open_wagers(means, alpha, len(sizes)), stakes)
    return [crossed[of == row] == 0 for row in range(len(sums))]


def _run(x: Floats, means: float | Floats, alpha: float, n: int) -> tuple[Floats, Counts]:
    """The log wealth of each row against its mean, and where it first reaches 1 / alpha."""
    start = open_wagers(np.broadcast_to(np.asarray(means, dtype=float), len(x)), alpha, n)
    log_wealth, wagers = start.after(x)
    return log_wealth, wagers.reached(log_wealth)


def _checked(values: Sequence[float] | Floats, low: float, high: float) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if not np.all((x >= low) & (x <= high)):  # false for NaN as well
        raise ValueError(f"observations must lie in [{low}, {high}]")
    return x


def _joined(clusters: Sequence[Sequence[float] | Floats]) -> tuple[Floats, Counts]:
    """All scores in a row, and how many each cluster has."""
    scores = np.concatenate([np.empty(0), *map(np.asarray, clusters)])
    return scores, np.array([len(part) for part in clusters], dtype=np.int64)


def _sums(values: Floats, sizes: Counts) -> Floats:
    """The sum over each cluster."""
    sums, starts, has_any = np.zeros(len(sizes)), np.cumsum(sizes) - sizes, sizes > 0
    if has_any.any():
        sums[has_any] = np.add.reduceat(values, starts[has_any])
    return sums


def _restated(found: BettingResult, mean: float, values: Floats) -> BettingResult:
    """The same bets, told in the terms of the question."""
    estimate = float(values.mean()) if values.size else math.nan
    return BettingResult(found.wealth, found.crossed_at, mean, found.alpha, found.n, estimate)
