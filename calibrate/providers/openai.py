"""OpenAI's chat completions and embeddings, as many servers speak them.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import math
from typing import Any

from calibrate.completion import (
    TOP_LOGPROBS,
    Completion,
    Failure,
    FailureReason,
    Reply,
    Request,
    TokenLogprob,
    Usage,
    as_float16,
    estimated_tokens,
)
from calibrate.providers.base import Call, Malformed, failure_for_status, json_object

__all__ = ["DEFAULT_BASE_URL", "SUPPORTS_EMBEDDINGS", "SUPPORTS_LOGPROBS", "decode", "encode"]

DEFAULT_BASE_URL: str | None = "https://api.openai.com/v1"
SUPPORTS_EMBEDDINGS = True
SUPPORTS_LOGPROBS = True
_LOGPROB_DIGITS = 5


def encode(request: Request, base_url: str, api_key: str | None) -> Call:
    headers = {"content-type": "application/json"}
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    if request.input is not None:
        body = {**request.parameters, "model": request.name, "input": request.input}
        return Call(f"{base_url}/embeddings", headers, json.dumps(body).encode())
    parameters = dict(request.parameters)
    limit = parameters.pop("max_output_tokens", None)
    schema = parameters.pop("output_schema", None)
    body = {
        "model": request.name,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        **parameters,
    }
    # OpenAI itself refuses the old name for its reasoning models; other servers know only that.
    if limit is not None:
        body["max_completion_tokens" if "api.openai.com" in base_url else "max_tokens"] = limit
    if schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        }
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
    return Call(f"{base_url}/chat/completions", headers, json.dumps(body).encode())


def decode(request: Request, status: int, body: bytes, latency_s: float) -> Reply:
    if status != 200:
        return failure_for_status(status, body, latency_s)
    try:
        value = json_object(body)
        if request.input is not None:
            return _embedding(request, value, latency_s)
        return _chat(request, value, latency_s)
    except Malformed as error:
        return Failure(FailureReason.BAD_RESPONSE, str(error), latency_s, status)


def _chat(request: Request, value: dict[str, Any], latency_s: float) -> Completion:
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Malformed("no choices in the answer")
    choice, message = choices[0], choices[0].get("message")
    if not isinstance(message, dict):
        raise Malformed("no message in the answer")
    content, refusal = message.get("content"), message.get("refusal")
    finish = str(choice.get("finish_reason") or "stop")
    if not content and refusal:
        content, finish = str(refusal), "refusal"
    if content is not None and not isinstance(content, str):
        raise Malformed("the answer's content is not text")
    text = content or ""
    return Completion(
        text=text,
        finish=finish,
        logprobs=_logprobs(choice.get("logprobs")),
        usage=_usage(value, [m.content for m in request.messages], text),
        served_model=str(value.get("model") or request.name),
        latency_s=latency_s,
    )


def _embedding(request: Request, value: dict[str, Any], latency_s: float) -> Completion:
    rows = value.get("data")
    row = rows[0] if isinstance(rows, list) and len(rows) == 1 else None
    vector = row.get("embedding") if isinstance(row, dict) else None
    if not isinstance(vector, list) or not vector:
        raise Malformed("no embedding in the answer")
    try:
        numbers = as_float16([float(item) for item in vector])
    except (TypeError, ValueError, OverflowError) as error:
        raise Malformed("the embedding is not a list of numbers") from error
    if not all(map(math.isfinite, numbers)):
        raise Malformed("the embedding is not a list of numbers")
    return Completion(
        embedding=numbers,
        finish="embedding",
        usage=_usage(value, [request.input or ""], ""),
        served_model=str(value.get("model") or request.name),
        latency_s=latency_s,
    )


def _usage(value: dict[str, Any], asked: list[str], answered: str) -> Usage:
    """Read the usage; a server that gives none or nonsense gets an estimate that says so."""
    usage = value.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens", 0)]
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return Usage(estimated_tokens(asked), estimated_tokens([answered]), is_estimated=True)
    cached = cached if isinstance(cached, int) and 0 <= cached <= counts[0] else 0
    return Usage(counts[0], counts[1], cached)


def _logprobs(value: Any) -> tuple[TokenLogprob, ...]:
    content = value.get("content") if isinstance(value, dict) else None
    tokens = []
    for item in content if isinstance(content, list) else []:
        try:
            top = tuple(
                (str(other["token"]), _logprob(other)) for other in item.get("top_logprobs") or ()
            )
            tokens.append(TokenLogprob(str(item["token"]), _logprob(item), top))
        except (AttributeError, KeyError, TypeError, ValueError):
            return ()  # a signal that cannot be read is a signal that is not there
    return tuple(tokens)


def _logprob(item: dict[str, Any]) -> float:
    value = round(float(item["logprob"]), _LOGPROB_DIGITS)
    if not -math.inf < value <= 0.001:  # a hair above zero is a server's rounding
        raise ValueError(f"{value} is not the logarithm of a probability")
    return value
