"""What answers without a latency mean elsewhere: nothing is made up for them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from batches.desk import Desk, ask
from batches.server import BatchServer, says
from loopback import Loopback

from calibrate.cache import Cache, Recorded, Recordings, StoredAnswers, write_recordings
from calibrate.client import Source
from calibrate.completion import (
    ChatMessage,
    Completion,
    Failure,
    FailureReason,
    Request,
    Usage,
    reply_from_json,
    reply_to_json,
)
from calibrate.dataset import Case
from calibrate.errors import PriceError
from calibrate.pricing import HourlyPrice
from calibrate.summaries import latency_quantile
from calibrate.trial import FailedTrial

REQUEST = Request("openai", "gpt", (ChatMessage("user", "a"),))
BATCHED = Completion(Usage(1, 1), "gpt", None, text="a")


def trial(latency_s: float | None) -> FailedTrial:
    case = Case(id="c", input="a", expected="a")
    failure = Failure(FailureReason.REJECTED, "no", latency_s)
    return FailedTrial(case, "gpt", 0, "a", failure, Decimal(0), latency_s, Source.ASKED)


@pytest.mark.parametrize("reply", [BATCHED, Failure(FailureReason.REJECTED, "no", None)])
def test_a_reply_without_a_latency_is_kept_as_one(reply: Completion | Failure) -> None:
    assert reply_to_json(reply)["latency_s"] is None
    assert reply_from_json(reply_to_json(reply)) == reply


def test_a_recording_of_a_batched_answer_counts_unless_a_latency_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    write_recordings(path, [Recorded(REQUEST, BATCHED)])
    for wanted in (True, False):
        stored = StoredAnswers(Recordings(path), None, give_unmeasured=wanted)
        assert stored.has(REQUEST, "http://a/v1") is wanted


def test_a_quantile_is_that_of_what_was_measured() -> None:
    trials = [trial(None), trial(3.0), trial(None), trial(5.0)]
    assert latency_quantile(trials, 0.5) == 3.0
    assert latency_quantile([trial(None)], 0.5) is None


def test_a_machine_by_the_hour_cannot_be_charged_for_a_time_that_is_not_known() -> None:
    with pytest.raises(PriceError, match="ask it again with --no-cache"):
        HourlyPrice(Decimal(1), 1).cost(Usage(1, 1), None)


def test_a_cache_that_another_run_makes_meanwhile_is_read(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as first, Cache(tmp_path / "c.sqlite") as second:
        assert first.get(REQUEST, "http://a/v1") is None
        second.put(REQUEST, "http://a/v1", BATCHED)
        assert first.get(REQUEST, "http://a/v1") == BATCHED


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
@pytest.mark.parametrize("transport", ["direct", "fast", "standard"])
def test_every_transport_brings_batches_there_and_back(
    transport: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIBRATE_TRANSPORT", transport)
    large = ask(kind, "x" * 1_500_000)  # sent in pieces
    with Loopback(BatchServer(says("y"))) as server:
        (answer,) = Desk(tmp_path, kind, server.base_url).fetch([large])
        methods = {received.path.partition("?")[0]: received.method for received in server.received}
    assert isinstance(answer.reply, Completion)
    assert answer.reply.text == "y"
    assert set(methods.values()) == {"GET", "POST"}
