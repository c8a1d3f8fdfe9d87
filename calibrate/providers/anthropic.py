"""Anthropic's Messages API.

https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import json
from typing import Any

from calibrate.completion import (
    Completion,
    Failure,
    FailureReason,
    Reply,
    Request,
    Usage,
    estimated_tokens,
)
from calibrate.providers.base import Call, Malformed, failure_for_status, json_object

__all__ = ["DEFAULT_BASE_URL", "SUPPORTS_EMBEDDINGS", "SUPPORTS_LOGPROBS", "decode", "encode"]

DEFAULT_BASE_URL: str | None = "https://api.anthropic.com/v1"
SUPPORTS_EMBEDDINGS = False
SUPPORTS_LOGPROBS = False
_VERSION = "2023-06-01"
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
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
    if schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    headers = {
        "content-type": "application/json",
        "anthropic-version": _VERSION,
        **({"x-api-key": api_key} if api_key else {}),
    }
    return Call(f"{base_url}/messages", headers, json.dumps(body).encode())


def decode(request: Request, status: int, body: bytes, latency_s: float) -> Reply:
    if status != 200:
        return failure_for_status(status, body, latency_s)
    try:
        value = json_object(body)
        text = _text(value)
    except Malformed as error:
        return Failure(FailureReason.BAD_RESPONSE, str(error), latency_s, status)
    stop = str(value.get("stop_reason") or "end_turn")
    return Completion(
        text=text,
        finish=_FINISH.get(stop, stop),
        usage=_usage(value.get("usage"), [m.content for m in request.messages], text),
        served_model=str(value.get("model") or request.name),
        latency_s=latency_s,
    )


def _text(value: dict[str, Any]) -> str:
    blocks = value.get("content")
    if not isinstance(blocks, list):
        raise Malformed("no content in the answer")
    texts = [
        block["text"]
        for block in blocks
        if isinstance(block, dict)
        and block.get("type") == "text"
        and isinstance(block.get("text"), str)
    ]
    return "".join(texts)


def _usage(usage: Any, asked: list[str], answered: str) -> Usage:
    """Add the cache's tokens in: Anthropic's `input_tokens` excludes them, ours includes them."""
    usage = usage if isinstance(usage, dict) else {}
    fresh, output = usage.get("input_tokens"), usage.get("output_tokens")
    read, written = (
        usage.get("cache_read_input_tokens") or 0,
        usage.get("cache_creation_input_tokens") or 0,
    )
    if not all(isinstance(n, int) and n >= 0 for n in (fresh, output, read, written)):
        return Usage(estimated_tokens(asked), estimated_tokens([answered]), is_estimated=True)
    return Usage(fresh + read + written, output, read)
