"""The lines of a plan, and what crosses them: the quick way against one observation at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.stats.boundary import (
    accept_line,
    fixed_sample_limit,
    futile_line,
    probability_at_or_below,
    probability_between,
    reject_line,
)

rates = st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.8, 0.87, 0.9, 0.95, 0.99, 1.0]) | st.floats(0, 1)
errors = st.floats(0.001, 0.5)
spendings = st.sampled_from([0.5, 0.7, 1.0, 4.0])


def budget_of(n: int, error: float, spending: float) -> list[float]:
    return [error * (t / max(n, 1)) ** spending for t in range(n + 1)]


def moved(law: list[float], p: float) -> list[float]:
    """Return the law of the failures after one observation more."""
    return [a * p + b * (1 - p) for a, b in zip([*law, 0.0], [0.0, *law], strict=True)]


def accepted_stepwise(n: int, floor: float, budget: Sequence[float]) -> list[int]:
    """The accept line from its definition: after each observation, as many as fit."""
    law, line, spent = [1.0], [-1], 0.0
    for t in range(1, n + 1):
        law, edge = moved(law, floor), line[-1]
        while edge + 1 < len(law) and spent + law[edge + 1] <= budget[t]:
            edge += 1
            spent, law[edge] = spent + law[edge], 0.0
        line.append(edge)
    return line


def upper_stepwise(
    n: int, p: float, budget: Sequence[float], accept: Sequence[int] | None
) -> list[int]:
    """The reject line (without an accept line) and the futile one, from their definition."""
    law, line, spent = [1.0], [1], 0.0
    for t in range(1, n + 1):
        law = moved(law, p)
        least, edge = line[-1], line[-1] + 1
        if accept is not None:
            least = accept[t] + 1
            law[:least] = [0.0] * len(law[:least])
        while edge > least and spent + law[edge - 1] <= budget[t]:
            edge -= 1
            spent, law[edge] = spent + law[edge], 0.0
        line.append(edge)
    return line


def crossed_stepwise(lower: Sequence[int], upper: Sequence[int], p: float) -> float:
    law, crossed = [1.0], 0.0
    for low, high in list(zip(lower, upper, strict=True))[1:]:
        law = moved(law, p)
        crossed += sum(law[: low + 1])
        law = [0.0 if i <= low or i >= high else mass for i, mass in enumerate(law)]
    return crossed


@given(st.integers(0, 90), rates, errors, spendings)
@settings(max_examples=150, deadline=None)
def test_the_accept_line_is_that_of_one_observation_at_a_time(
    n: int, floor: float, error: float, spending: float
) -> None:
    budget = budget_of(n, error, spending)
    most = fixed_sample_limit(n, floor, budget[n])
    found = accept_line(n, floor, budget)
    # what no fixed sample accepts is never accepted, also where an impossible failure would fit
    assert found == [min(edge, most) for edge in accepted_stepwise(n, floor, budget)]


@given(st.integers(0, 90), rates, errors, spendings)
@settings(max_examples=100, deadline=None)
def test_the_reject_line_is_that_of_its_definition(
    n: int, floor: float, error: float, spending: float
) -> None:
    budget = budget_of(n, error, spending)
    assert reject_line(n, floor, budget) == upper_stepwise(n, floor, budget, None)


@given(st.integers(0, 90), rates, rates, errors, errors, spendings)
@settings(max_examples=150, deadline=None)
def test_the_futile_line_is_that_of_its_definition(
    n: int, one: float, other: float, alpha: float, beta: float, spending: float
) -> None:
    floor, rate = sorted((one, other))
    accept = accept_line(n, floor, budget_of(n, alpha, 0.5))
    budget = budget_of(n, beta, spending)
    assert futile_line(rate, budget, accept) == upper_stepwise(n, rate, budget, accept)


@pytest.mark.parametrize(
    ("n", "floor", "rate"),
    [(700, 0.87, 0.9), (600, 0.94, 0.97), (400, 0.5, 0.55), (900, 0.995, 0.999), (300, 0.05, 0.1)],
)
def test_long_lines_are_those_of_their_definition(n: int, floor: float, rate: float) -> None:
    budget, beta = budget_of(n, 0.05 / 3, 0.5), budget_of(n, 0.05, 0.5)
    accept = accept_line(n, floor, budget)
    assert accept == accepted_stepwise(n, floor, budget)
    assert reject_line(n, floor, budget) == upper_stepwise(n, floor, budget, None)
    assert futile_line(rate, beta, accept) == upper_stepwise(n, rate, beta, accept)


@given(
    st.lists(st.integers(0, 2), max_size=40),
    st.lists(st.integers(1, 4), max_size=40),
    st.floats(0, 1),
)
@settings(max_examples=150, deadline=None)
def test_what_crosses_two_lines_is_that_of_one_observation_at_a_time(
    rises: list[int], gaps: list[int], p: float
) -> None:
    n = min(len(rises), len(gaps))
    lower = [-1, *(int(x) for x in np.cumsum(rises[:n]) - 1)]
    upper = [1, *(low + gap for low, gap in zip(lower[1:], gaps, strict=False))]
    assert probability_between(lower, upper, p) == pytest.approx(
        crossed_stepwise(lower, upper, p), abs=1e-12
    )
    never = [n + 2] * (n + 1)
    assert probability_at_or_below(lower, p) == pytest.approx(
        crossed_stepwise(lower, never, p), abs=1e-12
    )


def test_a_law_is_carried_over_more_observations_than_are_kept_at_once() -> None:
    """Accepted with no failure after 1,000: (1 - 1 / 1000) ** 1000."""
    line = [-1] * 1_000 + [0]
    assert probability_at_or_below(line, 0.999) == pytest.approx(0.999**1_000, rel=1e-12)


def test_a_fixed_sample_has_the_limit_of_its_tail() -> None:
    """P(no failure in 28) at .9 is .0523, in 29 .0471; P(at most 1 in 46) is .0480."""
    assert [fixed_sample_limit(n, 0.9, 0.05) for n in (0, 28, 29, 45, 46)] == [-1, -1, 0, 0, 1]
