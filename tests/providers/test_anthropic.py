from __future__ import annotations

import json
from typing import Any

import pytest

from calibrate.completion import (
    ChatMessage,
    Completion,
    Failure,
    FailureReason,
    Request,
    Usage,
)
from calibrate.providers.anthropic import decode, encode

SCHEMA = {"type": "object", "properties": {"date": {"type": "string"}}}
REQUEST = Request(
    "anthropic",
    "claude",
    messages=(ChatMessage("system", "Sort."), ChatMessage("user", "Where is it?")),
    parameters={"temperature": 0, "max_output_tokens": 8},
)


def body(**changes: Any) -> bytes:
    value = {
        "type": "message",
        "role": "assistant",
        "model": "claude-2026",
        "content": [{"type": "text", "text": "shipping"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 12, "output_tokens": 3},
    }
    return json.dumps(value | changes).encode()


def answered(value: bytes) -> Completion:
    reply = decode(REQUEST, 200, value, 0.5)
    assert isinstance(reply, Completion)
    return reply


def test_system_messages_stand_apart_from_the_conversation() -> None:
    request = Request(
        "anthropic",
        "claude",
        messages=(
            ChatMessage("system", "Sort."),
            ChatMessage("system", "Be brief."),
            ChatMessage("user", "Hi"),
            ChatMessage("assistant", "Hello"),
            ChatMessage("user", "Where is it?"),
        ),
        parameters={"max_output_tokens": 8, "stop": ["\n"], "output_schema": SCHEMA, "top_k": 1},
    )
    call = encode(request, "https://api.anthropic.com/v1", "sk-canary")
    assert call.url == "https://api.anthropic.com/v1/messages"
    assert call.headers == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-canary",
    }
    assert "sk-canary" not in repr(call)
    assert json.loads(call.body) == {
        "model": "claude",
        "max_tokens": 8,
        "system": "Sort.\n\nBe brief.",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Where is it?"},
        ],
        "stop_sequences": ["\n"],
        "top_k": 1,
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    }


def test_a_request_without_system_message_or_key_has_neither() -> None:
    request = Request(
        "anthropic",
        "claude",
        messages=(ChatMessage("user", "Hi"),),
        parameters={"max_output_tokens": 8},
    )
    call = encode(request, "http://127.0.0.1/v1", None)
    assert "x-api-key" not in call.headers
    assert json.loads(call.body) == {
        "model": "claude",
        "max_tokens": 8,
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_an_answer_is_read_whole() -> None:
    assert decode(REQUEST, 200, body(), 0.5) == Completion(
        text="shipping",
        finish="stop",
        usage=Usage(12, 3),
        served_model="claude-2026",
        latency_s=0.5,
    )


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # Anthropic's input_tokens leaves the cache out: 12 fresh + 100 read + 7 written = 119.
        (
            {
                "input_tokens": 12,
                "output_tokens": 3,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 7,
            },
            Usage(119, 3, cached_input_tokens=100, cache_write_tokens=7),
        ),
        (
            {"input_tokens": 12, "output_tokens": 3, "cache_read_input_tokens": None},
            Usage(12, 3),
        ),
        # 17 characters asked: 5 tokens of 4, and 4 for each of 2 messages; 8 answered: 2 and 4.
        (None, Usage(13, 6, is_estimated=True)),
        ({"input_tokens": 12}, Usage(12, 6, is_estimated=True)),
        ({"input_tokens": -12, "output_tokens": 3}, Usage(13, 3, is_estimated=True)),
        (
            {"input_tokens": 12, "output_tokens": 3, "cache_read_input_tokens": "many"},
            Usage(13, 3, is_estimated=True),
        ),
        (
            {"input_tokens": 12, "output_tokens": 30, "output_tokens_details": None},
            Usage(12, 30),
        ),
        (
            {
                "input_tokens": 12,
                "output_tokens": 30,
                "output_tokens_details": {"thinking_tokens": 25},
            },
            Usage(12, 30, reasoning_tokens=25),
        ),
    ],
)
def test_tokens_of_the_cache_are_part_of_the_input(usage: Any, expected: Usage) -> None:
    assert answered(body(usage=usage)).usage == expected


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
        ("pause_turn", "pause_turn"),
        (None, "stop"),
    ],
)
def test_stop_reasons_are_told_in_our_words(stop_reason: str | None, finish: str) -> None:
    assert answered(body(stop_reason=stop_reason)).finish == finish


