"""No retry until green: what several attempts at one claim may do, simulated."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from calibrate.stats.multiple import attempt_share
from calibrate.stats.plan import Kind, plan_for, settle_many

ATTEMPTS = 6  # the first and five more
FLOOR, ALPHA, CASES = 0.90, 0.05, 300


def passed(rng: np.random.Generator, runs: int, models: int) -> NDArray[np.bool_]:
    """Runs x models x cases, all models at the floor; they share how hard a case is."""
    shared = rng.standard_normal((runs, 1, CASES)) * math.sqrt(0.6)
    own = rng.standard_normal((runs, models, CASES)) * math.sqrt(0.4)
    return np.asarray(shared + own < norm.ppf(FLOOR))


def reordered(rng: np.random.Generator, sample: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """The same cases under another seed at every attempt."""
    for _ in range(ATTEMPTS):
        order = rng.permuted(np.tile(np.arange(CASES), (len(sample), 1)), axis=1)
        yield np.take_along_axis(sample, order[:, None, :], axis=2)


def growing(rng: np.random.Generator, sample: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """From half of the cases to all of them, every time in a new order."""
    for attempt in range(ATTEMPTS):
        count = CASES // 2 + CASES // 2 * attempt // (ATTEMPTS - 1)
        order = rng.permuted(np.tile(np.arange(count), (len(sample), 1)), axis=1)
        yield np.take_along_axis(sample[:, :, :count], order[:, None, :], axis=2)


def ever_certified(attempts: object, models: int, runs: int, *, is_shared_out: bool) -> float:
    """How often any attempt certifies a model, all of which are at the floor."""
    rng = np.random.default_rng(23)
    sample = passed(rng, runs, models)
    ever = np.zeros(runs, dtype=bool)
    for number, outcomes in enumerate(attempts(rng, sample), start=1):  # type: ignore[operator]
        share = attempt_share(number) if is_shared_out else 1.0
        count = outcomes.shape[2]
        plan = plan_for(count, FLOOR, 0.95, alpha=ALPHA / models * share)
        kinds = settle_many(plan, outcomes.reshape(-1, count)).kinds.reshape(runs, models)
        ever |= (kinds == Kind.ACCEPTED).any(axis=1)
    return float(ever.mean())


@pytest.mark.parametrize("attempts", [reordered, growing])
@pytest.mark.parametrize("models", [1, 3])
def test_five_more_attempts_keep_the_promise(attempts: object, models: int) -> None:
    found = ever_certified(attempts, models, 4000, is_shared_out=True)
    assert found <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / 4000)


@pytest.mark.parametrize("attempts", [reordered, growing])
def test_the_full_error_at_each_attempt_would_break_it(attempts: object) -> None:
    assert ever_certified(attempts, 1, 4000, is_shared_out=False) > 3 * ALPHA


def test_the_shares_never_sum_to_more_than_the_whole() -> None:
    shares = [attempt_share(number) for number in range(1, 60)]
    assert sum(shares) <= 1
    assert shares == sorted(shares, reverse=True)
    assert shares[:3] == pytest.approx([0.9, 0.05, 0.025])


def test_attempts_are_numbered_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        attempt_share(0)
