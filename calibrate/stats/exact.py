"""Exact binomial bounds, and how many observations a bound needs.

Every function assumes independent Bernoulli observations with one success probability and a
sample size fixed before the first of them: none may be looked at on a growing sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, betaincinv

__all__ = [
    "Bounds",
    "clopper_pearson",
    "fewest_successes",
    "sample_size_for_rate",
    "sequence_p_value",
    "upper_tail",
    "zero_failure_size",
]


@dataclass(frozen=True, slots=True)
class Bounds:
    """One-sided bounds on a probability, each at level `alpha` by itself."""

    successes: int
    n: int
    alpha: float
    estimate: float
    low: float
    high: float


def clopper_pearson(successes: int, n: int, *, alpha: float) -> Bounds:
    """Return the exact one-sided lower and upper bounds at level `alpha` each.

    Guarantee: P(low > p) <= alpha and P(high < p) <= alpha for every p. With n = 0 the bounds
    are [0, 1]. Source: Clopper & Pearson, Biometrika 26 (1934), 404-413.
    """
    _check(successes, n, alpha)
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, alpha))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - alpha))
    return Bounds(successes, n, alpha, successes / n if n else float("nan"), low, high)


def upper_tail(successes: int, n: int, p: float) -> float:
    """Return P(X >= successes) for X ~ Bin(n, p): the p-value against `rate <= p`."""
    if successes > n:
        return 0.0
    return 1.0 if successes <= 0 else float(bdtrc(successes - 1, n, p))


def sequence_p_value(passed: Sequence[bool] | NDArray[np.bool_], floor: float) -> float:
    """Return the exact p-value against `rate <= floor` of a whole sample in its order.

    Sequences are ranked by their number of failures and, where that is equal, by where the last
    failure stands, then the last but one, and so on: the longer the clean run at the end, the
    stronger. The binomial tail is coarse (at n = 200 and floor .90 a test at .05 has level .032);
    ranking all 2^n sequences leaves no gap, and is the most powerful test there is.

    Guarantee: P(p-value <= alpha) <= alpha for every rate <= floor and every alpha. Given the
    number of failures every arrangement is equally likely, so at rate = floor this is the
    probability of all sequences ranked as high. The regions are {D < k} and a share of {D = k},
    which is the randomised test with the arrangement in place of the coin; its power rises with
    the rate (Lehmann & Romano, Testing Statistical Hypotheses, 3rd ed., Theorem 3.4.1).
    The order must be fixed before any observation. With n = 0 the p-value is 1. Against `rate >=
    floor`: give the failures and 1 - floor.
    """
    n = len(passed)
    failed = np.flatnonzero(~np.asarray(passed, dtype=bool)).tolist()
    rank = sum(math.comb(at, i) for i, at in enumerate(failed, 1))  # colexicographic, from 0
    fewer = upper_tail(n - len(failed) + 1, n, floor)
    as_many = upper_tail(n - len(failed), n, floor)
    return fewer + (as_many - fewer) * ((rank + 1) / math.comb(n, len(failed)))


def fewest_successes(n: int, floor: float, *, alpha: float) -> int | None:
    """Return the least s with P(Bin(n, floor) >= s) <= alpha, or None where even n is too few."""
    if upper_tail(n, n, floor) > alpha:
        return None
    low, high = 0, n  # the tail falls in s: bisect
    while low < high:
        middle = (low + high) // 2
        if upper_tail(middle, n, floor) <= alpha:
            high = middle
        else:
            low = middle + 1
    return low


def zero_failure_size(floor: float, *, alpha: float) -> int | None:
    """Return the least n for which n successes out of n reject `rate <= floor` at `alpha`.

    With a floor of 1 there is none.
    """
    if floor >= 1:
        return None
    n = max(1, math.floor(math.log(alpha) / math.log(floor))) if floor > 0 else 1
    while floor**n > alpha:
        n += 1
    return n


def sample_size_for_rate(
    observed: float, floor: float, *, alpha: float, limit: int = 1_000_000
) -> int | None:
    """Return the least n from which on every sample at this observed rate rejects, up to `limit`.

    The rate is that of the sample, rounded down to whole successes; an n of luck, after which a
    larger one does not reject, is no answer. None where the rate is not above the floor, or the
    answer is over `limit`.
    """
    if observed <= floor:
        return None
    high = min(_certain_size(observed, floor, alpha), limit + 1)
    while high > 1:  # blocks of sizes, from the largest downward
        low = max(1, high - high // 4 - 1)
        sizes = np.arange(low, high)
        # A hair is added before rounding down: 0.96 x 300 must be 288 and not 287.
        successes = np.floor(observed * sizes + 1e-9)
        tails = bdtrc(np.maximum(successes - 1, 0), sizes, floor)
        fails = np.flatnonzero((successes < 1) | (tails > alpha))
        if fails.size:
            high = int(sizes[fails[-1]]) + 1
            break
        high = low
    return high if high <= limit else None


def _certain_size(observed: float, floor: float, alpha: float) -> int:
    """A size from which on every sample at this rate rejects, by Hoeffding's inequality.

    Rounding costs less than one success: n (observed - floor) - 1 >= sqrt(n ln(1/alpha) / 2).
    """
    half = math.sqrt(math.log(1 / alpha) / 2)
    gap = observed - floor
    return math.ceil(((half + math.sqrt(half * half + 4 * gap)) / (2 * gap)) ** 2)


def _check(successes: int, n: int, alpha: float) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, n], got {successes} of {n}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie in (0, 1), got {alpha}")
