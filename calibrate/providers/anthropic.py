"""Anthropic's Messages API.

https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from typing import Any

from calibrate.completion import Completion, Reply, Request, Usage
from calibrate.providers.base import Call, Malformed, json_bytes
from calibrate.providers.reading import calls_text, count, label, read_reply, usage_of

__all__ = ["DEFAULT_BASE_URL", "SUPPORTS_EMBEDDINGS", "SUPPORTS_LOGPROBS", "decode", "encode"]

DEFAULT_BASE_URL: str | None = "https://api.anthropic.com/v1"
SUPPORTS_EMBEDDINGS = False
SUPPORTS_LOGPROBS = False
_VERSION = "2023-06-01"
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


def encode(request: Request, base_url: str, api_key: str | None) -> Call:
    parameters = dict(request.parameters)
    limit = parameters.pop("max_output_tokens", None)
    schema = parameters.pop("output_schema", None)
    if "stop" in parameters:
        parameters["stop_sequences"] = parameters.pop("stop")
    system = "\n\n".join(m.content for m in request.messages if m.role == "system")
    body: dict[str, Any] = {
        "model": request.name,
        "max_tokens": limit,
        "messages": [
            {"role": m.role, "content": m.content} for m in request.messages if m.role != "system"
        ],
        **parameters,
    }
    if system:
        body["system"] = system
    if schema is not None:  # beside it may stand how much effort to make
        output = body.get("output_config") or {}
        body["output_config"] = {**output, "format": {"type": "json_schema", "schema": schema}}
    headers = {
        "content-type": "application/json",
        "anthropic-version": _VERSION,
        **({"x-api-key": api_key} if api_key else {}),
    }
    return Call(f"{base_url}/messages", headers, json_bytes(body))


def decode(request: Request, status: int, body: bytes, latency_s: float) -> Reply:
    return read_reply(status, body, latency_s, lambda value: _message(request, value, latency_s))


def _message(request: Request, value: dict[str, Any], latency_s: float) -> Completion:
    stop = label(value.get("stop_reason"), "end_turn")
    text = _text(value)
    if not text and stop == "refusal":
        text = _explanation(value.get("stop_details"))
    return Completion(
        text=text,
        finish=_FINISH.get(stop, stop),
        usage=_usage(value.get("usage"), request.texts, text),
        served_model=label(value.get("model"), request.name),
        latency_s=latency_s,
    )


def _text(value: dict[str, Any]) -> str:
    """Return the calls of an answer, else its text: thinking is neither."""
    blocks = value.get("content")
    if not isinstance(blocks, list):
        raise Malformed("no content in the answer")
    blocks = [block for block in blocks if isinstance(block, dict)]
    calls = [
        (block["name"], block.get("input"))
        for block in blocks
        if block.get("type") == "tool_use" and isinstance(block.get("name"), str)
    ]
    if calls:
        return calls_text(calls)
    texts = (block.get("text") for block in blocks if block.get("type") == "text")
    return "".join(text for text in texts if isinstance(text, str))


def _explanation(details: Any) -> str:
    """Return why a classifier stopped an answer before its first word."""
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation if isinstance(explanation, str) else ""


def _usage(usage: Any, asked: list[str], answered: str) -> Usage:
    """Add the cache's tokens in: Anthropic's `input_tokens` excludes them, ours includes them."""
    usage = usage if isinstance(usage, dict) else {}
    fresh = count(usage.get("input_tokens"))
    read = count(usage.get("cache_read_input_tokens") or 0)
    written = count(usage.get("cache_creation_input_tokens") or 0)
    details = usage.get("output_tokens_details")
    is_known = fresh is not None and read is not None and written is not None
    return usage_of(
        asked,
        answered,
        (fresh or 0) + (read or 0) + (written or 0) if is_known else None,
        count(usage.get("output_tokens")),
        cached=read,
        written=written,
        reasoning=count(details.get("thinking_tokens")) if isinstance(details, dict) else None,
    )
