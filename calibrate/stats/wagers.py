"""Bets that means are above given ones, many side by side, and what they come to.

The state after some observations is a record that takes the next ones: however a sample is cut
into pieces, the bets and their wealth are the same.

Sources: Waudby-Smith & Ramdas, JRSS B 86 (2024), 1-27, Proposition 3 (the capital process) and
section 4 (betting); Voracek & Orabona, arXiv 2505.22422, for bets that aim at the threshold with
the observations that are left, of which `_aimed` is a simplified form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Floats", "Wagers", "first_crossings", "open_wagers"]

Floats = NDArray[np.float64]

MIXTURE_BETS = 40
MIXTURE_SHARE = 0.3  # of the stake; the rest follows the bets that aim at the threshold
LARGEST_BET = 0.9  # of the bet that could lose everything
CELLS = 1 << 16  # numbers worked on at once: few enough for a processor's cache
BLOCK = 64  # observations between two looks at which rows have crossed


@dataclass(frozen=True, slots=True)
class Wagers:
    """Where gamblers stand, one a row, after each has bet on so many observations in [0, 1].

    Each bets that the mean is above its own `means`, and has to reach 1 / alpha from 1. Guarantee:
    if the true mean is at most that, it is ever reached with probability at most alpha (Ville's
    inequality), given that each observation has the same mean given those before it.
    """

    means: Floats
    alphas: Floats
    n: int  # the length that the bets are made for
    seen: int
    mixture: Floats  # rows x bets: the wealth of constant bets
    aimed: Floats  # the log wealth of the bets that aim at the threshold
    totals: Floats  # of the observations and, at first, one of 1/2
    squares: Floats  # of their distances from the running mean and, at first, one of 1/4

    def after(self, observations: Floats) -> tuple[Floats, Wagers]:
        """Return the log wealth after each of the next observations, and where it leaves them."""
        x = np.ascontiguousarray(observations.T)  # in time: each step is on what lies together
        gains = x - self.means
        times = self.seen + np.arange(1, len(x) + 1)[:, None]
        totals = np.cumsum(np.vstack([self.totals, x]), axis=0)
        distances = x - totals[1:] / (times + 1)
        squares = np.cumsum(np.vstack([self.squares, distances**2]), axis=0)
        left = squares[:-1] / times * np.maximum(self.n - times + 1, 1)
        mixed, mixture = _mixed(self.mixture, self.means, gains)
        aimed = _aimed(self.aimed, self.means, self.alphas, gains, left)
        wealth: Floats = np.logaddexp(
            math.log(MIXTURE_SHARE) + np.log(np.maximum(mixed, 1e-300)),
            math.log(1 - MIXTURE_SHARE) + aimed[1:],
        )
        seen = self.seen + len(x)
        last = aimed[-1], totals[-1], squares[-1]
        return wealth.T, Wagers(self.means, self.alphas, self.n, seen, mixture, *last)

    def of(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Wagers:
        """Return those of these rows alone."""
        return Wagers(
            self.means[rows],
            self.alphas[rows],
            self.n,
            self.seen,
            self.mixture[rows],
            self.aimed[rows],
            self.totals[rows],
            self.squares[rows],
        )

    def reached(self, log_wealth: Floats) -> NDArray[np.int64]:
        """Return where each row first is at 1 / alpha: 1-based, 0 for never."""
        is_enough = log_wealth >= np.log(1 / self.alphas)[:, None]
        if not log_wealth.shape[1]:
            return np.zeros(len(log_wealth), np.int64)
        return np.where(is_enough.any(axis=1), is_enough.argmax(axis=1) + 1, 0)


def open_wagers(means: ArrayLike, alphas: ArrayLike, n: int) -> Wagers:
    """Return the gamblers before their first bet; one alpha may go with all of the means."""
    m, alpha = np.broadcast_arrays(np.asarray(means, float), np.asarray(alphas, float))
    if not np.all((alpha > 0) & (alpha < 1)):
        raise ValueError("alpha must lie in (0, 1)")
    if not np.all((m >= 0) & (m <= 1)):
        raise ValueError("the mean must lie in [0, 1]")
    return Wagers(
        means=np.maximum(m, 1e-12),  # `mean <= 0` implies `mean <= 1e-12`: no division by zero
        alphas=alpha,
        n=n,
        seen=0,
        mixture=np.ones((len(m), MIXTURE_BETS)),
        aimed=np.zeros(len(m)),
        totals=np.full(len(m), 0.5),
        squares=np.full(len(m), 0.25),
    )


def first_crossings(
    wagers: Wagers, observations: Callable[[NDArray[np.int64], slice], Floats]
) -> NDArray[np.int64]:
    """Return where each row first reaches 1 / alpha: 1-based, 0 for not within n.

    `observations` gives those of some rows in a piece of time: a row that has reached it is not
    asked for any further.
    """
    crossed = np.zeros(len(wagers.means), np.int64)
    live = np.arange(len(crossed))
    for start in range(0, wagers.n, BLOCK):
        log_wealth, wagers = wagers.after(observations(live, slice(start, start + BLOCK)))
        at = wagers.reached(log_wealth)
        crossed[live] = np.where(at > 0, start + at, 0)
        live, wagers = live[at == 0], wagers.of(at == 0)
        if not live.size:
            break
    return crossed


def _mixed(mixture: Floats, means: Floats, gains: Floats) -> tuple[Floats, Floats]:
    """Constant bets, spread evenly over what may be bet: good at any length.

    Their mean wealth after each observation, and the wealth of each after the last.
    """
    sizes = (np.arange(MIXTURE_BETS) + 0.5) / (MIXTURE_BETS * means[:, None])
    path = np.empty_like(gains)
    step = max(1, CELLS // max(sizes.size, 1))
    for start in range(0, len(gains), step):
        wealths = sizes * gains[start : start + step, :, None]
        wealths += 1
        for wealth in wealths:  # from what each bet multiplies it by
            wealth *= mixture
            np.minimum(wealth, 1e100, out=wealth)  # far above any 1 / alpha
            mixture = wealth
        path[start : start + step] = wealths.mean(axis=2)
    return path, mixture.copy()


def _aimed(wealth: Floats, means: Floats, alphas: Floats, gains: Floats, left: Floats) -> Floats:
    """Bets of the size that would reach 1 / alpha with the observations left up to n.

    Each uses only what came before it. With variance v, k observations left and L still to gain
    in log wealth, sqrt(2 L / (v k)) is that size to second order; `left` is v k. The log wealth
    before the first and after each.
    """
    goal, largest = np.log(1 / ((1 - MIXTURE_SHARE) * alphas)), LARGEST_BET / means
    path = np.empty((len(gains) + 1, len(wealth)))
    path[0] = wealth
    halves, size = left / 2, np.empty_like(wealth)
    for t, (half, gain) in enumerate(zip(halves, gains, strict=True)):
        np.subtract(goal, path[t], out=size)
        np.maximum(size, 0.0, out=size)
        size /= half
        np.sqrt(size, out=size)
        np.minimum(size, largest, out=size)
        size *= gain
        np.log1p(size, out=size)
        np.add(path[t], size, out=path[t + 1])
    return path
