"""What is told of each pair of models, from its scores and its signal."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate.cascade.hypotheses import Hypotheses, ReplayBar
from calibrate.cascade.pairs import pair_findings
from calibrate.cascade.routes import search_routes
from calibrate.decide import CascadePair
from calibrate.outcomes import TaskOutcomes

ITEMS = 100
MODELS = ("small", "large")
SIGNALS = {"small": "margin", "large": None}


def pairs_of(
    wrong_of_large: int,
    *,
    pass_rate: float = 0.8,
    slices: tuple[tuple[NDArray[np.int64], float], ...] = (),
    score: float = 1.0,
    knows: int = 40,
) -> tuple[CascadePair, ...]:
    """`small` is wrong on 40 cases, `large` on some of the others.

    The signal of `small` is low where it is wrong: on those that it `knows`, lower than on the
    rest of them.
    """
    scores = np.full((2, ITEMS), score)
    scores[0, :40] = 0
    scores[1, ITEMS - wrong_of_large :] = 0
    # Rights and wrongs alternate as they would in a seeded order; exact tests look at it.
    mixed = np.random.default_rng(1).permutation(ITEMS)
    margin = np.repeat([0.2, 0.5, 0.9], [knows, 40 - knows, ITEMS - 40])
    signals = np.stack([margin, np.full(ITEMS, np.nan)])
    used = TaskOutcomes(
        task="triage",
        models=MODELS,
        items=tuple(map(str, range(ITEMS))),
        scores=scores[:, mixed],
        costs_usd=np.array([[0.001] * ITEMS, [0.01] * ITEMS]),
        groups=None,
        signals=signals[:, mixed],
    )
    bar = ReplayBar(pass_rate, None, "large", 0.95)
    tests = Hypotheses(used, bar, 1, is_exact=used.is_binary, slices=slices)
    search = search_routes(tests, np.array([0, 1]))
    return pair_findings(search.chains, lambda _: tests, SIGNALS)


def test_the_best_threshold_of_a_pair_is_told_with_its_bound() -> None:
    (pair,) = pairs_of(5)
    assert (pair.cheap, pair.strong, pair.signal) == ("small", "large", "margin")
    assert (pair.cheap_estimate, pair.strong_estimate) == (0.6, 0.95)
    assert pair.thresholds == 1  # all that part the cases part them alike
    best = pair.best
    assert (best.escalated, best.cases, best.estimate, best.passed) == (0.4, 100, 1.0, 100)
    assert best.lower_bound == pytest.approx(0.05 ** (1 / 100))
    assert best.cost_usd_per_request == pytest.approx(0.001 + 0.4 * 0.01)
    assert best.cases_to_settle == 14  # 0.8^14 is the first power below 0.05


def test_a_certified_threshold_is_counted_and_nothing_stopped_it() -> None:
    (pair,) = pairs_of(5)
    assert (pair.tested, pair.certified, pair.certified_from, pair.stopped) == (1, 1, 0.4, None)


def test_below_a_dearer_model_that_is_not_certified_nothing_is_tested() -> None:
    (pair,) = pairs_of(25)
    assert (pair.tested, pair.certified, pair.certified_from, pair.stopped) == (0, 0, None, None)
    assert pair.best.estimate == 1.0


def test_a_threshold_that_is_not_certified_is_the_one_that_stopped_the_test() -> None:
    (pair,) = pairs_of(5, knows=20)
    assert (pair.thresholds, pair.tested, pair.certified, pair.certified_from) == (2, 2, 1, 0.4)
    assert pair.stopped is not None
    # 80 of 100 is not above the bar: with 20 wrong ones kept, no number of cases would do.
    assert (pair.stopped.escalated, pair.stopped.passed) == (0.2, 80)
    assert pair.stopped.cases_to_settle is None
    assert pair.best.escalated == 0.4


def test_where_the_bar_has_slices_no_number_of_cases_is_promised() -> None:
    (pair,) = pairs_of(5, slices=((np.arange(50), 0.5),))
    assert pair.best.cases_to_settle is None
    assert pair.best.lower_bound is not None


def test_graded_scores_have_no_exact_bound() -> None:
    (pair,) = pairs_of(5, score=0.9)
    assert pair.best.estimate == pytest.approx(0.9)
    assert (pair.best.passed, pair.best.lower_bound, pair.best.cases_to_settle) == (
        None,
        None,
        None,
    )
