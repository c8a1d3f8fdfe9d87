"""Anthropic's Messages API over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from wire.anthropic_api import anthropic
from wire.api import Api
from wire.line import KEY_ENV, Line

from calibrate.completion import Completion, Failure, FailureReason, Usage
from calibrate.errors import ProviderError

Open = Callable[[Api], Line]


def completion(text: str = "shipping", **changes: Any) -> Completion:
    fields: dict[str, Any] = {
        "usage": Usage(12, 3),
        "served_model": "small-20260101",
        "latency_s": 0.0,
    }
    return Completion(text=text, **fields | changes)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where is it?", completion()),
        # 12 fresh, 1920 read from the cache and 64 written to it
        ("cached", completion(usage=Usage(1996, 3, 1920, cache_write_tokens=64))),
        ("think", completion(usage=Usage(12, 300, reasoning_tokens=256))),
        ("call", completion('{"name": "track", "arguments": {"id": 7}}', finish="tool_calls")),
        ("cut", completion("ship", finish="length")),
        ("full", completion("ship", finish="length")),
        ("stop", completion("ship")),
        ("refuse", completion("This request is not answered.", finish="refusal")),
        ("empty", completion("", usage=Usage(12, 2))),
    ],
)
def test_an_answer_is_read_whatever_it_is(line: Open, question: str, expected: Completion) -> None:
    assert line(anthropic()).reply(question) == expected


def test_everything_is_sent_where_the_api_wants_it(line: Open) -> None:
    schema = {"type": "object", "properties": {"date": {"type": "string"}}}
    asking = line(anthropic())
    answer = asking.ask(
        "Where is it?", stop=["\n"], output_schema=schema, output_config={"effort": "low"}
    )
    assert answer.reply == completion()
    assert answer.paid_usd == Decimal("0.000042")  # 12 tokens at $1 and 3 at $10 a million
    assert asking.received[0].body == {
        "model": "small",
        "max_tokens": 8,
        "system": "Sort.",
        "messages": [{"role": "user", "content": "Where is it?"}],
        "stop_sequences": ["\n"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
    }


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("too long", "HTTP 400: prompt is too long: 210000 tokens > 200000 maximum"),
        (
            "too long with the answer",
            "HTTP 400: input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
        ),
    ],
)
def test_what_is_too_long_is_told_by_name(line: Open, question: str, message: str) -> None:
    answer = line(anthropic()).ask(question)
    assert answer.reply == Failure(FailureReason.CONTEXT_LENGTH, message, 0.0, 400)
    assert answer.attempts == 1


def test_a_parameter_that_the_api_does_not_know_is_told(line: Open) -> None:
    assert line(anthropic()).reply("Where is it?", frequency_penalty=1) == Failure(
        FailureReason.REJECTED,
        "HTTP 400: frequency_penalty: Extra inputs are not permitted",
        0.0,
        400,
    )


@pytest.mark.parametrize(("question", "attempts"), [("busy", 2), ("overloaded", 3), ("slow", 2)])
def test_what_passes_is_asked_again(line: Open, question: str, attempts: int) -> None:
    answer = line(anthropic()).ask(question)
    assert (answer.reply, answer.attempts) == (completion(), attempts)


def test_the_server_says_how_long_to_wait(line: Open) -> None:
    asking = line(anthropic())
    asking.ask("busy")
    assert sum(asking.time.waits) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("garbage", "not JSON: b'<html><body><h1>502 Bad Gateway</h1></body></html>'"),
        ("no content", "no content in the answer"),
    ],
)
def test_garbage_is_a_failure_by_name(line: Open, question: str, message: str) -> None:
    assert line(anthropic()).reply(question) == Failure(
        FailureReason.BAD_RESPONSE, message, 0.0, 200
    )


@pytest.mark.parametrize(
    ("question", "name", "message"),
    [
        ("Where is it?", "missing", "HTTP 404: model: missing"),
        ("poor", "small", "HTTP 400: Your credit balance is too low to access"),
        ("unpaid", "small", "HTTP 402: Please check your payment"),
    ],
)
def test_what_would_fail_every_request_ends_the_asking(
    line: Open, question: str, name: str, message: str
) -> None:
    asking = line(anthropic())
    with pytest.raises(ProviderError) as caught:
        asking.ask(question, name=name)
    assert message in str(caught.value)
    assert len(asking.received) == 1


def test_a_key_that_is_not_valid_ends_the_asking(
    line: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ENV, "sk-another")
    with pytest.raises(ProviderError, match="HTTP 401: invalid x-api-key"):
        line(anthropic()).ask("Where is it?")
