"""When a growing sample of bounded scores may stop: bets for it, against it, and on its futility.

The counterpart of `Plan` for everything that is not independent and 0 or 1: graded scores, means
of repeats, differences from a rival, and observations that come in clusters.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.stats.betting import cluster_stakes
from calibrate.stats.plan import FUTILITY_FROM, Characteristics, Crossing, Crossings, Kind
from calibrate.stats.wagers import BLOCK, Floats, Wagers, first_crossings, open_wagers

__all__ = ["BettingPlan", "Clusters", "Course"]

Clusters = Sequence[Sequence[float]]

SIMULATIONS = 400
LONGEST_SEARCH = 20_000  # observations; a longer search would say nothing that can be acted on
AHEAD = 8  # clusters looked ahead at first, and twice as many each time nothing is crossed


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

    def start(self, samples: int = 1) -> Course:
        """Return samples before their first cluster."""
        means = np.repeat([self.floor, 1.0 - self.floor, 1.0 - self.rate], samples)
        alphas = np.repeat([self.alpha, self.alpha, self.futility_beta], samples)
        never = np.full((3, samples), self.n + 1)
        return Course(self, max(self.sizes, default=1), never, open_wagers(means, alphas, self.n))

    def settle(self, clusters: Clusters) -> Crossing | None:
        """Return the first crossing within this prefix, counted in clusters, or None."""
        return _first(self.settle_many(_flat(clusters)))

    def settle_many(self, scores: Floats) -> Crossings:
        """Return the first crossing of every row: the scores of a sample, or of its first clusters.

        At one cluster accepted goes before rejected, and rejected before futile. Where nothing is
        crossed: `OPEN` and the clusters seen.
        """
        ends = np.cumsum((0, *self.sizes))
        seen = int(np.searchsorted(ends, scores.shape[1], side="right")) - 1
        found = Crossings(np.zeros(len(scores), np.int8), np.full(len(scores), seen))
        live, course = np.arange(len(scores)), self.start(len(scores))
        while course.seen < seen and live.size:
            count = min(BLOCK, seen - course.seen)
            first, last = ends[course.seen], ends[course.seen + count]
            course = course.on(scores[live, first:last], count)
            now = course.crossings()
            found.kinds[live], found.indices[live] = now.kinds, now.indices
            is_open = np.flatnonzero(now.kinds == Kind.OPEN)
            live, course = live[is_open], course.of(is_open)
        return found

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
            at = _crossed_at(sample, self.floor, alpha)
            if at > 0:
                return math.ceil(seen * at / len(stakes))
            times += max(1, times // 4)
        return None


@dataclass(frozen=True, slots=True)
class Course:
    """How far samples have come under a plan, one a row: what is bet on them, and is crossed.

    It comes to the same however a sample is cut, and each piece takes the time of its own length.
    """

    plan: BettingPlan
    largest: int  # of the plan's clusters
    crossed: NDArray[np.int64]  # lines x rows: the cluster at which each is, n + 1 for not yet
    wagers: Wagers  # on the plan's first line for each row, then on the second, and the third

    @property
    def seen(self) -> int:
        """The number of clusters seen."""
        return self.wagers.seen

    @property
    def crossing(self) -> Crossing | None:
        """What the first sample has crossed first, counted in clusters, or None: it is open."""
        return _first(self.crossings())

    def after(self, clusters: Clusters) -> Course:
        """Return how far one sample has come after its next clusters."""
        count = min(len(clusters), self.plan.n - self.seen)
        return self.on(_flat(clusters[:count]), count) if count else self

    def earliest_crossing(self) -> int:
        """Return about how many clusters it takes until something could be crossed, at most n.

        That is where it is crossed if all that follows is the best, or the worst.
        """
        plan, count = self.plan, AHEAD
        extremes = np.array([[plan.best], [0.0]])
        futures = self.of(np.zeros(2, np.intp))
        found = futures.crossings()
        while not found.kinds.any() and futures.seen < plan.n:
            sizes = plan.sizes[futures.seen : futures.seen + count]
            futures = futures.on(np.repeat(extremes, sum(sizes), axis=1), len(sizes))
            found = futures.crossings()
            count *= 2
        return int(found.indices[found.kinds != Kind.OPEN].min(initial=plan.n))

    def on(self, scores: Floats, count: int) -> Course:
        """Return how far all have come after so many more clusters, which the scores are."""
        plan = self.plan
        sizes = np.array(plan.sizes[self.seen : self.seen + count])
        sums = np.add.reduceat(scores, np.cumsum(sizes) - sizes, axis=1)
        floor, rate = (  # as in `cluster_stakes`
            np.clip(mean + (sums - mean * sizes) / self.largest, 0.0, 1.0)
            for mean in (plan.floor, plan.rate)
        )
        log_wealth, wagers = self.wagers.after(np.vstack([floor, 1.0 - floor, 1.0 - rate]))
        at = wagers.reached(log_wealth).reshape(self.crossed.shape)
        new = np.where(at > 0, self.seen + at, plan.n + 1)
        return replace(self, crossed=np.minimum(self.crossed, new), wagers=wagers)

    def of(self, rows: NDArray[np.intp]) -> Course:
        """Return the samples of these rows alone."""
        places = np.arange(self.crossed.size).reshape(self.crossed.shape)[:, rows]
        wagers = self.wagers.of(places.ravel())
        return replace(self, crossed=self.crossed[:, rows], wagers=wagers)

    def crossings(self) -> Crossings:
        """Return what each sample has crossed first; see `settle_many`."""
        plan, seen = self.plan, self.seen
        above, below, early = self.crossed
        futile = np.maximum(early, plan.futile_from)
        futile[(futile >= plan.n) | (futile > seen)] = plan.n + 1
        first = np.minimum(np.minimum(above, below), futile)
        kinds = np.where(first == below, np.int8(Kind.REJECTED), np.int8(Kind.FUTILE))
        kinds[first == above] = Kind.ACCEPTED
        kinds[first > plan.n] = Kind.OPEN
        return Crossings(kinds, np.minimum(first, seen))


def _flat(clusters: Clusters) -> Floats:
    """One sample as a row of its scores."""
    return np.array([[score for cluster in clusters for score in cluster]], dtype=float)


def _crossed_at(sample: Floats, mean: float, alpha: float) -> int:
    """Where a sample is shown to be above the mean, 0 for never."""
    wagers = open_wagers([mean], alpha, len(sample))
    return int(first_crossings(wagers, lambda _, part: sample[None, part])[0])


def _first(found: Crossings) -> Crossing | None:
    kind = Kind(int(found.kinds[0]))
    return None if kind is Kind.OPEN else Crossing(kind, int(found.indices[0]))


@functools.lru_cache(maxsize=1024)
def _accepts_the_best(plan: BettingPlan) -> bool:
    found = plan.settle([[plan.best] * size for size in plan.sizes])
    return found is not None and found.kind is Kind.ACCEPTED
