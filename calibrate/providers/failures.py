"""Which failure an error body stands for, in the words of every API that is spoken here.

Codes are believed before status, status before words: an error may quote the prompt, and nobody's
data may make a model look unusable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from calibrate.completion import Failure, FailureReason
from calibrate.providers.base import bounded

__all__ = ["failure_for_status", "failure_in_answer"]

_BY_CODE = {
    "insufficient_quota": FailureReason.UNAUTHORISED,  # an empty account is not mended by waiting
    "billing_error": FailureReason.UNAUTHORISED,
    "billing_not_active": FailureReason.UNAUTHORISED,
    "billing_hard_limit_reached": FailureReason.UNAUTHORISED,
    "api_key_invalid": FailureReason.UNAUTHORISED,  # Google, with status 400
    "authentication_error": FailureReason.UNAUTHORISED,
    "context_length_exceeded": FailureReason.CONTEXT_LENGTH,
    "exceed_context_size_error": FailureReason.CONTEXT_LENGTH,  # llama.cpp
    "content_filter": FailureReason.CONTENT_FILTER,
    "content_policy_violation": FailureReason.CONTENT_FILTER,
    "responsibleaipolicyviolation": FailureReason.CONTENT_FILTER,  # Azure, in `innererror`
    "flagged": FailureReason.CONTENT_FILTER,  # OpenRouter, with status 403
}
_BY_STATUS = {
    401: FailureReason.UNAUTHORISED,
    402: FailureReason.UNAUTHORISED,
    403: FailureReason.UNAUTHORISED,
    404: FailureReason.NO_SUCH_MODEL,
    408: FailureReason.TIMEOUT,
    429: FailureReason.RATE_LIMITED,
    501: FailureReason.REJECTED,  # what a server does not do it will not do later either
    504: FailureReason.TIMEOUT,
}
_BY_WORDS = (
    (re.compile(r"^your credit balance is too low"), FailureReason.UNAUTHORISED),  # Anthropic
    (
        re.compile(
            r"context[ _-]?(length|size|window|limit)|(prompt|input) is too long"
            r"|(input|prompt) token count .* exceeds"
        ),
        FailureReason.CONTEXT_LENGTH,
    ),
    (
        re.compile(
            r"content_filter|content management policy|content ?policy ?violation"
            r"|flagged as potentially violating"
        ),
        FailureReason.CONTENT_FILTER,
    ),
)
# What to write into `tiers.yaml` where a server does not take what is sent by default.
_ADVICE = (
    (
        re.compile(r"\bmax_tokens\b.*\bmax_completion_tokens\b"),
        "give the model `parameters: {output_limit: max_completion_tokens}`",
    ),
    (
        re.compile(
            r"(unrecogni[sz]ed|unsupported|unknown|extra|unexpected).*max_completion_tokens"
        ),
        "give the model `parameters: {output_limit: max_tokens}`",
    ),
    (re.compile(r"log_?prob"), "give the model `parameters: {logprobs: false}`"),
)


@dataclass(frozen=True, slots=True)
class _Said:
    """What an error says: its words, its codes in lower case, and a status of its own."""

    words: str
    codes: frozenset[str] = frozenset()
    status: int | None = None


def failure_for_status(status: int, body: bytes, latency_s: float) -> Failure:
    """Return the failure that an HTTP status and its body stand for."""
    if 300 <= status < 400:
        message = f"HTTP {status}: redirects are not followed; mend base_url"
        return Failure(FailureReason.UNREACHABLE, message, latency_s, status)
    said = _said_in(body)
    reason = _reason(status, said)
    return Failure(reason, f"HTTP {status}: {_with_advice(reason, said.words)}", latency_s, status)


def failure_in_answer(value: dict[str, Any], latency_s: float) -> Failure:
    """Return the failure that an answer of status 200 with an `error` in it stands for.

    Where the error has no status of its own, the server failed while it was answering.
    """
    said = _said_by(value)
    reason = _reason(said.status or 500, said)
    named = "an error" if said.status is None else f"error {said.status}"
    words = said.words or bounded(json.dumps(value["error"]))
    message = f"HTTP 200 with {named}: {_with_advice(reason, words)}"
    return Failure(reason, message, latency_s, 200)


def _reason(status: int, said: _Said) -> FailureReason:
    for code, reason in _BY_CODE.items():
        if code in said.codes:
            return reason
    if status == 429 and "insufficient_quota" in said.words:  # as a gateway passes it on
        return FailureReason.UNAUTHORISED
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return FailureReason.SERVER_ERROR
    words = said.words.lower()
    return next(
        (reason for pattern, reason in _BY_WORDS if pattern.search(words)), FailureReason.REJECTED
    )


def _with_advice(reason: FailureReason, words: str) -> str:
    if reason not in (FailureReason.REJECTED, FailureReason.UNAUTHORISED):
        return words
    lower = words.lower()
    advice = next((advice for pattern, advice in _ADVICE if pattern.search(lower)), None)
    return words if advice is None else f"{words}; {advice}"


def _said_in(body: bytes) -> _Said:
    try:
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list) and len(value) == 1:  # Google's OpenAI-compatible endpoint
        value = value[0]
    said = _said_by(value) if isinstance(value, dict) else _Said("")
    if said.words:
        return said
    return replace(said, words=bounded(body[:10_000].decode("utf-8", "replace")))


def _said_by(value: dict[str, Any]) -> _Said:
    error = value.get("error")
    if not isinstance(error, dict):
        error = {**value, "error": None, "title": error}  # the error is the object itself
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    words = [error.get("title"), error.get("message"), error.get("detail"), metadata.get("raw")]
    codes = {code.lower() for code in _codes(error)}
    if metadata.get("reasons"):
        codes.add("flagged")
    return _Said(
        bounded(": ".join(word for word in words if isinstance(word, str) and word)),
        frozenset(codes),
        _own_status(error),
    )


def _codes(error: dict[str, Any]) -> Iterator[str]:
    """Yield every code of an error: its own, Azure's inner one, and Google's in `details`."""
    details = error.get("details")
    inner = [error.get("innererror"), *(details if isinstance(details, list) else [])]
    for place in (error, *inner):
        if isinstance(place, dict):
            for name in ("code", "type", "status", "reason"):
                if isinstance(place.get(name), str):
                    yield place[name]


def _own_status(error: dict[str, Any]) -> int | None:
    """Return the HTTP status that an error names as its `code`; LiteLLM writes it as a text."""
    code = error.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    return code if type(code) is int and 400 <= code < 600 else None
