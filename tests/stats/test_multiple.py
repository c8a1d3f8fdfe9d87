"""Several hypotheses: reference values of statsmodels, and the closed test by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.stats.multiple import (
    Decisions,
    Graph,
    benjamini_hochberg,
    fallback_graph,
    graphical,
    holm,
)

# Benjamini & Hochberg's and other p-values, adjusted by statsmodels 0.15: multipletests(p,
# method="holm" | "fdr_bh")
P_VALUES = [0.01, 0.04, 0.03, 0.005]
p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=4)


def closed_test(p_values: list[float], graph: Graph, alpha: float) -> list[bool]:
    """The definition: j falls if every set that holds it falls to its weighted Bonferroni test."""
    k = len(p_values)
    sets = [s for size in range(1, k + 1) for s in itertools.combinations(range(k), size)]
    fallen = {s: any(p_values[j] <= w * alpha for j, w in shares(s, graph).items()) for s in sets}
    return [all(fallen[s] for s in sets if j in s) for j in range(k)]


def shares(kept: tuple[int, ...], graph: Graph) -> dict[int, float]:
    """The weights when all others are taken out, one after the other (Bretz et al., section 2)."""
    weights, flows = list(graph.weights), [list(row) for row in graph.transitions]
    left = list(range(len(weights)))
    for out in set(left) - set(kept):
        left.remove(out)
        for i in left:
            weights[i] += weights[out] * flows[out][i]
        flows = [
            [
                (flows[i][j] + flows[i][out] * flows[out][j]) / (1 - flows[i][out] * flows[out][i])
                if i != j and i != out != j and flows[i][out] * flows[out][i] < 1
                else 0.0
                for j in range(len(weights))
            ]
            for i in range(len(weights))
        ]
    return {j: weights[j] for j in kept}


def equal_graph(k: int) -> Graph:
    rows = tuple(tuple(0.0 if i == j else 1 / (k - 1) for j in range(k)) for i in range(k))
    return Graph((1 / k,) * k, rows)


def test_holm_agrees_with_statsmodels() -> None:
    found = holm(P_VALUES, alpha=0.05)
    assert found.adjusted == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert found.rejected == (True, False, False, True)
    assert found.p_values == (0.01, 0.04, 0.03, 0.005)
    assert holm([0.5, 0.02, 0.02, 0.9], alpha=0.1).adjusted == pytest.approx((1, 0.08, 0.08, 1))


def test_benjamini_hochberg_agrees_with_statsmodels() -> None:
    found = benjamini_hochberg(P_VALUES, alpha=0.05)
    assert found.adjusted == pytest.approx((0.02, 0.04, 0.04, 0.02))
    assert found.rejected == (True, True, True, True)
    other = benjamini_hochberg([0.5, 0.02, 0.02, 0.9], alpha=0.05)
    assert other.adjusted == pytest.approx((2 / 3, 0.04, 0.04, 0.9))
    assert other.rejected == (False, True, True, False)


@given(p_lists, st.floats(0.01, 0.4))
def test_holm_is_the_graph_of_equal_shares(p_values: list[float], alpha: float) -> None:
    graph = equal_graph(len(p_values)) if len(p_values) > 1 else fallback_graph(1)
    found = graphical(p_values, graph, alpha=alpha)
    assert found.adjusted == pytest.approx(holm(p_values, alpha=alpha).adjusted)


@given(p_lists, st.floats(0.01, 0.4))
def test_a_graph_of_one_chain_ends_at_its_first_failure(
    p_values: list[float], alpha: float
) -> None:
    """A fixed sequence: each at full alpha, while none before it has failed."""
    graph = fallback_graph(len(p_values), first_share=1.0)
    found = graphical(p_values, graph, alpha=alpha)
    assert found.adjusted == pytest.approx(list(itertools.accumulate(p_values, max)))


@given(p_lists, st.floats(0.05, 0.4), st.floats(0.2, 1.0))
def test_a_graph_is_its_closed_test(p_values: list[float], alpha: float, first: float) -> None:
    graph = fallback_graph(len(p_values), first_share=first)
    scaled = [p / 5 for p in p_values]  # enough of them small
    found = graphical(scaled, graph, alpha=alpha)
    if all(abs(a - alpha) > 1e-9 for a in found.adjusted):  # no ties of rounding
        assert list(found.rejected) == closed_test(scaled, graph, alpha)


def test_the_share_of_a_rejected_hypothesis_is_handed_on() -> None:
    """Two main and two secondary hypotheses, alpha .05 (the example of Bretz et al., figure 6).

    .025 each on the first two. The first falls at .02 and gives half to the second (.0375), half
    to the third (.0125). The second falls at .03; what it gives the third makes .05 - so the
    third falls at .04, and the fourth, at .06, does not.
    """
    half = 0.5
    graph = Graph(
        (half, half, 0, 0),
        ((0, half, half, 0), (half, 0, 0, half), (0, 1, 0, 0), (1, 0, 0, 0)),
    )
    found = graphical([0.02, 0.03, 0.04, 0.06], graph, alpha=0.05)
    assert found.rejected == tuple(closed_test([0.02, 0.03, 0.04, 0.06], graph, 0.05))
    assert found.rejected == (True, True, False, False)
    assert graphical([0.02, 0.03, 0.004, 0.06], graph, alpha=0.05).rejected[2]
    assert not graphical([0.03, 0.03, 0.0, 0.0], graph, alpha=0.05).rejected[2]


def test_a_first_that_is_not_rejected_does_not_block_the_others() -> None:
    """Shares of .05: .045 and twice .0025; the second's goes to the third, .005 in all."""
    graph = fallback_graph(3)
    assert graph.weights == pytest.approx((0.9, 0.05, 0.05))
    found = graphical([0.5, 0.0024, 0.0049], graph, alpha=0.05)
    assert found.rejected == (False, True, True)
    assert graphical([0.5, 0.0026, 0.0049], graph, alpha=0.05).rejected == (False, False, False)
    assert graphical([0.0451, 0.002, 0.002], graph, alpha=0.05).rejected == (True, True, True)


