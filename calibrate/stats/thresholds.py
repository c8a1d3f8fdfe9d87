"""Thresholds of a signal: the grid, and which of many routes may be certified by one error.

Learn then test (Angelopoulos, Bates, Candes, Jordan & Lei, arXiv 2110.01052): every threshold is
a hypothesis, "the route that it makes misses the bar", with a p-value of its own, and the
thresholds are tested in an order that was fixed before a grade was seen.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Descent", "Flow", "descend", "threshold_grid"]

Floats = NDArray[np.float64]

STEP = 0.01  # between thresholds of a probability
TAILS = (0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001, 1e-5, 1e-6)  # near 0 and near 1
RATIO = 1.1  # between thresholds of a signal on another scale
DECADES = 5  # that such a scale reaches to either side of 1


@dataclass(frozen=True, slots=True)
class Flow:
    """Shares of the error, and where the share of each rejected hypothesis goes.

    `onward[j]` names hypotheses with the part of j's share that each receives, at most 1 in all;
    it must not lead back to j. A dict holds only the hypotheses that start with a share.
    """

    shares: Mapping[int, float]
    onward: Sequence[Sequence[tuple[int, float]]]

    def __post_init__(self) -> None:
        if min(self.shares.values(), default=0.0) < 0 or sum(self.shares.values()) > 1 + 1e-9:
            raise ValueError("the shares must not be negative nor sum to more than 1")


@dataclass(frozen=True, slots=True)
class Descent:
    """What was rejected, with its adjusted p-value: the least alpha at which it is rejected.

    `open` has what a share has reached without rejecting it, with an upper bound of the same.
    """

    rejected: Mapping[int, float]
    open: Mapping[int, float]
    tested: int


def threshold_grid(signal: Floats) -> Floats:
    """Return the thresholds of a signal's scale, rising; the same for every sample.

    A signal in [0, 1] is taken as a probability: steps of 0.01, finer next to 0 and 1. Any other
    has steps of a tenth of itself from 1e-5 to 1e5 on either side of 0. Quantiles of the sample
    would follow the signal more closely, but a threshold that depends on the sample has no exact
    p-value there; thresholds that part the sample alike cost nothing, their tests being one.
    NaN stands for a missing value.
    """
    known = signal[~np.isnan(signal)]
    if ((known >= 0) & (known <= 1)).all():
        tails = np.array(TAILS)
        steps = np.arange(1, round(1 / STEP) + 1) * STEP
        return np.unique(np.concatenate([tails, steps, 1 - tails]).round(9))
    size = RATIO ** np.arange(np.log(10.0) * DECADES // np.log(RATIO) + 1)
    positive = np.unique(np.concatenate([1 / size, size]))
    return np.concatenate([-positive[::-1], [0.0], positive])


def descend(flow: Flow, p_value: Callable[[int], float], *, alpha: float) -> Descent:
    """Reject hypotheses, each handing its share of the error on, until none falls at its share.

    Guarantee: P(any true hypothesis rejected) <= alpha under any dependence, if each p-value is
    valid, P(p <= a) <= a, and the flow is fixed before the data. It is the graphical procedure of
    Bretz, Maurer, Brannath & Posch, Statistics in Medicine 28 (2009), 586-604, on a graph without
    cycles, where the share of a rejected hypothesis just passes along its arrows; adjusted
    p-values by their Algorithm 2. A chain of thresholds is a fixed sequence in it. `p_value` is
    called once for each hypothesis that a share reaches; it may stop at any value above alpha.
    """
    shares: dict[int, float] = {}
    p_values: dict[int, float] = {}
    rejected: dict[int, float] = {}
    queue: list[tuple[float, int, float]] = []
    arriving = [(j, share) for j, share in flow.shares.items() if share > 0]
    worst = 0.0
    while True:
        while arriving:
            j, share = arriving.pop()
            if j in rejected:
                arriving += [(to, share * part) for to, part in flow.onward[j]]
                continue
            if j not in p_values:
                p_values[j] = p_value(j)
            shares[j] = shares.get(j, 0.0) + share
            heapq.heappush(queue, (p_values[j] / shares[j], j, shares[j]))
        ratio, j, share = heapq.heappop(queue) if queue else (1.0, -1, 0.0)
        if j < 0 or ratio > alpha:
            break
        if j in rejected or share != shares[j]:
            continue  # it had a smaller share when it was put there
        worst = max(worst, ratio)
        rejected[j] = worst
        arriving = [(to, share * part) for to, part in flow.onward[j]]
    left = {j: min(max(p / shares[j], worst), 1.0) for j, p in p_values.items()}
    return Descent(rejected, {j: p for j, p in left.items() if j not in rejected}, len(p_values))
