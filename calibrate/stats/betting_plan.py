"""When a growing sample of bounded scores may stop: bets for it, against it, and on its futility.

The counterpart of `Plan` for everything that is not independent and 0 or 1: graded scores, means
of repeats, differences from a rival, and observations that come in clusters.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.stats.betting import bet, bet_many, cluster_stakes
from calibrate.stats.plan import FUTILITY_FROM, Characteristics, Crossing, Crossings, Kind

__all__ = ["BettingPlan", "Clusters"]

Clusters = Sequence[Sequence[float]]
Floats = NDArray[np.float64]

SIMULATIONS = 400
LONGEST_SEARCH = 20_000  # observations; a longer search would say nothing that can be acted on


@dataclass(frozen=True, slots=True)
class BettingPlan:
    """A stopping rule for clusters of scores in [0, 1], of these sizes and in this order.

    Accepted when the mean over scores is shown to be above `floor`, rejected when it is shown to
    be below it, futile when it is shown to be below `rate`; the observation is the cluster.

    Guarantee: P(ever accepted) <= alpha if the mean is at most `floor`, and P(ever rejected) <=
    alpha if it is at least that, for clusters that are independent and whatever the dependence
    within one; stopping at the other two takes nothing away. See `bet_clusters`.
    """

    sizes: tuple[int, ...]
    floor: float
    rate: float
    alpha: float
    best: float = 1.0  # what the best sample would score throughout
    futility_beta: float = 0.05

    @property
    def n(self) -> int:
        """The number of clusters."""
        return len(self.sizes)

    @property
    def can_accept(self) -> bool:
        """Whether the best sample would be accepted."""
        return _accepts_the_best(self)

    @property
    def futile_from(self) -> int:
        return min(FUTILITY_FROM, math.ceil(self.n / 4))

    def settle(self, clusters: Clusters) -> Crossing | None:
        """Return the first crossing within this prefix, counted in clusters, or None."""
        scores = np.array([score for cluster in clusters for score in cluster], dtype=float)
        found = self.settle_many(scores[None, :])
        kind = Kind(int(found.kinds[0]))
        return None if kind is Kind.OPEN else Crossing(kind, int(found.indices[0]))

    def settle_many(self, scores: Floats) -> Crossings:
        """Return the first crossing of every row: the scores of a sample, or of its first clusters.

        At one cluster accepted goes before rejected, and rejected before futile. Where nothing is
        crossed: `OPEN` and the clusters seen.
        """
        ends = np.cumsum(self.sizes)
        seen = int(np.searchsorted(ends, scores.shape[1], side="right"))
        above = self._crossed(scores, seen, self.floor, self.alpha)
        below = self._crossed(scores, seen, self.floor, self.alpha, below=True)
        futile = self._crossed(scores, seen, self.rate, self.futility_beta, below=True)
        futile = np.maximum(futile, self.futile_from)
        futile[(futile >= self.n) | (futile > seen)] = self.n + 1
        first = np.minimum(np.minimum(above, below), futile)
        kinds = np.select(
            [first > self.n, first == above, first == below],
            [np.int8(Kind.OPEN), np.int8(Kind.ACCEPTED), np.int8(Kind.REJECTED)],
            np.int8(Kind.FUTILE),
        )
        return Crossings(kinds, np.minimum(first, seen))

    def earliest_crossing(self, clusters: Clusters) -> int:
        """Return about how many clusters it takes until something could be crossed, at most n.

        That is where it is crossed if all that follows is the best, or the worst.
        """
        left = self.sizes[len(clusters) :]
        ends = [
            self.settle([*clusters, *([score] * size for size in left)])
            for score in (self.best, 0.0)
        ]
        return min((end.index for end in ends if end is not None), default=self.n)

    def characteristics(self, mean: float, *, seed: int = 0) -> Characteristics:
        """Return what the plan does with scores of 0 and 1 that are alike within a cluster.

        By simulation, with a standard error of at most 0.025: no other distribution of scores with
        this mean and these clusters varies more.
        """
        rng = np.random.default_rng(seed)
        alike = (rng.random((SIMULATIONS, self.n)) < mean).astype(float)
        found = self.settle_many(np.repeat(alike, self.sizes, axis=1))
        return Characteristics(
            p=mean,
            accept_probability=float((found.kinds == Kind.ACCEPTED).mean()),
            reject_probability=float((found.kinds == Kind.REJECTED).mean()),
            futile_probability=float((found.kinds == Kind.FUTILE).mean()),
            expected_n=float(np.cumsum(self.sizes)[found.indices - 1].mean()),
        )

    def size_to_accept(self, clusters: Clusters, *, alpha: float) -> int | None:
        """Return about how many observations would be accepted at `alpha`, if all were like these.

        The sample is repeated, in a shuffled order, until it is accepted. None where its mean is
        not above the floor, or where the search ends first.
        """
        stakes = cluster_stakes(clusters, self.floor, largest=max(self.sizes, default=1))
        if len(stakes) == 0 or stakes.mean() <= self.floor:
            return None
        seen = sum(map(len, clusters))
        times = 1
        while seen * times <= LONGEST_SEARCH:
            sample = np.random.default_rng(0).permutation(np.tile(stakes, times))
            at = bet(sample, self.floor, alpha=alpha).crossed_at
            if at is not None:
                return math.ceil(seen * at / len(stakes))
            times += max(1, times // 4)
        return None

    def _crossed(
        self, scores: Floats, seen: int, mean: float, alpha: float, *, below: bool = False
    ) -> NDArray[np.int64]:
        """Return the cluster at which each row is shown to be above `mean`, or below; or n + 1."""
        never = np.full(len(scores), self.n + 1)
        if seen == 0:
            return never
        sizes = np.array(self.sizes[:seen])
        starts = np.cumsum(sizes) - sizes
        sums = np.add.reduceat(scores[:, : int(sizes.sum())], starts, axis=1)
        stakes = np.clip(mean + (sums - mean * sizes) / max(self.sizes), 0.0, 1.0)
        if below:
            stakes, mean = 1.0 - stakes, 1.0 - mean
        crossed = bet_many(stakes, mean, alpha=alpha, n=self.n).crossed_at
        return np.where(crossed > 0, crossed, never)


@functools.lru_cache(maxsize=1024)
def _accepts_the_best(plan: BettingPlan) -> bool:
    found = plan.settle([[plan.best] * size for size in plan.sizes])
    return found is not None and found.kind is Kind.ACCEPTED
