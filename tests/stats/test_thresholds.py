"""The grid of thresholds, and the descent of one error along a flow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.stats.multiple import Graph, graphical
from calibrate.stats.thresholds import Flow, descend, threshold_grid


def test_probabilities_have_steps_of_a_hundredth_and_finer_ends() -> None:
    grid = threshold_grid(np.array([0.0, np.nan, 1.0]))
    assert (np.diff(grid) > 0).all()
    assert {0.01, 0.29, 0.5, 0.95, 1.0} <= set(grid.tolist())
    assert {0.999, 0.9999, 0.0001} <= set(grid.tolist())
    assert len(grid) == 116


def test_any_other_scale_has_relative_steps_on_both_sides_of_0() -> None:
    grid = threshold_grid(np.array([-3.5, 0.2]))
    assert (np.diff(grid) > 0).all()
    assert (grid == -grid[::-1]).all()
    assert grid[0] < -9e4
    above = grid[grid > 0]
    assert np.diff(np.log(above)) == pytest.approx(np.log(1.1))


def test_the_grid_does_not_depend_on_the_sample() -> None:
    first = threshold_grid(np.array([0.2, 0.4]))
    assert (first == threshold_grid(np.array([0.99]))).all()
    assert (threshold_grid(np.array([7.0])) == threshold_grid(np.array([-1.0, 2.0]))).all()
    assert (threshold_grid(np.array([np.nan])) == first).all()


def test_a_chain_is_a_fixed_sequence() -> None:
    p = [0.01, 0.04, 0.02, 0.2, 0.001]
    chain = Flow({0: 1.0}, [[(at + 1, 1.0)] for at in range(4)] + [[]])
    found = descend(chain, p.__getitem__, alpha=0.05)
    assert found.rejected == {0: 0.01, 1: 0.04, 2: 0.04}
    assert list(found.rejected) == [0, 1, 2]
    assert (found.open, found.tested) == ({3: 0.2}, 4)


def test_only_what_a_share_reaches_is_asked_for() -> None:
    asked: list[int] = []

    def p_value(j: int) -> float:
        asked.append(j)
        return 0.5

    found = descend(Flow({0: 0.5, 1: 0.5}, [[(2, 1.0)], [(2, 1.0)], []]), p_value, alpha=0.05)
    assert (sorted(asked), found.rejected, found.open) == ([0, 1], {}, {0: 1.0, 1: 1.0})


def test_shares_that_arrive_later_are_added() -> None:
    """2 has p = .04: a half of .05 is not enough for it, and both halves are."""
    flow = Flow({0: 0.5, 1: 0.5}, [[(2, 1.0)], [(2, 1.0)], []])
    assert 2 in descend(flow, [0.001, 0.002, 0.04].__getitem__, alpha=0.05).rejected
    assert 2 not in descend(flow, [0.001, 0.2, 0.04].__getitem__, alpha=0.05).rejected


def test_a_share_passes_through_what_is_rejected_already() -> None:
    """1 falls by its own share at once; what 0 hands on to it goes on to 2."""
    flow = Flow({0: 0.9, 1: 0.1}, [[(1, 1.0)], [(2, 1.0)], []])
    found = descend(flow, [0.03, 0.0001, 0.04].__getitem__, alpha=0.05)
    assert list(found.rejected) == [1, 0, 2]
    assert found.rejected[2] == pytest.approx(0.04)


@st.composite
def flows(draw: st.DrawFn) -> tuple[list[float], list[float], list[list[float]]]:
    k = draw(st.integers(1, 6))
    part = st.just(0.0) | st.floats(0.01, 1)
    parts = st.lists(part, min_size=k, max_size=k)
    p, shares = draw(parts), np.array(draw(parts))
    shares = shares / max(shares.sum(), 1)
    rows = np.triu(np.array([draw(parts) for _ in range(k)]), 1)
    rows = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)
    return [x / 10 for x in p], shares.tolist(), rows.tolist()


@given(flows(), st.sampled_from([0.01, 0.05, 0.2]))
def test_it_decides_as_the_graph_of_bretz_and_others(case, alpha) -> None:
    """The same on any graph without cycles, by the algorithm that updates the whole graph."""
    p, shares, rows = case
    onward = [[(to, part) for to, part in enumerate(row) if part] for row in rows]
    found = descend(Flow(dict(enumerate(shares)), onward), p.__getitem__, alpha=alpha)
    expected = graphical(p, Graph(tuple(shares), tuple(map(tuple, rows))), alpha=alpha)
    for j, adjusted in enumerate(expected.adjusted):
        if abs(adjusted - alpha) > 1e-9:
            assert (j in found.rejected) == expected.rejected[j]
        if j in found.rejected:
            assert found.rejected[j] == pytest.approx(adjusted)
        elif j in found.open:
            assert found.open[j] >= adjusted - 1e-9


@pytest.mark.parametrize("shares", [{0: 0.6, 1: 0.6}, {0: -0.1}])
def test_shares_that_do_not_add_up_are_refused(shares) -> None:
    with pytest.raises(ValueError, match="shares"):
        Flow(shares, [[], []])
