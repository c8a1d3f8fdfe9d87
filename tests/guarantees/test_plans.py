"""What is promised of sequential plans: their error in simulation, and what they save, exactly."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from calibrate.stats.plan import (
    Kind,
    Plan,
    build_plan,
    operating_characteristics,
    plan_for,
    settle_many,
)

SETS = {"A": (0.70, 0.93, 0.98), "B": (0.88, 0.91, 0.97), "C": (0.95, 0.97, 0.99)}
PRICES = (1, 5, 25)
TRUTHS = {  # the design's scenarios, at a floor of .90: rates of three candidates
    "all at the floor": (0.90, 0.90, 0.90),
    "two at the floor": (0.90, 0.90, 0.97),
    "just under it": (0.89, 0.895, 0.97),
    "staircase": (0.86, 0.90, 0.94),
}


def outcomes(
    rng: np.random.Generator, rates: tuple[float, ...], runs: int, n: int, correlation: float
) -> NDArray[np.bool_]:
    """Runs x candidates x items; what the candidates share is how hard the item is."""
    shared = rng.standard_normal((runs, 1, n)) * math.sqrt(correlation)
    own = rng.standard_normal((runs, len(rates), n)) * math.sqrt(1 - correlation)
    limits = np.asarray(norm.ppf(rates))[:, None]
    return np.asarray(shared + own < limits)


def first_accepted(plan: Plan, passed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first candidate of each run that is accepted, cheapest first; -1 for none."""
    runs, k, n = passed.shape
    kinds = settle_many(plan, passed.reshape(runs * k, n)).kinds.reshape(runs, k)
    accepted = kinds == Kind.ACCEPTED
    return np.where(accepted.any(axis=1), accepted.argmax(axis=1), -1)


def false_certifications(
    rates: tuple[float, ...], n: int, correlation: float, runs: int, seed: int
) -> float:
    rng = np.random.default_rng(seed)
    plan = plan_for(n, 0.90, 0.95, alpha=0.05 / len(rates))
    bad = np.array([rate <= 0.90 for rate in rates] + [False])  # -1 is none
    wrong = 0
    for _ in range(runs // 1000):
        passed = outcomes(rng, rates, 1000, n, correlation)
        wrong += int(bad[first_accepted(plan, passed)].sum())
    return wrong / (runs // 1000 * 1000)


def test_cheapest_first_at_alpha_over_k_keeps_the_error() -> None:
    """All three at the floor, the worst case: .05 and two standard errors of 3000 runs."""
    found = false_certifications(TRUTHS["all at the floor"], 300, 0.6, 3000, 1)
    assert 0.03 < found <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 3000)


@pytest.mark.audit
@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize(("n", "correlation"), [(100, 0.0), (100, 0.6), (300, 0.0), (300, 0.6)])
def test_sixteen_scenarios_keep_the_error(truth: str, n: int, correlation: float) -> None:
    found = false_certifications(TRUTHS[truth], n, correlation, 10_000, 2)
    assert found <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 10_000)


def savings() -> list[tuple[float, float]]:
    """Of the nine sets: the share of calls and of money not spent, cheapest first, exactly."""
    found = []
    for rates in SETS.values():
        for tolerance in (0.0, 0.03, 0.05):
            rate = 0.95 if tolerance == 0 else 0.90
            plan = plan_for(300, round(0.90 - tolerance, 2), rate, alpha=0.05 / 3)
            reached, calls, cost = 1.0, 0.0, 0.0
            for p, price in zip(rates, PRICES, strict=True):
                each = operating_characteristics(plan, p)
                calls += reached * each.expected_n
                cost += reached * each.expected_n * price
                reached *= 1 - each.accept_probability
            found.append((1 - calls / 900, 1 - cost / (300 * sum(PRICES))))
    return found


def test_fewer_calls_and_less_spend_than_asking_everything() -> None:
    calls, spend = zip(*savings(), strict=True)
    assert np.mean(calls) >= 0.70
    assert np.mean(spend) >= 0.80
    assert min(calls) >= 0.50


def divergence(a: float, b: float) -> float:
    a, b = min(max(a, 1e-15), 1 - 1e-15), min(max(b, 1e-15), 1 - 1e-15)
    return a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b))


def bound_ratios(n: int) -> list[float]:
    """Expected calls over the least that any test with these error rates needs, for p >= rate.

    Wald's change-of-measure bound in the form of Kaufmann, Cappe & Garivier (2016), Lemma 1.
    """
    ratios = []
    for bar, tolerance, strict in ((0.80, 0.05, 0.90), (0.90, 0.05, 0.95), (0.95, 0.03, 0.98)):
        for floor, rate in ((round(bar - tolerance, 2), bar), (bar, strict)):
            plan = plan_for(n, floor, rate, alpha=0.05)
            at_floor, at_rate = (
                operating_characteristics(plan, p).accept_probability for p in (floor, rate)
            )
            for p in {rate, *(x for x in (0.85, 0.90, 0.925, 0.95, 0.97, 0.98, 0.99) if x > rate)}:
                found = operating_characteristics(plan, p)
                least = divergence(found.accept_probability, at_floor) / divergence(p, floor)
                if p != rate:
                    failing = divergence(1 - found.accept_probability, 1 - at_rate)
                    least = max(least, failing / divergence(p, rate))
                ratios.append(found.expected_n / least)
    return ratios


@pytest.mark.parametrize("n", [100, 300])
def test_calls_are_near_the_least_possible(n: int) -> None:
    assert np.mean(bound_ratios(n)) <= 1.25


@pytest.mark.audit
def test_a_large_plan_and_its_search_are_quick() -> None:
    started = time.process_time()
    operating_characteristics(build_plan(1000, 0.93, 0.96, alpha=0.0123), 0.96)
    built = time.process_time()
    plan_for(1000, 0.93, 0.955, alpha=0.0123)
    assert built - started <= 0.2
    assert time.process_time() - built <= 1.0


@pytest.mark.parametrize(("p", "shown"), [(0.3, 0.99), (0.5, 0.99), (0.7, 0.75), (0.8, 0.2)])
def test_a_clearly_bad_candidate_is_shown_to_be_bad(p: float, shown: float) -> None:
    """Floor .90, alpha / 3: rejected by its own test before futility stops it."""
    plan = plan_for(300, 0.90, 0.95, alpha=0.05 / 3)
    assert operating_characteristics(plan, p).reject_probability >= shown
