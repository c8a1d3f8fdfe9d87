"""What a table of outcomes says for and against "this model meets the bar", as p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.outcomes import TaskOutcomes
from calibrate.stats.exact import sequence_p_value, upper_tail
from calibrate.stats.together import Bets, Steps

__all__ = ["BEST", "Hypotheses", "ReplayBar", "cluster_rows", "exact_p_value"]

Floats = NDArray[np.float64]

BEST = "best"  # as a baseline: whichever model is the best
LONG = 1000  # items from which on the binomial tail is as good as the rank of the whole sequence


@dataclass(frozen=True, slots=True)
class ReplayBar:
    """The least that is acceptable: a mean score, a share of the baseline's, or both."""

    pass_rate: float | None = None
    of_baseline: float | None = None
    baseline: str = BEST
    confidence: float = 0.95

    @property
    def alpha(self) -> float:
        return round(1 - self.confidence, 12)


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """The p-values of every model, for and against it.

    Scores of 0 and 1 of independent items have the exact test; all others, and the differences
    from a baseline, are bet on: `bet_clusters` and `bet_paired`, for all models at once. `slices`
    are the places of items that have a floor of their own; only `routes` looks at them.
    """

    used: TaskOutcomes
    bar: ReplayBar
    baseline: int
    is_exact: bool
    slices: tuple[tuple[NDArray[np.int64], float], ...] = ()

    def at(self, places: Sequence[int]) -> Hypotheses:
        """Return the same hypotheses about the items at these places alone."""
        chosen = np.array(places, dtype=np.int64)
        slices = tuple(
            (np.flatnonzero(np.isin(chosen, items)), floor) for items, floor in self.slices
        )
        return replace(self, used=self.used.at(places), slices=slices)

    def above(self, level: float) -> Steps[Floats]:
        """Return the p-values against `it misses a part of the bar`; bets aim at `level`."""
        scores, p = self.used.scores, np.zeros(len(self.used.models))
        if self.bar.pass_rate is not None:
            p = yield from self._rate(scores, self.bar.pass_rate, level)
        if self.bar.of_baseline is not None:
            # Any model that ever scores keeps that share of itself.
            p = np.where(scores.any(axis=1), p, 1.0)
            models, differences, margin = self._pairs(self.bar.of_baseline)
            np.maximum.at(p, models, (yield from self._bets(differences, margin, level)))
        return p

    def below(self, level: float) -> Steps[Floats]:
        """Return the p-values against `it meets the bar`: a part is missed (Bonferroni)."""
        scores, p, parts = self.used.scores, np.ones(len(self.used.models)), 0
        if self.bar.pass_rate is not None:
            parts += 1
        if self.bar.of_baseline is not None:
            parts += len(p) - 1 if self.bar.baseline == BEST else 1
        level /= max(parts, 1)
        if self.bar.pass_rate is not None:
            p = yield from self._rate(1.0 - scores, 1.0 - self.bar.pass_rate, level)
        if self.bar.of_baseline is not None:
            models, differences, margin = self._pairs(self.bar.of_baseline)
            found = yield from self._bets(1.0 - differences, 1.0 - margin, level)
            np.minimum.at(p, models, found)
        bounded: Floats = np.minimum(p * max(parts, 1), 1.0)
        return bounded

    def _pairs(self, share: float) -> tuple[NDArray[np.int64], Floats, float]:
        """Return c - share x b for each model c and rival b, put on [0, 1], and where 0 is."""
        k = len(self.used.models)
        rivals = range(k) if self.bar.baseline == BEST else (self.baseline,)
        pairs = np.array([(c, b) for c in range(k) for b in rivals if c != b], dtype=np.int64)
        models, others = pairs.reshape(-1, 2).T
        scores = self.used.scores
        differences = (scores[models] - share * scores[others] + share) / (1 + share)
        return models, np.clip(differences, 0.0, 1.0), share / (1 + share)

    def _rate(self, scores: Floats, floor: float, level: float) -> Steps[Floats]:
        if not self.is_exact:
            return (yield from self._bets(scores, floor, level))
        return np.array([exact_p_value(row > 0.5, floor) for row in scores])

    def _bets(self, scores: Floats, mean: float, level: float) -> Steps[Floats]:
        """Return each row's p-value against `at most mean`; 1 where the sample is not above."""
        p = np.ones(len(scores))
        rows = np.flatnonzero(scores.mean(axis=1) > mean)
        if len(rows):
            stakes = cluster_rows(scores[rows], mean, self.used.groups)
            p[rows] = yield Bets(stakes, mean, level)
        return p


def exact_p_value(passed: NDArray[np.bool_], floor: float) -> float:
    """Return the exact p-value against `rate <= floor`; 1 where the sample is not above."""
    count, n = int(passed.sum()), len(passed)
    if count <= floor * n:
        return 1.0
    return upper_tail(count, n, floor) if n > LONG else sequence_p_value(passed, floor)


def cluster_rows(scores: Floats, mean: float, groups: NDArray[np.int64] | None) -> Floats:
    """Return one observation a cluster, in the order of its first item: see `bet_clusters`."""
    if groups is None:
        return scores
    _, first, cluster = np.unique(groups, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[cluster]
    by_cluster = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[by_cluster], np.arange(len(first)))
    sums = np.add.reduceat(scores[:, by_cluster] - mean, starts, axis=1)
    stakes: Floats = np.clip(mean + sums / np.bincount(place).max(), 0.0, 1.0)
    return stakes
