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

from calibrate.stats.betting import bet, bet_below, bet_many, cluster_stakes
from calibrate.stats.plan import FUTILITY_FROM, Characteristics, Crossing, Kind

__all__ = ["BettingPlan", "Clusters"]

Clusters = Sequence[Sequence[float]]

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
        at_floor = self._stakes(clusters, self.floor)
        at_rate = self._stakes(clusters, self.rate)
        above = bet(at_floor, self.floor, alpha=self.alpha, n=self.n).crossed_at
        below = bet_below(at_floor, self.floor, alpha=self.alpha, n=self.n).crossed_at
        futile = bet_below(at_rate, self.rate, alpha=self.futility_beta, n=self.n).crossed_at
        if futile is not None:
            futile = max(futile, self.futile_from)
            futile = futile if futile < self.n and futile <= len(clusters) else None
        crossings = [
            (at, order, kind)
            for order, (at, kind) in enumerate(
                [(above, Kind.ACCEPTED), (below, Kind.REJECTED), (futile, Kind.FUTILE)]
            )
            if at is not None
        ]
        if not crossings:
            return None
        at, _, kind = min(crossings)
        return Crossing(kind, at)

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
        shape = (SIMULATIONS, self.n)
        alike = (np.random.default_rng(seed).random(shape) < mean).astype(float)
        never = self.n + 1
        above = self._crossings(alike, self.floor, self.alpha, never)
        below = self._crossings(1 - alike, 1 - self.floor, self.alpha, never)
        futile = self._crossings(1 - alike, 1 - self.rate, self.futility_beta, never)
        futile = np.where(futile < self.n, np.maximum(futile, self.futile_from), never)
        end = np.minimum(np.minimum(above, below), futile)
        accepted, rejected = (above == end) & (end < never), (below == end) & (below < above)
        observed = np.concatenate([[0], np.cumsum(self.sizes)])
        return Characteristics(
            p=mean,
            accept_probability=float(accepted.mean()),
            reject_probability=float(rejected.mean()),
            futile_probability=float(((end < never) & ~accepted & ~rejected).mean()),
            expected_n=float(observed[np.minimum(end, self.n)].mean()),
        )

    def size_to_accept(self, clusters: Clusters, *, alpha: float) -> int | None:
        """Return about how many observations would be accepted at `alpha`, if all were like these.

        The sample is repeated, in a shuffled order, until it is accepted. None where its mean is
        not above the floor, or where the search ends first.
        """
        stakes = self._stakes(clusters, self.floor)
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

    def _stakes(self, clusters: Clusters, mean: float) -> NDArray[np.float64]:
        return cluster_stakes(clusters, mean, largest=max(self.sizes, default=1))

    def _crossings(
        self, alike: NDArray[np.float64], mean: float, alpha: float, never: int
    ) -> NDArray[np.int64]:
        weights = np.array(self.sizes) / max(self.sizes, default=1)
        found = bet_many(mean + (alike - mean) * weights, mean, alpha=alpha).crossed_at
        return np.where(found > 0, found, never)


@functools.lru_cache(maxsize=1024)
def _accepts_the_best(plan: BettingPlan) -> bool:
    found = plan.settle([[plan.best] * size for size in plan.sizes])
    return found is not None and found.kind is Kind.ACCEPTED
