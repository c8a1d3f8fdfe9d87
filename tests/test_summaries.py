from __future__ import annotations

from decimal import Decimal

import pytest

from calibrate.client import Source
from calibrate.completion import ChatMessage, Failure, FailureReason, Usage
from calibrate.dataset import Case
from calibrate.graders.base import Grade
from calibrate.summaries import latency_quantile, mean_cost_usd
from calibrate.trial import FailedTrial, Trial, passes

ASKED = (ChatMessage("user", "Hi"),)


def trial(score: float = 1.0, cost: str = "0.001", latency_s: float = 0.5) -> Trial:
    return Trial(
        case=Case("t-1", "Hi", "a", {"language": "en"}, critical=True, group="g"),
        model="small",
        repeat=0,
        asked=ASKED,
        answer="a",
        finish="stop",
        grade=Grade(score, "says so"),
        signals={"answer_logprob": -0.2},
        usage=Usage(12, 3),
        cost_usd=Decimal(cost),
        latency_s=latency_s,
        served_model="small-2026",
        source=Source.ASKED,
    )


FAILED = FailedTrial(
    case=Case("t-2", "Hi", "a"),
    model="small",
    repeat=0,
    asked=ASKED,
    failure=Failure(FailureReason.TIMEOUT, "no answer within 10 s", 10.0),
    cost_usd=Decimal(0),
    latency_s=10.0,
    source=Source.ASKED,
)


def test_the_mean_cost_is_over_the_requests_that_were_answered() -> None:
    # (0.001 + 0.002) / 2: an outage must not look cheap
    assert mean_cost_usd([trial(), trial(cost="0.002"), FAILED]) == 0.0015
    assert mean_cost_usd([FAILED]) is None


@pytest.mark.parametrize(
    ("q", "seen"),
    [(0.95, 4.0), (0.75, 3.0), (0.5, 2.0), (0.25, 1.0), (0.01, 1.0)],
)
def test_a_latency_quantile_was_really_seen(q: float, seen: float) -> None:
    trials = [trial(latency_s=latency) for latency in (3.0, 1.0, 4.0, 2.0)]
    assert latency_quantile(trials, q) == seen


@pytest.mark.parametrize(("score", "passed"), [(1.0, True), (1 - 1e-12, True), (0.999, False)])
def test_only_the_full_score_passes(score: float, passed: bool) -> None:
    assert passes(trial(score)) is passed
    assert trial(score).score == score


def test_a_failed_call_scores_nothing() -> None:
    assert FAILED.score == 0.0
    assert not passes(FAILED)
