"""What is promised when one table decides over several hypotheses in a fixed order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from calibrate.stats.exact import sequence_p_value, upper_tail
from calibrate.stats.multiple import fallback_graph, graphical

ITEMS, FLOOR, ALPHA = 200, 0.90, 0.05
Rates = tuple[float, float, float, float]


def routes(rates: Rates, runs: int, seed: int, *, plain: bool = False) -> NDArray[np.int64]:
    """The last hypothesis of the order that is rejected, in each run; -1 for none.

    Latent correlation .5. `plain`: a fixed sequence of binomial tests, for comparison.
    """
    rng = np.random.default_rng(seed)
    limits = np.asarray(norm.ppf(rates))[:, None]
    found = np.full(runs, -1)
    for run in range(runs):
        shared, own = rng.standard_normal((1, ITEMS)), rng.standard_normal((4, ITEMS))
        passed = shared * math.sqrt(0.5) + own * math.sqrt(0.5) < limits
        if plain:
            p = [upper_tail(int(row.sum()), ITEMS, FLOOR) for row in passed]
            rejected = graphical(p, fallback_graph(4, first_share=1.0), alpha=ALPHA).rejected
        else:
            p = [sequence_p_value(row, FLOOR) for row in passed]
            rejected = graphical(p, fallback_graph(4), alpha=ALPHA).rejected
        found[run] = max((j for j in range(4) if rejected[j]), default=-1)
    return found


def shares(rates: Rates, right: int, runs: int, seed: int) -> tuple[float, float]:
    """How often the route is at or below the floor, and how often it is the right one."""
    found = routes(rates, runs, seed)
    bad = np.array([rate <= FLOOR for rate in rates] + [False])
    return float(bad[found].mean()), float(np.mean(found == right))


@pytest.mark.parametrize(
    ("rates", "right", "least"),
    [((0.98, 0.94, 0.89, 0.88), 1, 0.57), ((0.98, 0.97, 0.96, 0.95), 3, 0.77)],
)
def test_the_right_route_is_found(rates: Rates, right: int, least: float) -> None:
    wrong, found = shares(rates, right, 2000, 14)
    assert wrong <= 0.05
    assert found >= least


@pytest.mark.audit
@pytest.mark.parametrize(
    ("rates", "right", "least"),
    [
        ((0.98, 0.94, 0.89, 0.88), 1, 0.62),  # .627
        ((0.98, 0.97, 0.96, 0.95), 3, 0.81),  # .827
        ((0.90, 0.97, 0.94, 0.88), 2, 0.22),  # .236; a fixed sequence finds .02
        ((0.85, 0.97, 0.89, 0.88), 1, 0.84),  # .856; a fixed sequence finds none
    ],
)
def test_the_numbers_of_the_docstring(rates: Rates, right: int, least: float) -> None:
    wrong, found = shares(rates, right, 10_000, 15)
    assert wrong <= 0.05
    assert found >= least


@pytest.mark.audit
@pytest.mark.parametrize(
    "rates",
    [(0.90, 0.90, 0.90, 0.90), (0.98, 0.97, 0.90, 0.90), (0.98, 0.90, 0.98, 0.90)],
)
def test_hypotheses_at_the_floor_keep_the_error(rates: Rates) -> None:
    wrong, _ = shares(rates, -2, 10_000, 16)
    assert wrong <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / 10_000)


@pytest.mark.audit
def test_plain_binomial_tests_in_sequence_find_less() -> None:
    assert np.mean(routes((0.98, 0.94, 0.89, 0.88), 10_000, 17, plain=True) == 1) < 0.60
    assert np.mean(routes((0.98, 0.97, 0.96, 0.95), 10_000, 18, plain=True) == 3) < 0.79
