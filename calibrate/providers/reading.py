"""What every answer holds, read from JSON that nobody vouches for."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from calibrate.completion import (
    Failure,
    FailureReason,
    Reply,
    Usage,
    as_float16,
    estimated_tokens,
)
from calibrate.providers.base import Malformed, bounded, json_object
from calibrate.providers.failures import failure_for_status, failure_in_answer

__all__ = [
    "UNREADABLE",
    "calls_text",
    "count",
    "label",
    "logprob",
    "parsed_or_raw",
    "read_reply",
    "token",
    "usage_of",
    "usd",
    "vector",
]

MOST_TOKENS = 20_000_000  # twice the largest context window there is
MOST_USD = 10_000
_LOGPROB_DIGITS = 5
# What reading a field may raise where it is not of the documented shape.
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, OverflowError)


def read_reply(
    status: int, body: bytes, latency_s: float, read: Callable[[dict[str, Any]], Reply]
) -> Reply:
    """Return what `read` makes of an answer's JSON object, or the failure that it is instead."""
    if status != 200:
        return failure_for_status(status, body, latency_s)
    try:
        value = json_object(body)
        if value.get("error"):
            return failure_in_answer(value, latency_s)
        return read(value)
    except Malformed as error:
        return Failure(FailureReason.BAD_RESPONSE, str(error), latency_s, status)
    except RecursionError:
        return Failure(FailureReason.BAD_RESPONSE, "nested too deeply", latency_s, status)


def label(value: Any, otherwise: str) -> str:
    """Return a name that a server gives, as one short printable line."""
    return (_name(value) if isinstance(value, str) else "") or otherwise


_name = lru_cache(maxsize=64)(bounded)  # the same few names come with every answer


def count(value: Any) -> int | None:
    """Return a number of tokens, or None where it cannot be one."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def usage_of(
    asked: Sequence[str],
    answered: str,
    input_tokens: int | None,
    output_tokens: int | None,
    *,
    cached: int | None = None,
    written: int | None = None,
    reasoning: int | None = None,
) -> Usage:
    """Return a usage; a count that is missing, or 0 for a text that is there, is estimated.

    The parts are kept within the whole: what cannot have been cached is billed as fresh.
    """
    is_estimated = False
    if input_tokens is None or (input_tokens == 0 and any(asked)):
        input_tokens, cached, is_estimated = estimated_tokens(list(asked)), None, True
    if output_tokens is None or (output_tokens == 0 and answered):
        output_tokens, reasoning, is_estimated = estimated_tokens([answered]), None, True
    cached = cached if cached is not None and cached <= input_tokens else 0
    written = written if written is not None and written <= input_tokens - cached else 0
    reasoning = reasoning if reasoning is not None and reasoning <= output_tokens else 0
    return _usage(input_tokens, output_tokens, cached, is_estimated, written, reasoning)


_usage = lru_cache(maxsize=4096)(Usage)  # the same few come with short answers


def usd(value: Any) -> Decimal | None:
    """Return an amount that a provider says it charged, or None where it cannot be one."""
    is_amount = type(value) in (int, float) and 0 <= value <= MOST_USD
    return Decimal(str(value)) if is_amount else None


def token(value: Any) -> str:
    """Return the text of a token; raises one of `UNREADABLE`."""
    if not isinstance(value, str):
        raise TypeError(f"a token that is no text: {type(value).__name__}")
    return value


def logprob(value: Any) -> float:
    """Return a log-probability; raises one of `UNREADABLE`."""
    number = round(float(value), _LOGPROB_DIGITS)
    if not -math.inf < number <= 0.001:  # a hair above zero is a server's rounding
        raise ValueError(f"{number} is not the logarithm of a probability")
    return number


def vector(value: Any) -> tuple[float, ...]:
    """Return an embedding, given as numbers or as base64 of little-endian float32.

    Rounded as a recording would. Raises `Malformed`.
    """
    if not isinstance(value, list | str) or not value:
        raise Malformed("no embedding in the answer")
    try:
        numbers = as_float16(_float32(value) if isinstance(value, str) else list(map(float, value)))
    except UNREADABLE as error:
        raise Malformed("the embedding is not a list of numbers") from error
    if not all(map(math.isfinite, numbers)):
        raise Malformed("the embedding is not a list of numbers")
    return numbers


def _float32(text: str) -> list[float]:
    raw = base64.b64decode(text, validate=True)
    if len(raw) % 4:
        raise ValueError("an embedding with part of a number")
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


def calls_text(calls: Sequence[tuple[str, Any]]) -> str:
    """Return tool calls as the JSON that is graded, the same for every provider.

    One call is `{"name": …, "arguments": …}`; several are a list of these.
    """
    rows = [{"name": name, "arguments": arguments} for name, arguments in calls]
    text = json.dumps(rows[0] if len(rows) == 1 else rows, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()  # arguments may hide half a surrogate pair


def parsed_or_raw(arguments: Any) -> Any:
    """Return a call's arguments as the JSON object that they should be, else as they are."""
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else None
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, dict) else arguments
