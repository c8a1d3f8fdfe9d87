"""What is promised of the regression test: its error, and its power against the best possible."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multinomial, multivariate_normal, norm

from calibrate.dataset import Case
from calibrate.regression import Found, Pairs, compare
from calibrate.stats.paired import drop_p_value

CASES, CORRELATION, ALPHA = 200, 0.5, 0.05
MOST = 60  # losses or wins that matter: more have no probability here

Floats = NDArray[np.float64]


def rates(before: float, now: float) -> tuple[float, float]:
    """P(loss) and P(win) of two pass rates whose latent normal scores are correlated."""
    limits = norm.ppf([before, now])
    both = multivariate_normal([0, 0], [[1, CORRELATION], [CORRELATION, 1]]).cdf(limits)
    return before - both, now - both


def law(loss: float, win: float) -> Floats:
    """The probability of every number of losses and wins."""
    losses, wins = np.meshgrid(range(MOST), range(MOST), indexing="ij")
    counts = np.stack([losses, wins, CASES - losses - wins], -1)
    found: Floats = multinomial.pmf(counts, CASES, [loss, win, 1 - loss - win])
    return found


@functools.cache
def p_values(*, drop: float = 0.0, below: bool = False) -> Floats:
    return np.array(
        [
            [drop_p_value(CASES, loss, win, drop, below=below) for win in range(MOST)]
            for loss in range(MOST)
        ]
    )


def best_power(loss: float, win: float) -> float:
    """The power of the most powerful test of the one null that differs as often, at ALPHA.

    Every valid test of no drop is one of that null, too, so that none has more (Neyman and
    Pearson's lemma, with a coin at the boundary).
    """
    same = (loss + win) / 2
    under, true = law(same, same).ravel(), law(loss, win).ravel()
    order = np.argsort(-true / np.maximum(under, 1e-300), kind="stable")
    spent = np.cumsum(under[order])
    last = int(np.searchsorted(spent, ALPHA))
    coin = (ALPHA - spent[last - 1]) / under[order[last]]
    return float(true[order[:last]].sum() + coin * true[order[last]])


def simulated(before: float, now: float, runs: int, seed: int) -> dict[Found, float]:
    """How often `compare` says what, of so many simulated pairs of routes."""
    rng = np.random.default_rng(seed)
    limits = norm.ppf([before, now])[:, None]
    cases = tuple(Case(f"c-{at}", "x", "y") for at in range(CASES))
    said = dict.fromkeys(Found, 0)
    for _ in range(runs):
        shared, own = rng.standard_normal((1, CASES)), rng.standard_normal((2, CASES))
        latent = math.sqrt(CORRELATION) * shared + math.sqrt(1 - CORRELATION) * own
        scores = (latent < limits).astype(float)
        pair = Pairs("w", "old", "new", cases, tuple(zip(*scores.tolist(), strict=True)))
        (regression,) = compare([pair], alpha=ALPHA)
        said[regression.found] += 1
    return {found: count / runs for found, count in said.items()}


def test_the_rates_are_those_of_the_design() -> None:
    assert rates(0.93, 0.88) == pytest.approx((0.0918, 0.0418), abs=0.0001)
    assert rates(0.93, 0.93) == pytest.approx((0.0504, 0.0504), abs=0.0001)


@pytest.mark.audit
def test_no_valid_test_of_the_pair_is_much_more_powerful() -> None:
    """.93 to .88: .620 of at most .625 that any valid one-sided test at 5 % can have."""
    loss, win = rates(0.93, 0.88)
    power = float(law(loss, win)[p_values() <= ALPHA].sum())
    assert power == pytest.approx(0.620, abs=0.002)
    assert best_power(loss, win) == pytest.approx(0.625, abs=0.002)


@pytest.mark.audit
def test_no_drop_is_red_in_at_most_five_percent_however_often_the_two_differ() -> None:
    p = p_values()
    error = [
        float(law(share / 2, share / 2)[p <= ALPHA].sum()) for share in np.linspace(0, 0.4, 41)
    ]
    assert max(error) <= ALPHA
    assert max(error) > 0.047  # and little of it is wasted


@pytest.mark.audit
def test_a_drop_is_ruled_out_in_error_in_at_most_five_percent() -> None:
    p = p_values(drop=0.05, below=True)
    error = [float(law(win + 0.05, win)[p <= ALPHA].sum()) for win in np.linspace(0, 0.15, 31)]
    assert max(error) <= ALPHA
    same = float(law(0.05, 0.05)[p <= ALPHA].sum())
    assert same == pytest.approx(0.687, abs=0.005)  # of the routes that are as good are called so


@pytest.mark.audit
def test_a_thousand_simulated_changes() -> None:
    """Worse in .62 of the true drops and in .05 of none; standard errors .015 and .007."""
    dropped, same = simulated(0.93, 0.88, 1000, 3), simulated(0.93, 0.93, 1000, 4)
    assert 0.575 < dropped[Found.WORSE] < 0.665
    assert same[Found.WORSE] <= 0.064
    assert dropped[Found.NOT_WORSE] <= 0.064
