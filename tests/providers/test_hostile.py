"""Whatever a server sends, a reply comes out that can be kept and read back."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.completion import (
    ChatMessage,
    Completion,
    Failure,
    FailureReason,
    Reply,
    Request,
    reply_from_json,
    reply_to_json,
)
from calibrate.providers import provider, provider_names

TOKENS = {"token": "a", "logprob": -1, "top_logprobs": [{"token": "b", "logprob": -2}]}
FUNCTION = {"name": "track", "arguments": '{"id": 7}'}
OPENAI_CHAT = {
    "error": None,
    "model": "m",
    "choices": [
        {
            "error": None,
            "finish_reason": "stop",
            "message": {
                "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}],
                "refusal": None,
                "tool_calls": [{"function": FUNCTION}, {"custom": {"name": "a", "input": "b"}}],
                "function_call": FUNCTION,
            },
            "logprobs": {"content": [TOKENS]},
        }
    ],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "total_tokens": 2,
        "prompt_cache_hit_tokens": 1,
        "cost": 0.5,
        "is_byok": True,
        "cost_details": {"upstream_inference_cost": 0.5},
        "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}
OPENAI_EMBEDDING = {
    "model": "m",
    "data": [{"embedding": [0.5, -1]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
MESSAGE = {
    "error": None,
    "model": "m",
    "stop_reason": "refusal",
    "stop_details": {"explanation": "no"},
    "content": [
        {"type": "thinking", "thinking": "Hmm."},
        {"type": "tool_use", "name": "track", "input": {"id": 7}},
        {"type": "text", "text": "a"},
    ],
    "usage": {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_read_input_tokens": 1,
        "cache_creation_input_tokens": 1,
        "output_tokens_details": {"thinking_tokens": 1},
    },
}
GEMINI = {
    "error": None,
    "promptFeedback": {"blockReason": "SAFETY"},
    "modelVersion": "m",
    "candidates": [
        {
            "finishReason": "STOP",
            "content": {
                "parts": [
                    {"text": "Hmm.", "thought": True},
                    {"functionCall": {"name": "track", "args": {"id": 7}}},
                    {"text": "a"},
                ]
            },
            "logprobsResult": {
                "chosenCandidates": [{"token": "a", "logProbability": -1}],
                "topCandidates": [{"candidates": [{"token": "b", "logProbability": -2}]}],
            },
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 1,
        "candidatesTokenCount": 1,
        "thoughtsTokenCount": 1,
        "toolUsePromptTokenCount": 1,
        "cachedContentTokenCount": 1,
    },
}
GEMINI_EMBEDDING = {"embedding": {"values": [0.5, -1]}, "usageMetadata": {"promptTokenCount": 1}}
ERROR = {
    "error": {
        "code": 400,
        "type": "invalid_request_error",
        "status": "INVALID_ARGUMENT",
        "message": "no",
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
        "details": [{"reason": "API_KEY_INVALID"}],
        "metadata": {"raw": "no", "reasons": ["violence"]},
    }
}
MESSAGES = (ChatMessage("system", "Sort."), ChatMessage("user", "Where?"))


def chat(kind: str) -> Request:
    return Request(kind, "m", MESSAGES, logprobs=True)


def embed(kind: str) -> Request:
    return Request(kind, "m", input="Where?")


ANSWERS: list[tuple[Request, dict[str, Any]]] = [
    (chat("openai"), OPENAI_CHAT),
    (embed("openai"), OPENAI_EMBEDDING),
    (chat("azure"), OPENAI_CHAT),
    (chat("anthropic"), MESSAGE),
    (chat("gemini"), GEMINI),
    (embed("gemini"), GEMINI_EMBEDDING),
]
REQUESTS = st.sampled_from([request for request, _ in ANSWERS])
NUMBERS = st.integers() | st.floats() | st.sampled_from([-1, 0, 10**400, -(10**400), 2**53])
TEXTS = st.text() | st.sampled_from(["\ud800", '{"a": "\\ud800"}', "stop", "error", "AACAPw=="])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in inside:
            yield from paths(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = by
    return value


def decoded(request: Request, status: int, body: bytes) -> Reply:
    """Return the reply, shown to be one that storage takes and gives back."""
    reply = provider(request.kind).decode(request, status, body, 0.5)
    assert isinstance(reply, Completion | Failure)
    kept = json.dumps(reply_to_json(reply), ensure_ascii=False, allow_nan=False).encode()
    assert reply_from_json(json.loads(kept)) == reply
    if isinstance(reply, Completion):
        usage = reply.usage
        assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens
        assert min(usage.cached_input_tokens, usage.cache_write_tokens) >= 0
        assert reply.served_model.isprintable()
        assert reply.finish.isprintable()
    else:
        assert reply.message.isprintable()
        assert len(reply.message) < 500
    return reply


def test_each_provider_has_an_answer_here() -> None:
    assert {request.kind for request, _ in ANSWERS} == set(provider_names())


@pytest.mark.parametrize(("request_", "answer"), ANSWERS)
@given(data=st.data())
def test_an_answer_with_anything_in_any_field_is_a_reply(
    request_: Request, answer: dict[str, Any], data: st.DataObject
) -> None:
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(paths(answer))), label="path")
        answer = replaced(answer, path, data.draw(JSON, label="value"))
    decoded(request_, 200, json.dumps(answer).encode())


@given(request=REQUESTS, status=st.integers(100, 599), path=st.data(), value=JSON)
def test_an_error_with_anything_in_any_field_is_a_failure(
    request: Request, status: int, path: st.DataObject, value: Any
) -> None:
    place = path.draw(st.sampled_from(list(paths(ERROR))))
    reply = decoded(request, status, json.dumps(replaced(ERROR, place, value)).encode())
    assert isinstance(reply, Failure) or status == 200


@given(request=REQUESTS, status=st.integers(100, 599), body=st.binary())
def test_bytes_of_any_kind_are_a_failure(request: Request, status: int, body: bytes) -> None:
    assert isinstance(decoded(request, status, body), Failure)


@pytest.mark.parametrize(("request_", "answer"), ANSWERS)
@pytest.mark.parametrize("depth", [100, 900, 990, 2_000])
def test_an_answer_of_any_depth_is_a_reply(
    request_: Request, answer: dict[str, Any], depth: int
) -> None:
    deep = "[" * depth + "]" * depth
    for path in paths(answer):
        body = json.dumps(replaced(answer, path, "\0")).replace('"\\u0000"', deep).encode()
        decoded(request_, 200, body)
        decoded(request_, 400, body)


def test_a_call_nested_to_the_edge_of_the_stack_is_an_answer_or_a_bad_response() -> None:
    reasons = set()
    for depth in range(1, 1_000):
        deep = "[" * depth + "]" * depth
        body = json.dumps(replaced(MESSAGE, ("content", 1, "input"), "\0"))
        reply = decoded(chat("anthropic"), 200, body.replace('"\\u0000"', deep).encode())
        reasons.add(reply.reason if isinstance(reply, Failure) else None)
    assert reasons <= {None, FailureReason.BAD_RESPONSE}
    assert None in reasons
