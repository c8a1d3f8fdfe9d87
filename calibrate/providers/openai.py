"""OpenAI's chat completions and embeddings, as many servers speak them.

https://platform.openai.com/docs/api-reference/chat. The model parameter `output_limit` names the
field that carries the output limit where the usual one is not the server's.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from calibrate.completion import (
    TOP_LOGPROBS,
    Completion,
    Failure,
    FailureReason,
    Reply,
    Request,
    TokenLogprob,
    Usage,
)
from calibrate.errors import ConfigError
from calibrate.providers.base import Call, Malformed, json_bytes
from calibrate.providers.failures import failure_in_answer
from calibrate.providers.reading import (
    UNREADABLE,
    calls_text,
    count,
    label,
    logprob,
    parsed_or_raw,
    read_reply,
    token,
    usage_of,
    usd,
    vector,
)

__all__ = [
    "DEFAULT_BASE_URL",
    "SUPPORTS_EMBEDDINGS",
    "SUPPORTS_LOGPROBS",
    "body_of",
    "decode",
    "encode",
]

DEFAULT_BASE_URL: str | None = "https://api.openai.com/v1"
SUPPORTS_EMBEDDINGS = True
SUPPORTS_LOGPROBS = True
_LIMITS = ("max_tokens", "max_completion_tokens")
_OPENAI_HOSTS = (
    ".api.openai.com",
    ".openai.azure.com",
    ".services.ai.azure.com",
    ".cognitiveservices.azure.com",
)
_FINISH = {
    "eos": "stop",  # Together
    "function_call": "tool_calls",
    "model_length": "length",  # Mistral
}
_BROKEN_OFF = frozenset({"error", "insufficient_system_resource"})  # OpenRouter, DeepSeek


def encode(request: Request, base_url: str, api_key: str | None) -> Call:
    headers = {"content-type": "application/json"}
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    path = "chat/completions" if request.input is None else "embeddings"
    body = {"model": request.name, **body_of(request, _limit_of(base_url))}
    return Call(f"{base_url}/{path}", headers, json_bytes(body))


def body_of(request: Request, limit_name: str) -> dict[str, Any]:
    """Return a request's body but for the model; raises `ConfigError` for an odd `output_limit`."""
    if request.input is not None:
        return {**request.parameters, "input": request.input}
    parameters = dict(request.parameters)
    limit_name = parameters.pop("output_limit", limit_name)
    if limit_name not in _LIMITS:
        raise ConfigError(
            f"parameters.output_limit: expected {' or '.join(_LIMITS)}, got {limit_name!r}"
        )
    limit = parameters.pop("max_output_tokens", None)
    schema = parameters.pop("output_schema", None)
    messages = [{"role": m.role, "content": m.content} for m in request.messages]
    body: dict[str, Any] = {"messages": messages, **parameters}
    if limit is not None:
        body[limit_name] = limit
    if schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        }
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
    return body


def decode(request: Request, status: int, body: bytes, latency_s: float) -> Reply:
    def read(value: dict[str, Any]) -> Reply:
        if request.input is not None:
            return _embedding(request, value, latency_s)
        return _chat(request, value, latency_s)

    return read_reply(status, body, latency_s, read)


@cache
def _limit_of(base_url: str) -> str:
    """OpenAI refuses the old name for its reasoning models; other servers know only that."""
    host = urlsplit(base_url).hostname or ""
    is_openai = host == "api.openai.com" or host.endswith(_OPENAI_HOSTS)
    return "max_completion_tokens" if is_openai else "max_tokens"


def _chat(request: Request, value: dict[str, Any], latency_s: float) -> Reply:
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Malformed("no choices in the answer")
    choice, message = choices[0], choices[0].get("message")
    finish = label(choice.get("finish_reason"), "stop")
    if choice.get("error"):
        return failure_in_answer(choice, latency_s)
    if finish in _BROKEN_OFF:
        why = f"the server broke off its answer: {finish}"
        return Failure(FailureReason.SERVER_ERROR, why, latency_s, 200)
    if not isinstance(message, dict):
        raise Malformed("no message in the answer")
    text, finish = _text(message, _FINISH.get(finish, finish))
    return Completion(
        text=text,
        finish=finish,
        logprobs=_logprobs(choice.get("logprobs")),
        usage=_usage(value, request.texts, text),
        served_model=label(value.get("model"), request.name),
        latency_s=latency_s,
        billed_usd=_billed(value.get("usage")),
    )


