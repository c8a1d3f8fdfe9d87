"""Exact tests of a pair on the same cases: is a share of the passes kept, and is there a drop?"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, betaincinv, gammaln, xlog1py, xlogy

__all__ = ["drop_p_value", "share_p_value"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

OUTSIDE = 1e-6  # of the error: the share of wins lies outside of the range that is searched
COARSE = 64  # cells of that range; the bound is about a fifth above the probability
CLEAR = (2e-4, 0.1)  # outside of these p-values a closer bound would decide nothing
FAR = 1.0  # standard deviations: nearer to the edge than this there is no evidence to speak of
FINE = ((500, 256), (2000, 128))  # up to so many pairs, so many cells
TILTS = np.geomspace(0.02, 4, 32)  # of the exponential bound
FINE_DROP = ((500, 1024), (2000, 512), (20_000, 128))  # a drop is tested once a workflow
DEVIATIONS = 6.0  # around the likely numbers of wins: these are summed, what lies beyond is added


@dataclass(frozen=True, slots=True)
class _Edge:
    """The edge of a hypothesis: P(loss) = gap + share x P(win), one unknown."""

    gap: float
    share: float

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest P(win) for which both are probabilities, with their sum."""
        return max(0.0, -self.gap / self.share), (1 - self.gap) / (1 + self.share)


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
    return _p_value(pairs, losses, wins, _Edge(1 - share, share), FINE)


@functools.lru_cache(maxsize=65_536)
def drop_p_value(
    cases: int, losses: int, wins: int, drop: float = 0.0, *, below: bool = False
) -> float:
    """Return the p-value against `the pass rate fell by at most drop` (or, `below`, by at least).

    On `losses` of the cases only what was before passes, on `wins` only what is now; `drop`, in
    (-1, 1), is the difference of the two rates, P(loss) - P(win). An unconditional test: how
    often the two differ is the unknown along the edge of the hypothesis, and every case counts.

    Assumption and guarantee as for `share_p_value`, by the same argument with the edge P(loss) =
    P(win) + drop; nothing is conditioned on, so that nothing is lost to the coarseness of the
    binomial distribution of the losses among the cases that differ. Sources: Suissa & Shuster,
    Biometrics 47 (1991), 361-372 (the unconditional test against no drop); Tango, Statistics in
    Medicine 17 (1998), 891-908 (the score that ranks the samples).
    """
    if min(losses, wins) < 0 or losses + wins > cases:
        raise ValueError(f"{losses} losses and {wins} wins are no part of {cases} cases")
    if not -1 < drop < 1:
        raise ValueError(f"the drop must lie in (-1, 1), got {drop}")
    if below:  # "P(loss) >= P(win) + drop": few losses are the evidence
        return _p_value(cases, losses, wins, _Edge(drop, 1.0), FINE_DROP)
    return _p_value(cases, wins, losses, _Edge(-drop, 1.0), FINE_DROP)


def _p_value(
    pairs: int, losses: int, wins: int, edge: _Edge, fine: tuple[tuple[int, int], ...]
) -> float:
    """Return the p-value against P(loss) >= gap + share x P(win)."""
    if pairs == 0 or losses - edge.share * wins >= edge.gap * pairs - 1e-9:
        return 1.0
    score = _score(pairs, np.array(losses), np.array(wins), edge)
    if score < FAR:
        return 1.0
    region = _Region(pairs, wins, edge, score)
    quick = region.quick_bound(wins)
    if quick <= CLEAR[0]:
        return quick
    p_value = region.bound(COARSE)
    if not CLEAR[0] < p_value < CLEAR[1]:
        return p_value
    finer = next((cells for most, cells in fine if pairs <= most), COARSE)
    return min(p_value, region.bound(finer))


class _Region:
    """All samples that rank as high as the one seen: for each number of wins, the most losses."""

    def __init__(self, pairs: int, wins: int, edge: _Edge, score: Floats) -> None:
        self.pairs, self.edge = pairs, edge
        low = float(betaincinv(wins, pairs - wins + 1, OUTSIDE / 2)) if wins else 0.0
        high = float(betaincinv(wins + 1, pairs - wins, 1 - OUTSIDE / 2)) if wins < pairs else 1.0
        least, largest = edge.range
        self.low, self.high = np.clip((low, high), least, largest).tolist()
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
            ranks = _score(self.pairs, middle, self.wins, self.edge) >= score - 1e-12
            low, high = np.where(ranks, middle, low), np.where(ranks, high, middle - 1)
        return low

    def _cells(self, cells: int) -> tuple[Floats, Floats]:
        """Return the largest P(win) and the smallest P(loss) of each part of the edge."""
        # Even steps of the root: the number of wins has the same spread in each.
        edges = np.linspace(math.sqrt(self.low), math.sqrt(self.high), cells + 1)[:, None] ** 2
        loss = self.edge.gap + self.edge.share * edges[:-1]
        return edges[1:], np.maximum(loss, 0.0)

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


def _score(pairs: int, losses: Counts, wins: Counts, edge: _Edge) -> Floats:
    """How far the losses stay below the edge, in standard deviations under the hypothesis.

    The share of wins that the edge leaves open is the likeliest one: the root of a quadratic.
    """
    gap, share, n = edge.gap, edge.share, pairs
    square = share * (1 + share) * n
    linear = share * (1 - gap) * (losses + wins) - gap * (1 + share) * (n - losses)
    constant = wins * gap * (1 - gap)
    root = np.sqrt(np.maximum(linear**2 + 4 * square * constant, 0.0))
    win = np.clip((linear + root) / (2 * square), *edge.range)
    variance = np.maximum(gap + share * win + share**2 * win - gap**2, 1e-12)
    score: Floats = (gap * n - losses + share * wins) / np.sqrt(n * variance)
    return score
