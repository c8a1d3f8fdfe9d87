"""Answers that exist, replayed as cascades: literals, ties, missing signals, and the bounds."""

from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np
import pytest

from calibrate.cascade.curves import cascades, count_pairs, scores_at, signal_quality
from calibrate.outcomes import SignalCosts

NAN = math.nan
SCORES = np.array([[0.0, 1, 1, 0, 1], [1.0, 1, 0, 1, 1]])
SIGNALS = np.array([[0.2, 0.9, 0.9, NAN, 0.5], [NAN] * 5])
COSTS = np.array([[1.0] * 5, [4.0, 4, 4, 4, 9]])
LATENCIES = np.array([[0.1] * 5, [1.0, 2, 3, 4, 5]])


def test_each_threshold_parts_the_cases_that_stay_from_those_that_escalate() -> None:
    """Below .9 three escalate (.2, .5, missing), below .5 two, below .2 only the missing one."""
    (found,) = cascades(SCORES, SIGNALS, COSTS, LATENCIES)
    assert (found.cheap, found.strong, len(found)) == (0, 1, 3)
    assert found.below.tolist() == [0.9, 0.5, 0.2]
    assert found.escalated.tolist() == pytest.approx([0.6, 0.4, 0.2])
    assert found.quality.tolist() == [1.0, 1.0, 0.8]
    # Every case pays for the cheap model, and those that escalate for both.
    assert found.cost_usd.tolist() == pytest.approx([1 + 17 / 5, 1 + 8 / 5, 1 + 4 / 5])
    assert found.latency_p95_s is not None
    assert found.latency_p95_s.tolist() == pytest.approx([5.1, 4.1, 4.1])
    assert found.break_even == pytest.approx(1 - 1 / 5)
    assert scores_at(found, 2, SCORES).tolist() == [0, 1, 1, 1, 1]


def test_a_signal_at_the_threshold_stays() -> None:
    (found,) = cascades(SCORES, SIGNALS, COSTS)
    at = found.below.tolist().index(0.9)
    assert sorted(found.order[: found.kept[at]].tolist()) == [1, 2]
    assert found.latency_p95_s is None


@pytest.mark.parametrize(
    "signal", [[0.9] * 5, [NAN] * 5, [-math.inf] * 5], ids=["all equal", "missing", "lowest"]
)
def test_a_signal_that_parts_nothing_has_no_threshold(signal) -> None:
    (found,) = cascades(SCORES, np.array([signal, signal]), COSTS)
    assert len(found) == 0


def test_one_signal_among_missing_ones_has_one_threshold() -> None:
    (found,) = cascades(SCORES, np.array([[NAN, 0.4, NAN, NAN, NAN], [NAN] * 5]), COSTS)
    assert (found.below.tolist(), found.escalated.tolist()) == ([0.4], [0.8])


def test_a_pair_is_a_model_and_a_dearer_one() -> None:
    costs = np.array([[2.0], [1.0], [2.0]]) * np.ones(4)
    found = cascades(np.ones((3, 4)), np.tile([0.1, 0.2, 0.3, 0.4], (3, 1)), costs)
    assert [(pair.cheap, pair.strong) for pair in found] == [(1, 0), (1, 2)]


def test_everything_counted_is_what_each_threshold_gives_by_itself() -> None:
    rng = np.random.default_rng(2)
    passed = rng.random((4, 60)) < 0.8
    signals = np.where(rng.random((4, 60)) < 0.1, NAN, rng.normal(size=(4, 60)).round(1))
    costs, latencies = np.arange(1.0, 5)[:, None] * rng.random((4, 60)), rng.random((4, 60))
    scores = passed.astype(float)
    for pair in cascades(scores, signals, costs, latencies):
        counts = count_pairs(pair, passed)
        for at, below in enumerate(pair.below):
            escalates = ~(signals[pair.cheap] >= below)
            row = np.where(escalates, passed[pair.strong], passed[pair.cheap])
            late = latencies[pair.cheap] + escalates * latencies[pair.strong]
            cost = costs[pair.cheap] + escalates * costs[pair.strong]
            assert scores_at(pair, at, scores).tolist() == row.tolist()
            assert pair.escalated[at] == pytest.approx(escalates.mean())
            assert pair.quality[at] == pytest.approx(row.mean())
            assert pair.cost_usd[at] == pytest.approx(cost.mean())
            assert pair.latency_p95_s is not None
            assert pair.latency_p95_s[at] == np.quantile(late, 0.95, method="inverted_cdf")
            expected = [[(row | b).sum(), (b & ~row).sum(), (row & ~b).sum()] for b in passed]
            assert counts[:, at].tolist() == expected