def _text(message: dict[str, Any], finish: str) -> tuple[str, str]:
    """Return what is graded, and the finish that it implies.

    A call is what a product acts on, so it is the answer whatever is said beside it.
    """
    calls = _calls(message)
    if calls:
        return calls_text(calls), "tool_calls" if finish == "stop" else finish
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, list):
        refusal = _joined(content, "refusal") or refusal
        content = _joined(content, "text")
    if not content and refusal and isinstance(refusal, str):
        return refusal, "refusal"
    if content is not None and not isinstance(content, str):
        raise Malformed("the answer's content is not text")
    return content or "", finish


def _joined(parts: list[Any], name: str) -> str:
    """Return the text of the parts of one kind; Mistral's reasoning models have others."""
    texts = (part.get(name) for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _calls(message: dict[str, Any]) -> list[tuple[str, Any]]:
    if "tool_calls" not in message and "function_call" not in message:
        return []
    rows = message.get("tool_calls")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    functions = [row.get("function") or row.get("custom") for row in rows]
    functions = functions or [message.get("function_call")]  # the old form
    return [
        (function["name"], parsed_or_raw(function.get("arguments", function.get("input"))))
        for function in functions
        if isinstance(function, dict) and isinstance(function.get("name"), str)
    ]


def _embedding(request: Request, value: dict[str, Any], latency_s: float) -> Completion:
    rows = value.get("data")
    row = rows[0] if isinstance(rows, list) and len(rows) == 1 else None
    return Completion(
        embedding=vector(row.get("embedding") if isinstance(row, dict) else None),
        finish="embedding",
        usage=_usage(value, request.texts, ""),
        served_model=label(value.get("model"), request.name),
        latency_s=latency_s,
        billed_usd=_billed(value.get("usage")),
    )


def _usage(value: dict[str, Any], asked: list[str], answered: str) -> Usage:
    usage = _object(value.get("usage"))
    of_input = _object(usage.get("prompt_tokens_details"))
    asked_tokens = count(usage.get("prompt_tokens"))
    # An embedding has no output, and a server that counted nothing out says so by leaving it out.
    answered_tokens = count(usage.get("completion_tokens", None if answered else 0))
    total = count(usage.get("total_tokens"))
    if "completion_tokens" in usage and asked_tokens and answered_tokens is not None and total:
        # xAI and Google leave reasoning out of the completion, but bill it and have it in the sum.
        answered_tokens = max(answered_tokens, total - asked_tokens)
    return usage_of(
        asked,
        answered,
        asked_tokens,
        answered_tokens,
        cached=_first(
            of_input.get("cached_tokens"),
            usage.get("prompt_cache_hit_tokens"),  # DeepSeek
            usage.get("cached_tokens"),  # Moonshot
        ),
        written=_first(
            of_input.get("cache_write_tokens"),
            usage.get("cache_creation_input_tokens"),  # LiteLLM
        ),
        reasoning=count(_object(usage.get("completion_tokens_details")).get("reasoning_tokens")),
    )


def _billed(usage: Any) -> Decimal | None:
    """Return OpenRouter's `cost`; with a key of one's own it is only the fee beside the bill."""
    usage = _object(usage)
    cost = usd(usage.get("cost"))
    if cost is not None and usage.get("is_byok") is True:
        upstream = usd(_object(usage.get("cost_details")).get("upstream_inference_cost"))
        return None if upstream is None else cost + upstream
    return cost


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(*values: Any) -> int | None:
    for value in values:
        if (found := count(value)) is not None:
            return found
    return None


def _logprobs(value: Any) -> tuple[TokenLogprob, ...]:
    if value is None:
        return ()
    content = _object(value).get("content")
    try:
        return tuple(
            TokenLogprob(
                token(item["token"]),
                logprob(item["logprob"]),
                tuple(
                    (token(other["token"]), logprob(other["logprob"]))
                    for other in item.get("top_logprobs") or ()
                ),
            )
            for item in (content if isinstance(content, list) else ())
        )
    except UNREADABLE:
        return ()  # a signal that cannot be read is a signal that is not there
