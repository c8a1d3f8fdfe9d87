"""The exact test of a pair: does a challenger keep its share of a rival's passes?"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, betaincinv, gammaln, xlog1py, xlogy

__all__ = ["share_p_value"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

OUTSIDE = 1e-6  # of the error: the share of wins lies outside of the range that is searched
COARSE = 64  # cells of that range; the bound is about a fifth above the probability
CLEAR = (2e-4, 0.1)  # outside of these p-values a closer bound would decide nothing
FAR = 1.0  # standard deviations: nearer to the edge than this there is no evidence to speak of
FINE = ((500, 256), (2000, 128))  # up to so many pairs, so many cells
TILTS = np.geomspace(0.02, 4, 32)  # of the exponential bound
DEVIATIONS = 6.0  # around the likely numbers of wins: these are summed, what lies beyond is added


@functools.lru_cache(maxsize=65_536)
def share_p_value(pairs: int, losses: int, wins: int, share: float) -> float:
    """Return the p-value against `challenger's pass rate <= share x rival's`, 0 < share < 1.

    `pairs` counts the cases that at least one of the two passes: the others say nothing of a
    share. On `losses` of them only the rival passes, on `wins` only the challenger. The
    hypothesis is then P(loss) >= (1 - share) + share x P(win), whose edge has one unknown,
    P(win). Samples are ranked by the score statistic; the p-value is the largest probability, on
    that edge, of a sample ranked as high.

    What is returned is an upper bound of it: 1 within one standard deviation of the edge,
    Chernoff's where that is small, and else the sum over the region.

    Assumption: independent cases, their number fixed beforehand. Guarantee: P(p-value <= alpha)
    <= alpha for every alpha, number of cases and pair of rates under the hypothesis. More wins
    and fewer losses rank higher, so that the probability of the region rises with P(win) and
    falls with P(loss): the edge bounds the hypothesis, and a cell of it is bounded by its largest
    P(win) with its smallest P(loss). Only a confidence interval of P(win) is searched, and its
    error is added. Sources: Tang, Tang & Chan, Statistics in Medicine 22 (2003), 1217-1233 (score
    test of a ratio of paired rates); Chan, Statistics in Medicine 17 (1998), 1403-1413 (the exact
    test by its rank); Berger & Boos, JASA 89 (1994), 1012-1016 (the interval).
    """
    if min(losses, wins) < 0 or losses + wins > pairs:
        raise ValueError(f"{losses} losses and {wins} wins are no part of {pairs} pairs")
    if not 0 < share < 1:
        raise ValueError(f"the share must lie in (0, 1), got {share}")
    if pairs == 0 or losses - share * wins >= (1 - share) * pairs - 1e-9:
        return 1.0
    score = _score(pairs, np.array(losses), np.array(wins), share)
    if score < FAR:
        return 1.0
    region = _Region(pairs, wins, share, score)
    quick = region.quick_bound(wins)
    if quick <= CLEAR[0]:
        return quick
    p_value = region.bound(COARSE)
    if not CLEAR[0] < p_value < CLEAR[1]:
        return p_value
    finer = next((cells for most, cells in FINE if pairs <= most), COARSE)
    return min(p_value, region.bound(finer))


class _Region:
    """All samples that rank as high as the one seen: for each number of wins, the most losses."""

    def __init__(self, pairs: int, wins: int, share: float, score: Floats) -> None:
        self.pairs, self.share = pairs, share
        self.low = float(betaincinv(wins, pairs - wins + 1, OUTSIDE / 2)) if wins else 0.0
        high = float(betaincinv(wins + 1, pairs - wins, 1 - OUTSIDE / 2)) if wins < pairs else 1.0
        self.high = min(high, share / (1 + share))  # beyond it losses and wins exceed the pairs
        first, last = (self._wins(self.low, -1), self._wins(self.high, 1))
        self.wins = np.arange(min(first, wins), max(last, wins) + 1)
        self.most = self._most_losses(score)

    def _wins(self, rate: float, side: int) -> int:
        spread = DEVIATIONS * math.sqrt(self.pairs * rate) + DEVIATIONS
        return min(max(int(self.pairs * rate + side * spread), 0), self.pairs)

    def _most_losses(self, score: Floats) -> Counts:
        """Bisect for the most losses at each number of wins; -1 where even none ranks lower."""
        low, high = np.full(len(self.wins), -1), self.pairs - self.wins
        while np.any(low < high):
            middle = (low + high + 1) // 2
            ranks = _score(self.pairs, middle, self.wins, self.share) >= score - 1e-12
            low, high = np.where(ranks, middle, low), np.where(ranks, high, middle - 1)
        return low

    def _cells(self, cells: int) -> tuple[Floats, Floats]:
        """Return the largest P(win) and the smallest P(loss) of each part of the edge."""
        # Even steps of the root: the number of wins has the same spread in each.
        edges = np.linspace(math.sqrt(self.low), math.sqrt(self.high), cells + 1)[:, None] ** 2
        return edges[1:], (1 - self.share) + self.share * edges[:-1]

    def quick_bound(self, wins: int) -> float:
        """Return Chernoff's bound for a half-plane, losses - slope x wins, that has the region."""
        at = wins - int(self.wins[0])
        reach = math.isqrt(wins) + 1
        low, high = max(at - reach, 0), min(at + reach, len(self.wins) - 1)
        slope = max(float(self.most[high] - self.most[low]) / max(high - low, 1), 0.0)
        line = float((self.most - slope * self.wins).max())
        win, loss = self._cells(COARSE)
        mean = 1 + loss * np.expm1(-TILTS) + win * np.expm1(TILTS * slope)
        exponents = (TILTS * line + self.pairs * np.log(mean)).min(axis=1)
        beyond = bdtr(self.wins[0] - 1.0, self.pairs, win) if self.wins[0] else np.zeros(1)
        beyond = beyond + bdtrc(float(self.wins[-1]), self.pairs, win)
        return min(math.exp(min(exponents.max(), 0.0)) + float(beyond.max()) + OUTSIDE, 1.0)

    def bound(self, cells: int) -> float:
        """Return the largest probability of the region, bounded in each of so many cells."""
        win, loss = self._cells(cells)
        n, w = self.pairs, self.wins
        ways = gammaln(n + 1) - gammaln(w + 1) - gammaln(n - w + 1)
        weights = np.exp(ways + xlogy(w, win) + xlog1py(n - w, -win))
        rate = np.minimum(loss / (1 - win), 1.0)
        inside = np.where(self.most < 0, 0.0, bdtr(np.maximum(self.most, 0), n - w, rate))
        beyond = np.maximum(1 - weights.sum(axis=1), 0.0)
        return min(float(((weights * inside).sum(axis=1) + beyond).max()) + OUTSIDE, 1.0)


def _score(pairs: int, losses: Counts, wins: Counts, share: float) -> Floats:
    """How far the losses stay below the edge, in standard deviations under the hypothesis.

    The share of wins that the edge leaves open is the likeliest one: the root of a quadratic.
    """
    gap, n = 1 - share, pairs
    square = share * (1 + share) * n
    linear = losses + share**2 * wins - (1 - share**2) * n
    constant = wins * gap * share
    likeliest = (linear + np.sqrt(linear**2 + 4 * square * constant)) / (2 * square)
    win = np.clip(likeliest, 0.0, share / (1 + share))
    variance = gap + share * win + share**2 * win - gap**2
    score: Floats = (gap * n - losses + share * wins) / np.sqrt(n * variance)
    return score
