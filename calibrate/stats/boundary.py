"""The exact law of the failures in a growing sample, and lines that spend an error along it.

The law is an array over the number of failures. What has crossed a line is taken out of it, so
that what is left is the part that has not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

__all__ = ["absorb", "accept_line", "advance", "fixed_sample_limit", "upper_line"]


def accept_line(n: int, floor: float, budget: list[float]) -> list[int]:
    """Return the most failures, after each observation, whose law at `floor` fits the budget.

    `budget[t]` bounds what may be spent up to t. The line never falls: whatever is left of the
    law lies above it. Crossing it means few failures.
    """
    # No line can end above the fixed-sample test of all n, so more failures need no place.
    most = fixed_sample_limit(n, floor, budget[n])
    law = np.zeros(most + 2)
    law[0] = 1.0
    line, edge, spent = [-1], -1, 0.0
    for t in range(1, n + 1):
        advance(law, floor)
        while edge < most and spent + law[edge + 1] <= budget[t]:
            edge += 1
            spent += float(law[edge])
            law[edge] = 0.0
        line.append(edge)
    return line


def upper_line(n: int, p: float, budget: list[float], accept: list[int] | None) -> list[int]:
    """Return the fewest failures whose law at p fits the budget, among what is not accepted.

    Crossing it means many failures. Without an accept line it never falls.
    """
    law = np.zeros(n + 2)
    law[0] = 1.0
    line, spent = [1], 0.0
    for t in range(1, n + 1):
        live = law[: line[-1] + 1]
        advance(live, p)
        least = line[-1]
        if accept is not None:
            live[: accept[t] + 1] = 0.0
            least = accept[t] + 1
        edge = len(live)
        while edge > least and spent + live[edge - 1] <= budget[t]:
            edge -= 1
            spent += float(live[edge])
            live[edge] = 0.0
        line.append(edge)
    return line


def advance(law: NDArray[np.float64], p: float) -> None:
    """Move the law by one observation, in place; what leaves the array is dropped."""
    failed = law[:-1] * (1 - p)
    law *= p
    law[1:] += failed


def absorb(part: NDArray[np.float64]) -> float:
    """Take this part out of the law and return its probability."""
    mass = float(part.sum())
    part[:] = 0.0
    return mass


def fixed_sample_limit(n: int, floor: float, alpha: float) -> int:
    """Return the most failures with which a fixed sample of n rejects `rate <= floor`; or -1."""
    tails = bdtr(np.arange(n), n, 1 - floor) if n else np.empty(0)
    return int(np.searchsorted(tails, alpha, side="right")) - 1