@pytest.mark.parametrize("decide", [holm, benjamini_hochberg])
def test_no_hypothesis_no_decision(decide: Callable[..., Decisions]) -> None:
    assert decide([], alpha=0.05).rejected == ()
    assert decide([0.05], alpha=0.05).rejected == (True,)
    for bad in ([1.1], [-0.1], [math.nan]):
        with pytest.raises(ValueError, match="p-values"):
            decide(bad, alpha=0.05)
    with pytest.raises(ValueError, match="alpha"):
        decide([0.5], alpha=1.0)


def test_a_graph_of_none_and_of_one() -> None:
    assert graphical([], fallback_graph(0), alpha=0.05).rejected == ()
    assert graphical([0.05], fallback_graph(1), alpha=0.05).rejected == (True,)
    with pytest.raises(ValueError, match="not 1"):
        graphical([0.05], fallback_graph(2), alpha=0.05)


@pytest.mark.parametrize(
    ("weights", "transitions"),
    [
        ((0.6, 0.6), ((0, 1), (1, 0))),
        ((-0.1, 0.6), ((0, 1), (1, 0))),
        ((0.5, 0.5), ((0.5, 0.5), (1, 0))),
        ((0.5, 0.5), ((0, 1.5), (1, 0))),
        ((0.5, 0.5), ((0, -1), (1, 0))),
        ((0.5, 0.5), ((0, 1, 0), (1, 0, 0))),
    ],
)
def test_shares_that_do_not_add_up_are_refused(
    weights: tuple[float, ...], transitions: tuple[tuple[float, ...], ...]
) -> None:
    with pytest.raises(ValueError, match=r"weights|transitions"):
        Graph(weights, transitions)
