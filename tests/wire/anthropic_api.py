"""Anthropic's Messages API."""

from __future__ import annotations

from typing import Any

from loopback import Received, Response
from wire.api import HTML, KEY, Api, answer

__all__ = ["anthropic"]

USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 3,
    "service_tier": "standard",
}
_FIELDS = {
    *("model", "messages", "max_tokens", "system", "stop_sequences", "temperature", "top_k"),
    *("output_config", "thinking", "tools"),
}


def message(*content: dict[str, Any], **changes: Any) -> Response:
    return answer(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "small-20260101",
            "content": content,
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "stop_details": None,
            "usage": USAGE,
            **changes,
        },
        request_id="req_1",
    )


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words, "citations": None}


def failed(status: int, kind: str, words: str, **headers: str) -> Response:
    error = {"type": kind, "message": words}
    return answer({"type": "error", "error": error, "request_id": "req_1"}, status, **headers)


def _refusal(received: Received) -> Response | None:
    body = received.body
    if received.path != "/v1/messages":
        return failed(404, "not_found_error", "Not Found")
    if received.headers.get("x-api-key") != KEY:
        return failed(401, "authentication_error", "invalid x-api-key")
    if received.headers.get("anthropic-version") != "2023-06-01":
        return failed(400, "invalid_request_error", "anthropic-version: header is required")
    if body.get("model") == "missing":
        return failed(404, "not_found_error", "model: missing")
    if not isinstance(body.get("max_tokens"), int):
        return failed(400, "invalid_request_error", "max_tokens: Field required")
    unknown = sorted(body.keys() - _FIELDS)
    if unknown:
        return failed(400, "invalid_request_error", f"{unknown[0]}: Extra inputs are not permitted")
    if any(turn["role"] not in ("user", "assistant") for turn in body["messages"]):
        return failed(400, "invalid_request_error", "messages: Unexpected role")
    return None


def anthropic() -> Api:
    cached = {**USAGE, "cache_read_input_tokens": 1920, "cache_creation_input_tokens": 64}
    thought = {**USAGE, "output_tokens": 300, "output_tokens_details": {"thinking_tokens": 256}}
    call = {"type": "tool_use", "id": "toolu_1", "name": "track", "input": {"id": 7}}
    refused = {
        "type": "refusal",
        "category": "cyber",
        "explanation": "This request is not answered.",
    }
    answers = {
        "Where is it?": (message(text("shipping")),),
        "cached": (message(text("shipping"), usage=cached),),
        "think": (
            message(
                {"type": "thinking", "thinking": "Hmm.", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                text("shipping"),
                usage=thought,
            ),
        ),
        "call": (message(text("I look it up."), call, stop_reason="tool_use"),),
        "cut": (message(text("ship"), stop_reason="max_tokens"),),
        "full": (message(text("ship"), stop_reason="model_context_window_exceeded"),),
        "stop": (message(text("ship"), stop_reason="stop_sequence", stop_sequence="\n"),),
        "refuse": (message(stop_reason="refusal", stop_details=refused),),
        "empty": (message(usage={**USAGE, "output_tokens": 2}),),
        "no content": (message(content=None),),
        "too long": (
            failed(
                400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"
            ),
        ),
        "too long with the answer": (
            failed(
                400,
                "invalid_request_error",
                "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
            ),
        ),
        "busy": (
            failed(429, "rate_limit_error", "This request would exceed", retry_after="7"),
            message(text("shipping")),
        ),
        "overloaded": (
            failed(529, "overloaded_error", "Overloaded"),
            failed(500, "api_error", "Internal server error"),
            message(text("shipping")),
        ),
        "slow": (failed(504, "timeout_error", "Timed out"), message(text("shipping"))),
        "poor": (
            failed(
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API.",
            ),
        ),
        "unpaid": (failed(402, "billing_error", "Please check your payment"),),
        "garbage": (HTML,),
    }
    return Api("anthropic", "/v1", _refusal, lambda received: received.asked, answers)
