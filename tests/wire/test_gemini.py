"""Google's Gemini API over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from wire.api import Api
from wire.gemini_api import gemini
from wire.line import KEY_ENV, Line

from calibrate.completion import Completion, Failure, FailureReason, TokenLogprob, Usage
from calibrate.errors import ProviderError

Open = Callable[[Api], Line]


def completion(text: str = "shipping", **changes: Any) -> Completion:
    fields: dict[str, Any] = {
        "usage": Usage(12, 3),
        "served_model": "small-001",
        "latency_s": 0.0,
    }
    return Completion(text=text, **fields | changes)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where is it?", completion()),
        ("think", completion(usage=Usage(2006, 300, 1920, reasoning_tokens=256))),
        (
            "all thought",
            completion("", finish="length", usage=Usage(12, 8, reasoning_tokens=8)),
        ),
        ("call", completion('{"name": "track", "arguments": {"id": 7}}', finish="tool_calls")),
        ("unsafe", completion("", finish="content_filter", usage=Usage(12, 0))),
        ("recited", completion("ship", finish="content_filter")),
        ("blocked", completion("", finish="content_filter", usage=Usage(12, 0))),
        (
            "no usage",  # 13 characters asked are 4 tokens, 8 answered 2; and 4 for each message
            completion(usage=Usage(12, 6, is_estimated=True), served_model="small"),
        ),
    ],
)
def test_an_answer_is_read_whatever_it_is(line: Open, question: str, expected: Completion) -> None:
    assert line(gemini()).reply(question) == expected


def test_everything_is_sent_where_the_api_wants_it(line: Open) -> None:
    schema = {"type": "object", "properties": {"date": {"type": "string"}}}
    asking = line(gemini())
    answer = asking.ask("Where is it?", stop=["\n"], output_schema=schema, temperature=0)
    assert answer.reply == completion()
    assert answer.paid_usd == Decimal("0.000042")  # 12 tokens at $1 and 3 at $10 a million
    assert asking.received[0].path == "/v1beta/models/small:generateContent"
    assert asking.received[0].body == {
        "systemInstruction": {"parts": [{"text": "Sort."}]},
        "contents": [{"role": "user", "parts": [{"text": "Where is it?"}]}],
        "generationConfig": {
            "temperature": 0,
            "maxOutputTokens": 8,
            "stopSequences": ["\n"],
            "responseMimeType": "application/json",
            "responseJsonSchema": schema,
        },
    }


def test_log_probabilities_come_with_the_answer_where_they_are_asked_for(line: Open) -> None:
    found = line(gemini()).ask("with logprobs", logprobs=True).reply
    assert found == completion(
        logprobs=(
            TokenLogprob("ship", -0.25, (("ship", -0.25), ("bill", -1.75))),
            TokenLogprob("ping", -0.5, (("ping", -0.5),)),
        )
    )


def test_a_model_without_log_probabilities_says_what_to_do(line: Open) -> None:
    assert line(gemini()).reply("Where is it?", name="plain", logprobs=True) == Failure(
        FailureReason.REJECTED,
        "HTTP 400: Logprobs is not enabled for models/plain; "
        "give the model `parameters: {logprobs: false}`",
        0.0,
        400,
    )


def test_what_is_too_long_is_told_by_name(line: Open) -> None:
    assert line(gemini()).reply("too long") == Failure(
        FailureReason.CONTEXT_LENGTH,
        "HTTP 400: The input token count (1189235) exceeds the maximum number of tokens allowed "
        "(1048576).",
        0.0,
        400,
    )


def test_a_parameter_that_the_api_does_not_know_is_told(line: Open) -> None:
    assert line(gemini()).reply("Where is it?", max_tokens=8) == Failure(
        FailureReason.REJECTED,
        "HTTP 400: Unknown name \"max_tokens\" at 'generation_config'",
        0.0,
        400,
    )


@pytest.mark.parametrize(("question", "attempts"), [("busy", 2), ("overloaded", 3), ("slow", 2)])
def test_what_passes_is_asked_again(line: Open, question: str, attempts: int) -> None:
    answer = line(gemini()).ask(question)
    assert (answer.reply, answer.attempts) == (completion(), attempts)


def test_the_server_says_how_long_to_wait(line: Open) -> None:
    asking = line(gemini())
    asking.ask("busy")
    assert sum(asking.time.waits) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("garbage", "not JSON: b'<html><body><h1>502 Bad Gateway</h1></body></html>'"),
        ("no candidates", "no candidates in the answer"),
    ],
)
def test_garbage_is_a_failure_by_name(line: Open, question: str, message: str) -> None:
    assert line(gemini()).reply(question) == Failure(FailureReason.BAD_RESPONSE, message, 0.0, 200)


def test_a_model_that_is_not_there_ends_the_asking(line: Open) -> None:
    asking = line(gemini())
    with pytest.raises(ProviderError, match="HTTP 404: models/missing is not found"):
        asking.ask("Where is it?", name="missing")
    assert len(asking.received) == 1


def test_a_key_that_is_not_valid_ends_the_asking(
    line: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ENV, "sk-another")
    with pytest.raises(ProviderError, match="HTTP 400: API key not valid"):
        line(gemini()).ask("Where is it?")


def test_a_text_is_embedded(line: Open) -> None:
    asking = line(gemini())
    assert asking.embed("embed", outputDimensionality=2).reply == Completion(
        embedding=(0.5, -2.0),
        finish="embedding",
        usage=Usage(6, 0, is_estimated=True),  # 5 characters are 2 tokens, and 4 for the message
        served_model="embedding",
        latency_s=0.0,
    )
    assert asking.received[0].path == "/v1beta/models/embedding:embedContent"
