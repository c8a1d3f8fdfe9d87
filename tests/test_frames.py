from __future__ import annotations

from decimal import Decimal

import pytest

from calibrate.client import Source
from calibrate.completion import ChatMessage, Failure, FailureReason, Usage
from calibrate.dataset import Case
from calibrate.frames import latency_quantile, mean_cost_usd, trial_table
from calibrate.graders.base import Grade
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


def test_a_trial_is_a_row() -> None:
    assert trial_table([trial()]).to_dict("records") == [
        {
            "case_id": "t-1",
            "model": "small",
            "repeat": 0,
            "score": 1.0,
            "passed": True,
            "failed_call": False,
            "critical": True,
            "group": "g",
            "cost_usd": 0.001,
            "latency_s": 0.5,
            "tag.language": "en",
            "input_tokens": 12,
            "output_tokens": 3,
            "signal.answer_logprob": -0.2,
        }
    ]


def test_a_failed_call_is_a_row_that_did_not_pass() -> None:
    (row,) = trial_table([FAILED]).to_dict("records")
    assert (row["case_id"], row["score"], row["passed"], row["failed_call"]) == (
        "t-2",
        0.0,
        False,
        True,
    )
    assert (row["input_tokens"], row["output_tokens"], row["latency_s"]) == (0, 0, 10.0)


def test_rows_stand_in_the_order_of_the_trials() -> None:
    assert list(trial_table([FAILED, trial()])["case_id"]) == ["t-2", "t-1"]


def test_the_mean_cost_is_over_the_requests_that_were_answered() -> None:
    # (0.001 + 0.002) / 2: an outage must not look cheap
    assert mean_cost_usd(trial_table([trial(), trial(cost="0.002"), FAILED])) == 0.0015
    assert mean_cost_usd(trial_table([FAILED])) is None


@pytest.mark.parametrize(
    ("q", "seen"),
    [(0.95, 4.0), (0.75, 3.0), (0.5, 2.0), (0.25, 1.0), (0.01, 1.0)],
)
def test_a_latency_quantile_was_really_seen(q: float, seen: float) -> None:
    table = trial_table([trial(latency_s=latency) for latency in (3.0, 1.0, 4.0, 2.0)])
    assert latency_quantile(table, q) == seen


@pytest.mark.parametrize(("score", "passed"), [(1.0, True), (1 - 1e-12, True), (0.999, False)])
def test_only_the_full_score_passes(score: float, passed: bool) -> None:
    assert passes(trial(score)) is passed
    assert trial(score).score == score


def test_a_failed_call_scores_nothing() -> None:
    assert FAILED.score == 0.0
    assert not passes(FAILED)
