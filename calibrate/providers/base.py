"""What a provider is: a request to bytes, and bytes to a reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from calibrate.completion import Failure, FailureReason, Reply, Request

__all__ = [
    "Call",
    "Malformed",
    "Provider",
    "bounded",
    "error_message",
    "failure_for_status",
    "json_object",
]

MESSAGE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP POST. The headers hold the key, so they are never shown."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Provider(Protocol):
    """A wire format; a module with these names fits."""

    DEFAULT_BASE_URL: str | None
    SUPPORTS_EMBEDDINGS: bool
    SUPPORTS_LOGPROBS: bool

    def encode(self, request: Request, base_url: str, api_key: str | None) -> Call:
        """Return the HTTP call that asks this request."""

    def decode(self, request: Request, status: int, body: bytes, latency_s: float) -> Reply:
        """Return what the server answered: a completion, or a failure by its name."""


class Malformed(Exception):
    """A body that is not what the API documents; `decode` turns it into a `BAD_RESPONSE`."""


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, all of its texts valid Unicode; raises `Malformed`."""
    try:
        value = json.loads(body.decode("utf-8-sig"))
        if b"\\ud" in body.lower():  # half of a surrogate pair could be neither kept nor shown
            whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
            value = json.loads(whole)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {body[:80]!r}") from error
    if not isinstance(value, dict):
        raise Malformed(f"expected a JSON object, got {type(value).__name__}")
    return value


def error_message(body: bytes) -> str:
    """Return what an error body says, in its usual shapes, else its beginning; bounded."""
    try:
        error = json_object(body).get("error")
    except Malformed:
        error = None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        text = error["message"]
    elif isinstance(error, str):
        text = error
    else:
        text = body.decode("utf-8", "replace")
    return bounded(text)


def bounded(text: str) -> str:
    """Return foreign words as one short printable line: they end up in a terminal."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:10_000]).split())
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"


def failure_for_status(status: int, body: bytes, latency_s: float) -> Failure:
    """Return the failure that an HTTP status stands for."""
    message = f"HTTP {status}: {error_message(body)}"
    if status in (401, 402, 403) or _is_about(body, "insufficient_quota", "credit balance"):
        reason = FailureReason.UNAUTHORISED  # an empty account is not mended by waiting
    elif status == 429:
        reason = FailureReason.RATE_LIMITED
    elif status == 404:
        reason = FailureReason.NO_SUCH_MODEL
    elif status in (408, 504):
        reason = FailureReason.TIMEOUT
    elif status >= 500:
        reason = FailureReason.SERVER_ERROR
    elif _is_about(body, "context_length", "context size", "context window", "too long"):
        reason = FailureReason.CONTEXT_LENGTH
    elif _is_about(body, "content_filter", "content management policy"):
        reason = FailureReason.CONTENT_FILTER
    elif 300 <= status < 400:
        reason, message = (
            FailureReason.UNREACHABLE,
            f"HTTP {status}: redirects are not followed; mend base_url",
        )
    else:
        reason = FailureReason.REJECTED
    return Failure(reason, message, latency_s, status)


def _is_about(body: bytes, *words: str) -> bool:
    text = body[:10_000].decode("utf-8", "replace").lower()
    return any(word in text for word in words)
