"""What a provider is: a request to bytes, and bytes to a reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson

from calibrate.completion import Reply, Request

__all__ = [
    "MAX_BODY_BYTES",
    "Call",
    "Malformed",
    "Provider",
    "bounded",
    "json_bytes",
    "json_object",
]

MESSAGE_LENGTH = 300
MAX_BODY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. The headers hold the key, so they are never shown."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    method: Literal["POST", "GET"] = "POST"
    most_bytes: int = MAX_BODY_BYTES  # that its answer may have


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


def json_bytes(value: Any) -> bytes:
    """Return a value as compact JSON, its keys in their own order."""
    try:
        return orjson.dumps(value)
    except TypeError:  # a whole number beyond 64 bits, or half of a surrogate pair
        return json.dumps(value, separators=(",", ":")).encode()


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, all of its texts valid Unicode; raises `Malformed`."""
    try:
        value = orjson.loads(body)
    except ValueError:
        value = _lenient(body)
    if not isinstance(value, dict):
        raise Malformed(f"expected a JSON object, got {type(value).__name__}")
    return value


def _lenient(body: bytes) -> Any:
    """Read what is not strictly JSON as well as can be: a mark of its encoding, NaN, half pairs."""
    try:
        value = json.loads(body.decode("utf-8-sig"))
        if b"\\ud" in body.lower():  # half of a surrogate pair could be neither kept nor shown
            whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
            value = json.loads(whole)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {body[:80]!r}") from error
    return value


def bounded(text: str) -> str:
    """Return foreign words as one short printable line: they end up in a terminal."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:10_000]).split())
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"
