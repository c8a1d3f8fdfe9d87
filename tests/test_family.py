"""One error for several workflows, and what is left of it to each."""

from __future__ import annotations

import numpy as np
import pytest

from calibrate.family import allowed, levels
from calibrate.stats.exact import upper_tail


def test_holm_shares_the_error_among_all_models_of_all_workflows() -> None:
    # Two workflows with 2 and 3 models: each model has 0.05 / 4 at most and 0.05 / 5 at least.
    found = levels("holm", [2, 3], 0.05)
    assert found[0] == pytest.approx([2 * 0.05 / 4, 2 * 0.05 / 5])
    assert found[1] == pytest.approx([3 * 0.05 / 4, 3 * 0.05 / 5])


def test_bh_goes_from_all_of_the_error_to_one_workflows_part() -> None:
    assert levels("bh", [2, 3], 0.05) == [pytest.approx([0.05, 0.025])] * 2


def test_one_workflow_has_the_whole_error_to_itself() -> None:
    assert levels("bh", [4], 0.05) == [pytest.approx([0.05])]
    assert levels("holm", [4], 0.05) == [pytest.approx([0.05])]


def test_of_many_workflows_only_some_steps_are_tried_with_both_ends() -> None:
    (found, *_) = levels("bh", [3] * 50, 0.05)
    assert len(found) == 8
    assert (found[0], found[-1]) == pytest.approx((0.05, 0.001))
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("family", ["holm", "bh"])
def test_what_is_certified_at_the_least_of_its_errors_is_always_allowed(family: str) -> None:
    candidates = [3] * 20
    least = levels(family, candidates, 0.05)[0][-1]  # type: ignore[arg-type]
    found = [least, *[None] * 19]
    assert allowed(family, found, candidates, 0.05) == [True, *[False] * 19]  # type: ignore[arg-type]


def test_a_step_is_allowed_once_enough_others_are_certified() -> None:
    loose, strict = levels("bh", [3, 3], 0.05)[0]
    assert allowed("bh", [loose, None], [3, 3], 0.05) == [False, False]
    assert allowed("bh", [loose, strict], [3, 3], 0.05) == [True, True]
    loose, strict = levels("holm", [3, 3], 0.05)[0]
    assert allowed("holm", [loose, None], [3, 3], 0.05) == [False, False]
    assert allowed("holm", [loose, strict], [3, 3], 0.05) == [True, True]


def simulated(family: str, rates: np.ndarray, runs: int) -> tuple[float, float]:
    """P(any kept route is wrong) and the expected share of wrong ones; floor .9, 200 cases.

    `rates` has one row a workflow and one model a column, cheapest first. The p-value of a model
    is its binomial tail; a workflow's route is its cheapest model certified at its loosest step.
    """
    rng = np.random.default_rng(11)
    workflows, models = rates.shape
    steps = levels(family, [models] * workflows, 0.05)[0]  # type: ignore[arg-type]
    tails = np.array([upper_tail(passed, 200, 0.9) for passed in range(201)])
    wrong, shares = 0, 0.0
    for _ in range(runs):
        p = tails[rng.binomial(200, rates)] * models
        first = np.where((p <= steps[0]).any(axis=1), (p <= steps[0]).argmax(axis=1), -1)
        found = [
            None if at < 0 else min(step for step in steps if p[w, at] <= step)
            for w, at in enumerate(first)
        ]
        kept = allowed(family, found, [models] * workflows, 0.05)  # type: ignore[arg-type]
        bad = [rates[w, at] <= 0.9 for w, at in enumerate(first) if kept[w]]
        wrong += any(bad)
        shares += sum(bad) / max(len(bad), 1)
    return wrong / runs, shares / runs


MIXED = np.array([[0.9, 0.97]] * 12 + [[0.96, 0.99]] * 8)  # cheap ones at the floor, dear ones good


def test_holm_keeps_the_chance_of_any_wrong_route() -> None:
    any_wrong, _ = simulated("holm", MIXED, 1500)
    assert any_wrong <= 0.05 + 2 * (0.05 * 0.95 / 1500) ** 0.5


def test_bh_keeps_the_share_of_wrong_routes() -> None:
    any_wrong, share = simulated("bh", MIXED, 1500)
    assert share <= 0.05
    assert any_wrong > share  # that is all that it promises
