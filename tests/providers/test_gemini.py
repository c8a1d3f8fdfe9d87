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
    TokenLogprob,
    Usage,
)
from calibrate.providers.gemini import decode, encode

BASE_URL = "https://generativelanguage.googleapis.com/v1beta"
SCHEMA = {"type": "object", "properties": {"date": {"type": "string"}}}
CHAT = Request(
    "gemini",
    "flash",
    messages=(ChatMessage("system", "Sort."), ChatMessage("user", "Where is it?")),
    parameters={"temperature": 0, "max_output_tokens": 8},
)
EMBED = Request("gemini", "embedding", input="Where is it?")


def candidate(*parts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", **changes}


def body(**changes: Any) -> bytes:
    value = {
        "candidates": [candidate({"text": "shipping"})],
        "usageMetadata": {
            "promptTokenCount": 12,
            "candidatesTokenCount": 3,
            "totalTokenCount": 15,
        },
        "modelVersion": "flash-001",
        "responseId": "r1",
    }
    return json.dumps(value | changes).encode()


def answered(value: bytes, request: Request = CHAT) -> Completion:
    reply = decode(request, 200, value, 0.5)
    assert isinstance(reply, Completion)
    return reply


def test_a_conversation_is_sent_in_googles_words() -> None:
    request = Request(
        "gemini",
        "flash",
        messages=(
            ChatMessage("system", "Sort."),
            ChatMessage("system", "Be brief."),
            ChatMessage("user", "Hi"),
            ChatMessage("assistant", "Hello"),
            ChatMessage("user", "Where is it?"),
        ),
        parameters={
            "temperature": 0,
            "thinkingConfig": {"thinkingBudget": 0},
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            "tools": [{"functionDeclarations": [{"name": "track"}]}],
            "max_output_tokens": 8,
            "stop": ["\n"],
            "output_schema": SCHEMA,
        },
        logprobs=True,
    )
    call = encode(request, BASE_URL, "key-canary")
    assert call.url == f"{BASE_URL}/models/flash:generateContent"
    assert call.headers == {"content-type": "application/json", "x-goog-api-key": "key-canary"}
    assert "canary" not in repr(call)
    assert json.loads(call.body) == {
        "systemInstruction": {"parts": [{"text": "Sort."}, {"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello"}]},
            {"role": "user", "parts": [{"text": "Where is it?"}]},
        ],
        "generationConfig": {
            "temperature": 0,
            "thinkingConfig": {"thinkingBudget": 0},
            "maxOutputTokens": 8,
            "stopSequences": ["\n"],
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
            "responseLogprobs": True,
            "logprobs": 5,
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "tools": [{"functionDeclarations": [{"name": "track"}]}],
    }


def test_what_is_not_there_is_not_sent() -> None:
    request = Request("gemini", "tunedModels/mine", messages=(ChatMessage("user", "Hi"),))
    call = encode(request, "http://127.0.0.1/v1beta", None)
    assert call.url == "http://127.0.0.1/v1beta/tunedModels/mine:generateContent"
    assert call.headers == {"content-type": "application/json"}
    assert json.loads(call.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {},
    }


def test_an_embedding_is_asked_for_by_its_text() -> None:
    request = Request("gemini", "embedding", input="Hi", parameters={"outputDimensionality": 4})
    call = encode(request, BASE_URL, None)
    assert call.url == f"{BASE_URL}/models/embedding:embedContent"
    assert json.loads(call.body) == {
        "model": "models/embedding",
        "content": {"parts": [{"text": "Hi"}]},
        "outputDimensionality": 4,
    }


def test_an_answer_is_read_whole() -> None:
    assert decode(CHAT, 200, body(), 0.5) == Completion(
        text="shipping",
        finish="stop",
        usage=Usage(12, 3),
        served_model="flash-001",
        latency_s=0.5,
    )


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "promptTokenCount": 12,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 40,
                "cachedContentTokenCount": 8,
            },
            Usage(12, 43, 8, reasoning_tokens=40),
        ),
        (
            {"promptTokenCount": 12, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 3},
            Usage(17, 3),
        ),
        # 17 characters asked: 5 tokens of 4, and 4 for each of 2 messages; 8 answered: 2 and 4.
        (None, Usage(13, 6, is_estimated=True)),
        ({}, Usage(13, 6, is_estimated=True)),
        ({"promptTokenCount": 12}, Usage(12, 6, is_estimated=True)),
        (
            {"promptTokenCount": -12, "candidatesTokenCount": 3},
            Usage(13, 3, is_estimated=True),
        ),
        (
            {"promptTokenCount": 12, "candidatesTokenCount": 3, "thoughtsTokenCount": "4"},
            Usage(12, 6, is_estimated=True),
        ),
    ],
)
def test_thoughts_are_output_and_the_cache_is_part_of_the_input(
    usage: Any, expected: Usage
) -> None:
    assert answered(body(usageMetadata=usage)).usage == expected


def test_an_answer_that_is_all_thought_is_an_empty_one() -> None:
    usage = {"promptTokenCount": 12, "thoughtsTokenCount": 8}
    found = answered(
        body(candidates=[{"content": {}, "finishReason": "MAX_TOKENS"}], usageMetadata=usage)
    )
    assert (found.text, found.finish) == ("", "length")
    assert found.usage == Usage(12, 8, reasoning_tokens=8)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        (None, "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "malformed_function_call"),
        ("OTHER", "other"),
    ],
)
def test_finish_reasons_are_told_in_our_words(reason: str | None, finish: str) -> None:
    found = answered(body(candidates=[candidate({"text": "ship"}, finishReason=reason)]))
    assert (found.text, found.finish) == ("ship", finish)


