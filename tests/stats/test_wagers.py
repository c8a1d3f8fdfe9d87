"""Bets side by side: against their formula, written out for one gambler, and in pieces."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrate.stats.wagers import Floats, first_crossings, open_wagers

samples = st.lists(st.floats(0, 1), max_size=25)


def wealth_of(sample: list[float], mean: float, alpha: float, n: int) -> list[float]:
    """0.3 of the stake on 40 constant bets, 0.7 on one that aims at 1 / (0.7 alpha) by n."""
    constant = [1.0] * 40
    aimed, total, squares = 0.0, 0.5, 0.25
    found = []
    for t, x in enumerate(sample, start=1):
        lacking = max(math.log(1 / (0.7 * alpha)) - aimed, 0.0)
        size = min(math.sqrt(2 * lacking / (squares / t * max(n - t + 1, 1))), 0.9 / mean)
        aimed += math.log1p(size * (x - mean))
        total += x
        squares += (x - total / (t + 1)) ** 2
        constant = [w * (1 + (j + 0.5) / (40 * mean) * (x - mean)) for j, w in enumerate(constant)]
        found.append(0.3 * math.fsum(constant) / 40 + 0.7 * math.exp(aimed))
    return found


@given(samples, st.floats(0.01, 1), st.floats(0.001, 0.5), st.integers(1, 40))
@settings(max_examples=60)
def test_the_wealth_is_that_of_the_formula(
    x: list[float], mean: float, alpha: float, n: int
) -> None:
    log_wealth, _ = open_wagers([mean], alpha, n).after(np.array([x]))
    assert np.exp(log_wealth[0]) == pytest.approx(wealth_of(x, mean, alpha, n), rel=1e-9)


@given(st.data(), samples)
@settings(max_examples=60)
def test_a_sample_in_pieces_is_bet_on_exactly_as_in_one(
    data: st.DataObject, x: list[float]
) -> None:
    rows = np.array([x, [1 - score for score in x]])
    whole, end = open_wagers([0.3, 0.9], [0.05, 0.2], 20).after(rows)
    wagers, parts, seen = open_wagers([0.3, 0.9], [0.05, 0.2], 20), [], 0
    while seen < len(x):
        step = data.draw(st.integers(1, len(x) - seen))
        log_wealth, wagers = wagers.after(rows[:, seen : seen + step])
        parts.append(log_wealth)
        seen += step
    assert wagers.seen == end.seen == len(x)
    assert np.hstack([np.empty((2, 0)), *parts]).tolist() == whole.tolist()


def test_rows_that_are_kept_go_on_as_before() -> None:
    x = np.random.default_rng(1).random((3, 40))
    wagers = open_wagers([0.2, 0.5, 0.8], 0.05, 40)
    whole, _ = wagers.after(x)
    _, half = wagers.after(x[:, :20])
    for rows in (np.array([2, 0]), np.array([True, False, True])):
        later, _ = half.of(rows).after(x[rows, 20:])
        assert later.tolist() == whole[rows, 20:].tolist()


def test_a_row_that_has_crossed_is_not_asked_for_any_further() -> None:
    x = np.vstack([np.ones(300), np.zeros(300), np.tile([1.0, 1.0, 0.0], 100)])
    asked: list[tuple[list[int], int]] = []

    def observations(rows: NDArray[np.int64], part: slice) -> Floats:
        asked.append((rows.tolist(), part.start))
        return x[rows, part]

    wagers = open_wagers([0.5, 0.5, 0.5], 0.001, 300)
    found = first_crossings(wagers, observations)
    log_wealth, _ = wagers.after(x)
    assert found.tolist() == wagers.reached(log_wealth).tolist()
    assert 0 < found[0] < found[2]
    assert found[1] == 0
    assert [start for rows, start in asked if 0 in rows] == [0]
    assert max(start for rows, start in asked if 1 in rows) > 200


def test_the_search_ends_once_all_have_crossed() -> None:
    pieces = []

    def ones(rows: NDArray[np.int64], part: slice) -> Floats:
        pieces.append(part)
        return np.ones((len(rows), part.stop - part.start))

    assert (first_crossings(open_wagers([0.5, 0.6], 0.05, 10_000), ones) > 0).all()
    assert len(pieces) == 1


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        open_wagers([0.5], [1.0], 10)
    with pytest.raises(ValueError, match="the mean"):
        open_wagers([0.5, -0.1], 0.05, 10)
