"""What we ask a model and what it answers, whoever serves it."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cached_property
from json.encoder import encode_basestring as _quoted
from types import NoneType
from typing import Any

from calibrate.fingerprint import canonical_bytes
from calibrate.policy.inputs import CHARACTERS_PER_TOKEN, estimated_tokens

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "MALFORMED_REPLY",
    "TOP_LOGPROBS",
    "ChatMessage",
    "Completion",
    "Failure",
    "FailureReason",
    "Parameters",
    "Reply",
    "Request",
    "TokenLogprob",
    "Usage",
    "as_float16",
    "estimated_tokens",
    "reply_from_json",
    "reply_to_json",
]

TOP_LOGPROBS = 5  # alternatives asked for at each answer token, where the endpoint has them


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: str
    content: str


class Parameters(dict[str, Any]):
    """Parameters that many requests share, and that nobody changes any more."""

    @cached_property
    def canonical(self) -> str:
        """The canonical text, made once for all of the requests."""
        return canonical_bytes(self).decode()


@dataclass(frozen=True)
class Request:
    """One question to one model: exactly what can change the answer, and nothing else.

    It holds no alias, address, time-out or price, so that moving a server or renaming a model in
    `tiers.yaml` finds the same answers again. `parameters` are in our own words
    (`max_output_tokens`, `stop`, `output_schema`); whatever else stands there goes to the server
    as it is, but for what the provider's module names.
    """

    kind: str
    name: str
    messages: tuple[ChatMessage, ...] = ()  # a chat, or
    input: str | None = None  # a text to embed
    parameters: Mapping[str, Any] = field(default_factory=Parameters)
    logprobs: bool = False
    repeat: int = 0

    @cached_property
    def key(self) -> str:
        """The digest that names this request in the cache and the recordings."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @cached_property
    def canonical(self) -> str:
        """The canonical text of `to_json`; put together, for every request needs it."""
        shared = self.parameters
        parameters = (shared if isinstance(shared, Parameters) else Parameters(shared)).canonical
        logprobs = "true" if self.logprobs else "false"
        if self.input is not None:
            before, after = f'"input":{_quoted(self.input)},', ""
        else:
            each = (
                f'{{"content":{_quoted(m.content)},"role":{_quoted(m.role)}}}'
                for m in self.messages
            )
            before, after = "", f'"messages":[{",".join(each)}],'
        return (
            f'{{{before}"kind":{_quoted(self.kind)},"logprobs":{logprobs},{after}'
            f'"name":{_quoted(self.name)},"parameters":{parameters},"repeat":{self.repeat}}}'
        )

    @property
    def texts(self) -> list[str]:
        """What is billed as input: each message's text, or the text to embed."""
        return [m.content for m in self.messages] if self.input is None else [self.input]

    def to_json(self) -> dict[str, Any]:
        asked: dict[str, Any] = (
            {"input": self.input}
            if self.input is not None
            else {"messages": [{"role": m.role, "content": m.content} for m in self.messages]}
        )
        return {
            "kind": self.kind,
            "name": self.name,
            **asked,
            "parameters": dict(self.parameters),
            "logprobs": self.logprobs,
            "repeat": self.repeat,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Request:
        return Request(
            kind=value["kind"],
            name=value["name"],
            messages=tuple(ChatMessage(m["role"], m["content"]) for m in value.get("messages", ())),
            input=value.get("input"),
            parameters=value["parameters"],
            logprobs=value["logprobs"],
            repeat=value["repeat"],
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were billed, in one convention for every provider.

    `input_tokens` includes those read from the provider's cache and those written to it;
    `output_tokens` includes those spent on reasoning that is not shown.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    is_estimated: bool = False  # the server did not say; counted from the text
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One answer token, its log-probability, and the likeliest alternatives in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered. Refused and truncated answers are answers: they are evidence."""

    usage: Usage
    served_model: str
    latency_s: float | None  # None where it was not measured: the answer came in a batch
    finish: str = "stop"  # stop | length | content_filter | refusal | tool_calls | embedding
    text: str | None = None
    embedding: tuple[float, ...] | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    status: int = 200
    billed_usd: Decimal | None = None  # what the provider says it charged, where it does


class FailureReason(StrEnum):
    """Why a call gave no answer. What is retried is decided by this name alone."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BAD_RESPONSE = "bad_response"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    REJECTED = "rejected"
    UNAUTHORISED = "unauthorised"
    NO_SUCH_MODEL = "no_such_model"


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave no answer, for good. It counts as not passed."""

    reason: FailureReason
    message: str
    latency_s: float | None = 0.0
    status: int = 0


Reply = Completion | Failure

# What reading a reply back may raise where it was not written by `reply_to_json`.
MALFORMED_REPLY = (ValueError, KeyError, TypeError, AttributeError)


def reply_to_json(reply: Reply) -> dict[str, Any]:
    """Return the `response` of a recording line."""
    if isinstance(reply, Failure):
        return {
            "error": {"reason": reply.reason.value, "message": reply.message},
            "latency_s": reply.latency_s,
            "status": reply.status,
        }
    answered: dict[str, Any] = (
        {"text": reply.text} if reply.embedding is None else {"embedding": _packed(reply.embedding)}
    )
    return {
        **answered,
        "finish": reply.finish,
        "logprobs": [[t.token, t.logprob, [list(pair) for pair in t.top]] for t in reply.logprobs],
        "usage": _usage_to_json(reply.usage),
        "served_model": reply.served_model,
        "latency_s": reply.latency_s,
        "status": reply.status,
        **({} if reply.billed_usd is None else {"billed_usd": str(reply.billed_usd)}),
    }


def _usage_to_json(usage: Usage) -> dict[str, int | bool]:
    """Return a usage, what is seldom there left out: a recording has thousands of them."""
    seldom = {
        "is_estimated": usage.is_estimated,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        **{name: value for name, value in seldom.items() if value},
    }


def reply_from_json(value: Mapping[str, Any]) -> Reply:
    """Return the reply that a recording line holds; `MALFORMED_REPLY` where it can't."""
    latency_s = _checked(value["latency_s"], int, float, NoneType)
    status = _checked(value["status"], int)
    if "error" in value:
        return Failure(
            reason=FailureReason(value["error"]["reason"]),
            message=_checked(value["error"]["message"], str),
            latency_s=latency_s,
            status=status,
        )
    embedding = value.get("embedding")
    counts = {name: _checked(count, int, bool) for name, count in value["usage"].items()}
    return Completion(
        text=_checked(value["text"], str) if embedding is None else None,
        embedding=None if embedding is None else _unpacked(embedding),
        finish=_checked(value["finish"], str),
        logprobs=tuple(
            TokenLogprob(token, logprob, tuple((t, lp) for t, lp in top))
            for token, logprob, top in value["logprobs"]
        ),
        usage=Usage(**counts),
        served_model=_checked(value["served_model"], str),
        latency_s=latency_s,
        status=status,
        billed_usd=_usd(value["billed_usd"]) if "billed_usd" in value else None,
    )


def _usd(text: Any) -> Decimal:
    try:
        amount = Decimal(_checked(text, str))
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not an amount") from error
    if not amount.is_finite():
        raise ValueError(f"{text!r} is not an amount")
    return amount


def _checked(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise ValueError(f"expected {kinds[0].__name__}, got {type(value).__name__}")
    return value


def _packed(vector: tuple[float, ...]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}e", *vector)).decode("ascii")


def _unpacked(text: str) -> tuple[float, ...]:
    raw = base64.b64decode(text, validate=True)
    if len(raw) % 2:
        raise ValueError("an embedding with half a number")
    return struct.unpack(f"<{len(raw) // 2}e", raw)


def as_float16(vector: list[float]) -> tuple[float, ...]:
    """Round an embedding as a recording would, so that live and replayed runs see the same."""
    return _unpacked(_packed(tuple(vector)))
