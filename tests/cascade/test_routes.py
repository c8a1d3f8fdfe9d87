"""Which models and cascades a task's outcomes certify: literals, odd signals, and the flow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest

from calibrate.cascade.curves import Cascade, cascades
from calibrate.cascade.hypotheses import Hypotheses
from calibrate.cascade.routes import CertifiedRoute, route_flow, search_routes
from calibrate.outcomes import TaskOutcomes
from calibrate.replay import ReplayBar, Replayed, replay
from calibrate.stats.paired import share_p_value

NINETY = ReplayBar(pass_rate=0.9)
OF_BEST = ReplayBar(of_baseline=0.95)
NAN = math.nan
N = 400


def small_and_large(
    signal: Sequence[float] | None = None, *, small: int = 320, large: int = 392, **other: object
) -> TaskOutcomes:
    """Two models; the large one costs ten times as much, and fails on the last items.

    The small one fails on the first items. Unless given, its signal is .9, and .3 on 75 of the 80
    items that it fails.
    """
    passed = np.ones((2, N))
    passed[0, large:] = 0  # the names are sorted: large, small
    passed[1, : N - small] = 0
    trust = np.where(np.arange(N) < 75, 0.3, 0.9) if signal is None else np.asarray(signal)
    task = TaskOutcomes(
        "t",
        ("large", "small"),
        tuple(f"i{at:04d}" for at in range(N)),
        passed,
        np.repeat([[0.010], [0.001]], N, axis=1),
        None,
        signals=np.stack([np.full(N, NAN), trust]),
    )
    return dataclasses.replace(task, **other)  # type: ignore[arg-type]


def decided(task: TaskOutcomes, bar: ReplayBar = OF_BEST) -> Replayed:
    return replay(task, bar, cascades=True)


def test_a_signal_that_knows_makes_a_cascade_the_route() -> None:
    found = decided(small_and_large(latencies_s=np.repeat([[2.0], [0.5]], N, axis=1)))
    assert (found.status, found.route.model, found.baseline.model) == (
        *("certified", "small", "large"),
    )
    # 75 of 400 escalate, and pay for both; of the rest 5 fail, and of the escalated none.
    assert (found.route.passed, found.route.estimate) == (395, 395 / 400)
    assert found.route.cost_usd_per_item == pytest.approx(0.001 + 75 / 400 * 0.010)
    assert found.relative_cost == pytest.approx(0.2875)
    route = found.escalation
    assert route is not None
    assert (route.below, route.to, route.share, route.latency_p95_s) == (
        0.9,
        "large",
        75 / 400,
        2.5,
    )
    assert (route.break_even, route.grid) == (pytest.approx(0.9), (0.9,))
    assert [v.outcome.value for v in found.verdicts] == ["failed", "certified"]
    assert found.test == "exact"


def test_its_p_value_is_the_exact_one_over_the_share_that_reached_it() -> None:
    """Of .05 the large model has .95; its whole share goes to the one chain of thresholds.

    The cascade loses 5 items to the large model, and wins 8 where that one fails.
    """
    found = decided(small_and_large())
    alone = share_p_value(400, 5, 8, 0.95)
    assert found.route.adjusted_p_value == pytest.approx(max(alone / 0.95, 0), rel=1e-6)


def test_thresholds_are_tested_downward_to_the_first_that_fails() -> None:
    """All that fails is .1 or .5 in the first table; in the second, .5 is needlessly modest."""
    careful = small_and_large([0.1] * 40 + [0.5] * 38 + [0.9] * 322)
    found = decided(careful).escalation
    assert found is not None
    assert (found.grid, found.below, found.share) == ((0.9, 0.5), 0.9, 78 / 400)
    modest = small_and_large([0.1] * 76 + [0.5] * 100 + [0.9] * 224)
    found = decided(modest).escalation
    assert found is not None
    assert (found.grid, found.below, found.share) == ((0.9, 0.5), 0.5, 76 / 400)


def test_without_cascades_a_signal_changes_nothing() -> None:
    task = small_and_large()
    plain = replay(dataclasses.replace(task, signals=None), OF_BEST)
    assert replay(task, OF_BEST) == plain
    assert (plain.route.model, plain.cascading) == ("large", None)


@pytest.mark.parametrize(
    ("signal", "worth"),
    [([0.9] * N, "useless"), ([NAN] * N, None), ([1e9] * N, "useless")],
    ids=["all equal", "all missing", "another scale"],
)
def test_a_signal_that_parts_nothing_leaves_the_single_models(signal, worth) -> None:
    found = decided(small_and_large(signal))
    assert (found.status, found.route.model, found.escalation) == ("certified", "large", None)
    assert found.cascading is not None
    assert (found.cascading.thresholds, found.cascading.lacking) == (0, None)
    assert [quality and quality.worth for quality in found.cascading.signals] == [worth, None]


def test_a_useless_signal_is_recognised_and_certifies_nothing() -> None:
    noise = np.random.default_rng(1).random(N)
    found = decided(small_and_large(noise, small=240))
    assert found.cascading is not None
    assert [quality and quality.worth for quality in found.cascading.signals] == ["useless", None]
    assert found.status == "certified"
    assert found.route.estimate >= 0.93


def test_a_signal_that_is_higher_where_answers_are_wrong_is_called_harmful() -> None:
    found = decided(small_and_large(np.where(np.arange(N) < 75, 0.9, 0.3)))
    assert (found.route.model, found.escalation) == ("large", None)
    assert found.cascading is not None
    assert found.cascading.signals[0] is not None
    assert found.cascading.signals[0].worth == "harmful"


def test_missing_signals_escalate() -> None:
    found = decided(small_and_large(np.where(np.arange(N) < 75, NAN, 0.9)))
    assert found.escalation is not None
    assert (found.escalation.below, found.escalation.share) == (0.9, 75 / 400)


def test_a_cheap_model_that_is_better_is_the_route_by_itself() -> None:
    found = decided(small_and_large(small=396, large=360))
    assert (found.status, found.route.model, found.escalation) == ("certified", "small", None)
    assert found.baseline.model == "small"


def test_what_the_strong_model_fails_and_the_cheap_one_passes_counts() -> None:
    """The large model passes 360 of 400; the cascade passes what either of them can."""
    task = small_and_large([0.3] * 60 + [0.9] * 340, small=340, large=360)
    found = decided(task, ReplayBar(pass_rate=0.85))
    assert found.escalation is not None
    assert found.route.passed == 400
    assert [v.outcome.value for v in found.verdicts] == ["undecided", "certified"]
    # The chain begins with "escalate everything": where that misses the bar it goes no further.
    assert decided(task, ReplayBar(pass_rate=0.93)).status == "unmet"


def three_models(signals: Sequence[Sequence[float]]) -> TaskOutcomes:
    """`large` .98, `medium` and `small` .80, failing on the first items, at 100 : 10 : 1."""
    passed = np.ones((3, N))
    passed[0, 392:] = 0
    passed[1:, :80] = 0
    return TaskOutcomes(
        "t",
        ("large", "medium", "small"),
        tuple(f"i{at:04d}" for at in range(N)),
        passed,
        np.repeat([[0.100], [0.010], [0.001]], N, axis=1),
        None,
        signals=np.array(signals),
    )


def test_only_models_with_a_signal_can_escalate() -> None:
    good, none = np.where(np.arange(N) < 75, 0.3, 0.9).tolist(), [NAN] * N
    found = decided(three_models([none, good, none]))
    assert found.escalation is not None
    assert (found.route.model, found.escalation.to) == ("medium", "large")
    found = decided(three_models([none, good, good]))
    assert found.escalation is not None
    assert (found.route.model, found.escalation.to) == ("small", "large")


def test_without_costs_there_are_no_cascades() -> None:
    found = decided(small_and_large(costs_usd=None))
    assert (found.route.model, found.escalation, found.relative_cost) == ("large", None, None)
    assert found.cascading is not None
    assert (found.cascading.lacking, found.cascading.thresholds) == ("costs", 0)


def test_models_that_cost_the_same_make_no_cascade() -> None:
    found = decided(small_and_large(costs_usd=np.full((2, N), 0.01)))
    assert (found.route.model, found.cascading and found.cascading.thresholds) == ("large", 0)


def test_without_signals_the_single_models_are_left() -> None:
    found = decided(small_and_large(signals=None, small=390))
    assert (found.status, found.route.model) == ("certified", "small")
    assert found.cascading is not None
    assert (found.cascading.lacking, found.cascading.signals) == ("signals", (None, None))


def test_both_parts_of_a_bar_must_hold_for_a_cascade() -> None:
    both = ReplayBar(pass_rate=0.9, of_baseline=0.9)
    assert decided(small_and_large(), both).escalation is not None
    assert decided(small_and_large(), dataclasses.replace(both, pass_rate=0.97)).escalation is None


def test_a_named_baseline_is_the_only_rival() -> None:
    found = decided(small_and_large(), ReplayBar(of_baseline=0.95, baseline="large"))
    assert found.escalation is not None
    assert [v.adjusted_p_value for v in found.verdicts][1] == 0.0
    # A small model that keeps 95 % of a bad baseline need not keep up with a good one.
    found = decided(small_and_large(small=380), ReplayBar(of_baseline=0.5, baseline="small"))
    assert (found.route.model, found.escalation) == ("small", None)


def test_what_costs_more_than_the_observed_best_is_not_taken() -> None:
    """`large` is certified, `small` is the best of the items but by too little evidence."""
    n = 40
    passed = np.ones((2, n))
    passed[0, :1] = 0
    task = small_and_large()
    task = dataclasses.replace(
        *(task,),
        items=task.items[:n],
        scores=passed,
        costs_usd=np.repeat([[0.010], [0.001]], n, axis=1),
        signals=None,
    )
    found = decided(task, ReplayBar(of_baseline=0.6))
    assert (found.status, found.route.model) == ("certified", "small")
    graded = dataclasses.replace(
        task, scores=np.stack([np.full(n, 0.8), np.tile([1, 1, 1, 1, 0.1], 8)])
    )
    found = decided(graded, ReplayBar(pass_rate=0.7))
    assert [v.outcome.value for v in found.verdicts] == ["undecided", "certified"]
    assert (found.status, found.route.model) == ("uncertified", "small")
    named = decided(graded, ReplayBar(pass_rate=0.7, baseline="large"))
    assert (named.status, named.route.model) == ("certified", "large")


def test_nothing_that_ever_passes_is_certified_of_nothing() -> None:
    found = decided(small_and_large(small=0, large=0))
    assert found.status == "uncertified"
    assert all(v.adjusted_p_value == 1 for v in found.verdicts)


def test_graded_scores_and_groups_are_bet_on() -> None:
    task = small_and_large()
    graded = dataclasses.replace(task, scores=0.2 + 0.8 * task.scores)
    found = decided(graded, ReplayBar(pass_rate=0.8, of_baseline=0.9))
    assert (found.test, found.route.passed, found.route.lower_bound) == ("betting", None, None)
    assert found.escalation is not None
    grouped = dataclasses.replace(task, groups=np.arange(N) // 2)
    found = decided(grouped, ReplayBar(of_baseline=0.8))
    assert (found.test, found.clusters) == ("betting", 200)
    assert found.escalation is not None
    assert found.route.model == "small"
    # One cluster is one observation.
    one = dataclasses.replace(task, groups=np.zeros(N, dtype=np.int64))
    assert decided(one, ReplayBar(pass_rate=0.5)).status == "uncertified"


def test_the_same_table_gives_the_same_decision() -> None:
    assert decided(small_and_large()) == decided(small_and_large())


@pytest.mark.parametrize("k", [1, 2, 4, 5, 6, 8, 11])
@pytest.mark.parametrize("is_sure", [True, False])
def test_all_of_the_error_starts_somewhere_and_all_of_a_share_goes_on(k, is_sure) -> None:
    flow = route_flow(list(range(k)), k - 1, [], is_sure=is_sure)
    assert sum(flow.shares.values()) == pytest.approx(1)
    assert flow.shares[k - 1] == max(flow.shares.values())
    assert not flow.onward[0]
    for targets in flow.onward[1:]:
        assert sum(part for _, part in targets) == pytest.approx(1)


def test_with_many_models_the_shares_are_even() -> None:
    assert len(set(route_flow(list(range(8)), 7, [], is_sure=False).shares.values())) == 1
    few = route_flow(list(range(4)), 3, [], is_sure=False).shares
    assert few[3] == pytest.approx(0.9 + 0.1 / 4)


def fitted_cascades(signal: Sequence[float]) -> list[Cascade]:
    """The cascades of three models, of which the two cheaper ones go by this signal."""
    signals = np.array([signal, signal, [NAN] * len(signal)])
    costs = np.repeat([[1.0], [3.0], [9.0]], len(signal), axis=1)
    return cascades(np.ones_like(signals), signals, costs)


def test_a_fitted_signal_hands_nothing_on_and_half_of_a_share_goes_past_it() -> None:
    parted = fitted_cascades([0.2, 0.8])  # a threshold each
    assert [(c.cheap, c.strong, len(c)) for c in parted] == [(0, 1, 1), (0, 2, 1), (1, 2, 1)]
    flow = route_flow([0, 1, 2], 2, [], parted, is_sure=False)
    # Of model 2 a half each is for 0 and for 1: all by the cascade of 0, half past that of 1.
    assert {to: part for to, part in flow.onward[2] if part} == {5: 0.5, 1: 0.25, 7: 0.25}
    assert {to: part for to, part in flow.onward[1] if part} == {3: 1.0}
    assert flow.onward[3:] == [[(4, 1.0)], [], [(6, 1.0)], [], [(8, 1.0)], []]


def test_what_a_model_gets_does_not_depend_on_what_a_fit_found() -> None:
    """Weights that part nothing leave no threshold, and still end the chain."""
    parted, flat = fitted_cascades([0.2, 0.8]), fitted_cascades([0.5, 0.5])
    assert [len(cascade) for cascade in flat] == [0, 0, 0]
    some, none = (route_flow([0, 1, 2], 2, [], each, is_sure=False) for each in (parted, flat))
    assert some.shares == none.shares
    for model in range(3):
        shares = [dict(flow.onward[model]) for flow in (some, none)]
        assert [found.get(1, 0.0) for found in shares] == [shares[0].get(1, 0.0)] * 2
    assert none.onward[3:] == [[], [], []]


def test_cascades_by_a_fitted_signal_are_tested_on_other_items_alone() -> None:
    task = small_and_large()
    tests = Hypotheses(
        dataclasses.replace(task, signals=np.full((2, N), NAN)),
        ReplayBar(pass_rate=0.9, baseline="large"),
        baseline=0,
        is_exact=True,
    )
    only = dataclasses.replace(tests, used=task)
    order = np.array([1, 0])

    def cascades_alone(route: CertifiedRoute) -> bool:
        return route.cascade is not None

    on_all = search_routes(tests, order, cascades_alone, only)
    assert on_all.cheapest is not None
    others = [*range(75), *range(300, 330)]  # the signal is low where it fails, and all others
    found = search_routes(tests, order, cascades_alone, only.at(others))
    assert found.cheapest is not None
    assert found.cheapest.cascade is not None
    assert sorted(found.cheapest.cascade.order.tolist()) == list(range(len(others)))
    assert search_routes(tests, order, cascades_alone, only.at(range(20))).cheapest is None
    assert search_routes(tests, order, cascades_alone).cheapest is None


def test_a_slice_without_an_item_to_test_on_is_never_certified() -> None:
    graded = small_and_large()
    graded = dataclasses.replace(graded, scores=graded.scores * 0.98 + 0.01)
    tests = Hypotheses(
        dataclasses.replace(graded, signals=np.full((2, N), NAN)),
        ReplayBar(pass_rate=0.5, baseline="large"),
        baseline=0,
        is_exact=False,
    )
    only = dataclasses.replace(tests, used=graded)
    for places, is_certified in ((np.arange(100, 200), True), (np.arange(300, 400), False)):
        sliced = dataclasses.replace(only, slices=((places, 0.5),)).at(range(300))
        found = search_routes(tests, np.array([1, 0]), lambda r: r.cascade is not None, sliced)
        assert (found.cheapest is not None) == is_certified