def test_only_the_text_of_an_answer_is_its_text() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hmm."},
        {"type": "text", "text": "ship"},
        "odd",
        {"type": "text", "text": None},
        {"type": "text", "text": "ping"},
    ]
    assert answered(body(content=blocks)).text == "shipping"
    assert answered(body(content=[])).text == ""


def test_effort_and_a_schema_stand_side_by_side() -> None:
    request = Request(
        "anthropic",
        "claude",
        messages=(ChatMessage("user", "Hi"),),
        parameters={"output_config": {"effort": "low"}, "output_schema": SCHEMA},
    )
    sent = json.loads(encode(request, "http://127.0.0.1/v1", None).body)
    assert sent["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": SCHEMA},
    }


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        (
            [
                {"type": "text", "text": "I look it up."},
                {"type": "tool_use", "id": "t1", "name": "track", "input": {"id": 7, "où": "é"}},
            ],
            '{"name": "track", "arguments": {"id": 7, "où": "é"}}',
        ),
        (
            [
                {"type": "tool_use", "id": "t1", "name": "track", "input": {}},
                {"type": "tool_use", "id": "t2", "name": "refund", "input": {"id": 7}},
            ],
            '[{"name": "track", "arguments": {}}, {"name": "refund", "arguments": {"id": 7}}]',
        ),
        ([{"type": "tool_use", "name": None}, {"type": "text", "text": "shipping"}], "shipping"),
    ],
)
def test_a_call_is_the_answer_whatever_is_said_beside_it(blocks: list[Any], text: str) -> None:
    found = answered(body(content=blocks, stop_reason="tool_use"))
    assert (found.text, found.finish) == (text, "tool_calls")


@pytest.mark.parametrize(
    ("details", "content", "text"),
    [
        ({"type": "refusal", "explanation": "Not this."}, [], "Not this."),
        ({"type": "refusal", "explanation": None}, [], ""),
        (None, [], ""),
        ({"explanation": "Not this."}, [{"type": "text", "text": "I can't."}], "I can't."),
    ],
)
def test_a_refusal_is_an_answer_that_says_why(details: Any, content: Any, text: str) -> None:
    found = answered(body(content=content, stop_reason="refusal", stop_details=details))
    assert (found.text, found.finish) == (text, "refusal")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"<html>", "not JSON: b'<html>'"),
        (b"[]", "expected a JSON object, got list"),
        (body(content=None), "no content in the answer"),
        (body(content="shipping"), "no content in the answer"),
    ],
)
def test_a_body_that_is_no_message_is_a_bad_response(value: bytes, message: str) -> None:
    assert decode(REQUEST, 200, value, 0.5) == Failure(
        FailureReason.BAD_RESPONSE, message, 0.5, 200
    )


@pytest.mark.parametrize(
    ("status", "kind", "text", "reason"),
    [
        (400, "invalid_request_error", "max_tokens: too big", FailureReason.REJECTED),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            FailureReason.CONTEXT_LENGTH,
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the API",
            FailureReason.UNAUTHORISED,
        ),
        (401, "authentication_error", "invalid x-api-key", FailureReason.UNAUTHORISED),
        (403, "permission_error", "not allowed", FailureReason.UNAUTHORISED),
        (404, "not_found_error", "model: claude", FailureReason.NO_SUCH_MODEL),
        (413, "request_too_large", "Request exceeds", FailureReason.REJECTED),
        (429, "rate_limit_error", "slow down", FailureReason.RATE_LIMITED),
        (500, "api_error", "Internal server error", FailureReason.SERVER_ERROR),
        (529, "overloaded_error", "Overloaded", FailureReason.SERVER_ERROR),
    ],
)
def test_errors_have_the_reason_that_anthropic_documents(
    status: int, kind: str, text: str, reason: FailureReason
) -> None:
    value = json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
    assert decode(REQUEST, status, value, 0.5) == Failure(
        reason, f"HTTP {status}: {text}", 0.5, status
    )