def test_a_blocked_prompt_is_an_answer_that_was_filtered_and_billed() -> None:
    value = body(
        candidates=[],
        promptFeedback={"blockReason": "PROHIBITED_CONTENT"},
        usageMetadata={"promptTokenCount": 12, "totalTokenCount": 12},
    )
    assert decode(CHAT, 200, value, 0.5) == Completion(
        text="",
        finish="content_filter",
        usage=Usage(12, 0),
        served_model="flash-001",
        latency_s=0.5,
    )


@pytest.mark.parametrize(
    ("parts", "text", "finish"),
    [
        (
            [{"text": "Hmm.", "thought": True}, {"text": "ship"}, "odd", {"text": "ping"}],
            "shipping",
            "stop",
        ),
        ([{"text": None}, {"inlineData": {}}], "", "stop"),
        (
            [{"text": "I look."}, {"functionCall": {"name": "track", "args": {"id": 7}}}],
            '{"name": "track", "arguments": {"id": 7}}',
            "tool_calls",
        ),
        (
            [{"functionCall": {"name": "track"}}, {"functionCall": {"name": "refund"}}],
            '[{"name": "track", "arguments": {}}, {"name": "refund", "arguments": {}}]',
            "tool_calls",
        ),
        ([{"functionCall": {"name": None}}, {"text": "shipping"}], "shipping", "stop"),
    ],
)
def test_the_answer_is_a_call_or_else_the_text_without_thoughts(
    parts: list[Any], text: str, finish: str
) -> None:
    found = answered(body(candidates=[candidate(*parts)]))
    assert (found.text, found.finish) == (text, finish)


def test_a_call_that_was_cut_is_told_as_cut() -> None:
    parts = {"functionCall": {"name": "track"}}
    found = answered(body(candidates=[candidate(parts, finishReason="MAX_TOKENS")]))
    assert found.finish == "length"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            {
                "chosenCandidates": [
                    {"token": "ship", "tokenId": 1, "logProbability": -0.1234567},
                    {"token": "ping", "tokenId": 2, "logProbability": 0},
                ],
                "topCandidates": [
                    {
                        "candidates": [
                            {"token": "ship", "logProbability": -0.1234567},
                            {"token": "bill", "logProbability": -2.5},
                        ]
                    },
                    {},
                ],
            },
            (
                TokenLogprob("ship", -0.12346, (("ship", -0.12346), ("bill", -2.5))),
                TokenLogprob("ping", 0.0),
            ),
        ),
        (
            {"chosenCandidates": [{"token": "a", "logProbability": -1}]},
            (TokenLogprob("a", -1.0),),
        ),
        (None, ()),
        ({}, ()),
        ({"chosenCandidates": [{"token": "a"}]}, ()),
        ({"chosenCandidates": [{"token": "a", "logProbability": 3}]}, ()),
        ({"chosenCandidates": [], "topCandidates": [{"candidates": []}]}, ()),
        ({"chosenCandidates": 5}, ()),
    ],
)
def test_log_probabilities_are_read_or_else_not_there(
    result: Any, expected: tuple[TokenLogprob, ...]
) -> None:
    found = answered(body(candidates=[candidate({"text": "shipping"}, logprobsResult=result)]))
    assert (found.text, found.logprobs) == ("shipping", expected)


def test_an_embedding_is_read_with_what_it_cost_where_that_is_told() -> None:
    value = b'{"embedding": {"values": [0.1, -2]}, "usageMetadata": {"promptTokenCount": 5}}'
    assert decode(EMBED, 200, value, 0.5) == Completion(
        embedding=(0.0999755859375, -2.0),  # 0.1 in 16 bits
        finish="embedding",
        usage=Usage(5, 0),
        served_model="embedding",
        latency_s=0.5,
    )
    # 12 characters asked: 3 tokens, and 4 for the message.
    found = answered(b'{"embedding": {"values": [1]}}', EMBED)
    assert found.usage == Usage(7, 0, is_estimated=True)


@pytest.mark.parametrize(
    ("value", "request_", "message"),
    [
        (b"<html>", CHAT, "not JSON: b'<html>'"),
        (b"[]", CHAT, "expected a JSON object, got list"),
        (b"{}", CHAT, "no candidates in the answer"),
        (body(candidates=[]), CHAT, "no candidates in the answer"),
        (body(candidates=[None]), CHAT, "no candidates in the answer"),
        (body(candidates=[], promptFeedback={}), CHAT, "no candidates in the answer"),
        (b"{}", EMBED, "no embedding in the answer"),
        (b'{"embedding": [1]}', EMBED, "no embedding in the answer"),
        (
            b'{"embedding": {"values": ["a"]}}',
            EMBED,
            "the embedding is not a list of numbers",
        ),
    ],
)
def test_a_body_that_is_no_answer_is_a_bad_response(
    value: bytes, request_: Request, message: str
) -> None:
    assert decode(request_, 200, value, 0.5) == Failure(
        FailureReason.BAD_RESPONSE, message, 0.5, 200
    )