@pytest.mark.parametrize("share_unmeasured", [0.0, 0.02, 0.5])
def test_who_is_sent_on_before_the_call_may_be_faster(share_unmeasured: float) -> None:
    """The dearer model is the faster one on most cases, and nobody waits for the cheap one first.

    A wait that was not measured counts as longer than any other.
    """
    rng = np.random.default_rng(6)
    signals = np.stack([rng.random(100), np.full(100, NAN)])
    costs, latencies = np.array([[1.0], [9.0]]) * np.ones(100), rng.random((2, 100)) * [[3], [1]]
    latencies[0, rng.random(100) < share_unmeasured] = NAN
    free = SignalCosts(np.zeros((2, 100)), np.zeros((2, 100)), before=(True, False))
    (pair,) = cascades(np.ones((2, 100)), signals, costs, latencies, free)
    assert pair.latency_p95_s is not None
    for at, below in enumerate(pair.below):
        waits = np.where(signals[0] >= below, latencies[0], latencies[1])
        expected = np.partition(waits, 94)[94]
        np.testing.assert_equal(pair.latency_p95_s[at], expected)


def test_what_a_signal_is_worth_is_said() -> None:
    rng = np.random.default_rng(3)
    scores = (rng.random(400) < 0.8).astype(float)
    noise = rng.random(400)
    worth = {
        "informative": 0.4 * scores + 0.6 * noise,
        "harmful": 0.4 * (1 - scores) + 0.6 * noise,
        "useless": np.full(400, 0.9),
    }
    for name, signal in worth.items():
        found = signal_quality(signal, scores)
        assert found is not None
        assert found.worth == name
    perfect = signal_quality(noise, np.ones(400))
    assert perfect is not None
    assert (perfect.worth, perfect.auroc) == ("unknown", None)


def test_over_confidence_is_of_probabilities_and_of_known_signals() -> None:
    found = signal_quality(np.array([0.9, 0.7, NAN, NAN]), np.array([1.0, 0, 1, 1]))
    assert found is not None
    assert (found.known, found.over_confidence) == (0.5, pytest.approx(0.8 - 0.5))
    scaled = signal_quality(np.array([9.0, 7.0]), np.array([1.0, 0]))
    assert scaled is not None
    assert scaled.over_confidence is None
    assert signal_quality(np.array([NAN, NAN]), np.array([1.0, 0])) is None


def ten_models() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(4)
    scores = (rng.random((10, 10_000)) < np.linspace(0.8, 0.97, 10)[:, None]).astype(float)
    costs = np.linspace(1, 10, 10)[:, None] * rng.random((10, 10_000))
    return scores, rng.random((10, 10_000)), costs, rng.random((10, 10_000))


def test_ten_models_and_ten_thousand_items_fit_into_little_memory() -> None:
    arrays = ten_models()
    tracemalloc.start()
    try:
        found = cascades(*arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(found), min(map(len, found)) > 50) == (45, True)
    assert peak < 200e6


@pytest.mark.audit
def test_ten_models_and_ten_thousand_items_take_less_than_two_seconds() -> None:
    arrays = ten_models()
    before = time.process_time()
    for pair in cascades(*arrays):
        count_pairs(pair, arrays[0] > 0.5)
    assert time.process_time() - before < 2


def test_a_signal_that_is_not_free_is_paid_for_on_every_request() -> None:
    scores = np.array([[1.0, 0.0], [1.0, 1.0]])
    signals = np.array([[0.9, 0.1], [np.nan, np.nan]])
    costs, waits = np.array([[1.0, 1.0], [10.0, 10.0]]), np.array([[1.0, 1.0], [4.0, 4.0]])
    further = SignalCosts(
        usd=np.array([[2.0, 2.0], [0.0, 0.0]]),
        wait_s=np.array([[0.5, 0.5], [0.0, 0.0]]),
        before=(False, False),
    )
    (pair,) = cascades(scores, signals, costs, waits, further)
    assert pair.cost_usd.tolist() == [(3.0 + 13.0) / 2]
    assert pair.latency_p95_s is not None
    assert pair.latency_p95_s.tolist() == [5.5]
    assert pair.break_even == pytest.approx(0.7)  # 3 + 0.7 x 10 is 10


def test_a_signal_before_the_call_spares_the_call_that_is_handed_on() -> None:
    scores = np.array([[1.0, 0.0], [1.0, 1.0]])
    signals = np.array([[0.9, 0.1], [np.nan, np.nan]])
    costs, waits = np.array([[1.0, 1.0], [10.0, 10.0]]), np.array([[1.0, 1.0], [4.0, 4.0]])
    further = SignalCosts(np.zeros((2, 2)), np.zeros((2, 2)), before=(True, True))
    (pair,) = cascades(scores, signals, costs, waits, further)
    assert pair.cost_usd.tolist() == [(1.0 + 10.0) / 2]
    assert pair.latency_p95_s is not None
    assert pair.latency_p95_s.tolist() == [4.0]
    assert pair.break_even == 1.0
