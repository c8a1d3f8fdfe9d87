"""The exact law of the failures in a growing sample, and lines that spend an error along it.

The law is an array over the number of failures. What has crossed a line is taken out of it, so
that what is left is the part that has not. Failures never become fewer, so that nothing depends
on what lies above it: the law below a line is carried over many observations at once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

__all__ = [
    "absorb",
    "accept_line",
    "advance",
    "fixed_sample_limit",
    "fixed_sample_limits",
    "futile_line",
    "probability_at_or_below",
    "probability_between",
    "reject_line",
]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_LONGEST = 256  # observations that a law is carried over at once


def accept_line(n: int, floor: float, budget: list[float]) -> list[int]:
    """Return the most failures, after each observation, whose law at `floor` fits the budget.

    `budget[t]` bounds what may be spent up to t. The line never falls: whatever is left of the
    law lies above it. Crossing it means few failures.
    """
    # No line can end above the fixed-sample test of all n, so more failures need no place.
    most = fixed_sample_limit(n, floor, budget[n])
    law, line, spent = np.ones(1), [-1], 0.0
    while line[-1] < most:
        at, edge, fewest = len(line) - 1, line[-1], float(law[0])
        while len(line) <= n:  # the fewest failures that are left get nothing from below
            fewest *= floor
            if spent + fewest <= budget[len(line)]:
                break
            line.append(edge)
        else:
            return line
        law = _carried(law, floor, len(line) - at, most - edge)
        taken = 0
        while taken < len(law) and spent + law[taken] <= budget[len(line)]:
            spent += float(law[taken])
            taken += 1
        law = law[taken:]
        line.append(edge + taken)
    return line + [most] * (n + 1 - len(line))


def reject_line(n: int, floor: float, budget: list[float]) -> list[int]:
    """Return the fewest failures, after each observation, whose law at `floor` fits the budget.

    Crossing it means many failures. The line never falls.
    """
    law = np.zeros(n + 2)
    law[0] = 1.0
    line, spent = [1], 0.0
    for t in range(1, n + 1):
        edge = line[-1] + 1
        advance(law[:edge], floor)
        if spent + law[edge - 1] <= budget[t]:
            edge -= 1
            spent += float(law[edge])
            law[edge] = 0.0
        line.append(edge)
    return line


def futile_line(rate: float, budget: Sequence[float], accept: Sequence[int]) -> list[int]:
    """Return the fewest failures whose law at `rate` fits the budget, of what is not accepted.

    Crossing it means many failures. The line falls where what is accepted leaves little.
    """
    law, line, spent = [1.0], [1], 0.0  # the law from the accept line on, which is a short one
    fail = 1 - rate
    for t in range(1, len(budget)):
        law = [same * rate + fewer * fail for fewer, same in pairwise([0.0, *law, 0.0])]
        del law[: accept[t] - accept[t - 1]]
        edge = line[-1] + 1
        while edge > accept[t] + 1 and spent + law[-1] <= budget[t]:
            edge -= 1
            spent += law.pop()
        line.append(edge)
    return line


def probability_at_or_below(line: Sequence[int], p: float) -> float:
    """Return the probability that the failures are ever at or below a line that never falls."""
    law, low, at, reached = np.ones(1), 0, 0, 0.0
    for t in _changes(line):
        law = _carried(law, p, t - at, line[-1] + 1 - low)
        reached += float(law[: line[t] + 1 - low].sum())
        law, low, at = law[line[t] + 1 - low :], line[t] + 1, t
    return reached


def probability_between(lower: Sequence[int], upper: Sequence[int], p: float) -> float:
    """Return the probability that the failures are at or below `lower` before ever at `upper`.

    The lower line never falls, and is below the upper one.
    """
    law, low, at, reached = np.ones(1), 0, 0, 0.0
    # The upper line is where it was on the whole way from one of these observations to the next.
    for t in sorted({*_changes(lower), *(t - 1 for t in _changes(upper))}):
        law = _carried(law, p, t - at, upper[t] - low)
        crossed = lower[t] + 1 - low
        reached += float(law[:crossed].sum())
        law, low, at = law[crossed:], low + crossed, t
    return reached


def advance(law: Floats, p: float) -> None:
    """Move the law by one observation, in place; what leaves the array is dropped."""
    failed = law[:-1] * (1 - p)
    law *= p
    law[1:] += failed


def absorb(part: Floats) -> float:
    """Take this part out of the law and return its probability."""
    mass = float(part.sum())
    part[:] = 0.0
    return mass


def fixed_sample_limit(n: int, floor: float, alpha: float) -> int:
    """Return the most failures with which a fixed sample of n rejects `rate <= floor`; or -1."""
    return int(fixed_sample_limits(np.array([n]), floor, alpha)[0])


def fixed_sample_limits(lengths: Counts, floor: float, alpha: float) -> Counts:
    """Return the same for samples of each of these lengths."""
    low, high = np.zeros_like(lengths), lengths
    while (low < high).any():
        middle = (low + high) // 2
        fits = bdtr(middle.astype(np.float64), lengths, 1 - floor) <= alpha
        low, high = np.where(fits, middle + 1, low), np.where(fits, high, middle)
    return low - 1


def _changes(line: Sequence[int]) -> list[int]:
    """Return after how many observations a line is not where it was before."""
    return [t for t, (before, here) in enumerate(pairwise(line), start=1) if here != before]


def _carried(law: Floats, p: float, steps: int, width: int) -> Floats:
    """Return the first `width` places of a law after some more observations."""
    while steps and len(law):
        stride = min(steps, _LONGEST)
        law, steps = np.convolve(law, _failures(p, stride))[:width], steps - stride
    return law[:width]


@functools.lru_cache(maxsize=512)
def _failures(p: float, steps: int) -> Floats:
    """Return the law of the failures among so many observations."""
    if steps == 1:
        return np.array([p, 1 - p])
    return np.convolve(_failures(p, steps // 2), _failures(p, steps - steps // 2))
