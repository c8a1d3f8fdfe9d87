"""What a server says of its own limits, in the headers of an answer.

- `Retry-After`: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after; `retry-after-ms` is the
  finer form that Azure and OpenAI have of it.
- `x-ratelimit-…`: https://platform.openai.com/docs/guides/rate-limits, as many servers speak it
- `anthropic-ratelimit-…`: https://docs.anthropic.com/en/api/rate-limits
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["Left", "Notice", "notice_in"]

_DAY_S = 86_400.0
# Of what is left, and when all of it is back.
_REQUESTS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
)
_TOKENS = (
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
)
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S}
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_PART = re.compile(rf"({_NUMBER.pattern})(ms|[smhd])", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Left:
    """How much may still be asked, and in how many seconds the limit is whole again."""

    amount: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Notice:
    """Everything that one answer says of limits."""

    retry_after_s: float | None = None
    requests: Left | None = None
    tokens: Left | None = None


def notice_in(headers: Mapping[str, str]) -> Notice:
    """Return what is said; what cannot be read, or reaches beyond a day, counts as not said.

    A moment is understood by the answer's own `Date`, so that a clock that is wrong here or there
    changes nothing; only without one by the clock of this machine.
    """
    milliseconds = headers.get("retry-after-ms", "")
    if _NUMBER.fullmatch(milliseconds):
        retry_after_s = _up_to_a_day(float(milliseconds) / 1000)
    else:
        retry_after_s = _seconds(headers, headers.get("retry-after"))
    return Notice(retry_after_s, _left(headers, _REQUESTS), _left(headers, _TOKENS))


def _left(headers: Mapping[str, str], names: tuple[tuple[str, str], ...]) -> Left | None:
    for remaining, reset in names:
        amount = headers.get(remaining)
        if amount is not None and _NUMBER.fullmatch(amount):
            reset_s = _seconds(headers, headers.get(reset))
            return None if reset_s is None else Left(int(float(amount)), reset_s)
    return None


def _seconds(headers: Mapping[str, str], said: str | None) -> float | None:
    """Return how far off a time is, said as seconds, as a duration such as `6m0s` or as a date."""
    if said is None:
        return None
    if _NUMBER.fullmatch(said):
        return _up_to_a_day(float(said))
    if _DURATION.fullmatch(said):
        parts = _PART.findall(said)
        return _up_to_a_day(sum(float(number) * _UNITS_S[unit] for number, unit in parts))
    moment = _moment(said)
    if moment is None:
        return None
    now = _moment(headers.get("date", ""))
    return _up_to_a_day(max(0.0, moment - (time.time() if now is None else now)))


def _moment(said: str) -> float | None:
    """Return an HTTP or RFC 3339 date as seconds since 1970; both are in UTC unless they say."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(said)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None


def _up_to_a_day(seconds: float) -> float | None:
    return seconds if seconds <= _DAY_S else None
