"""What a transport is, and how it words what went wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from calibrate.completion import Failure, FailureReason
from calibrate.providers.base import MAX_BODY_BYTES, Call, bounded

__all__ = [
    "ACCEPTED_HEADERS",
    "CONNECT_TIMEOUT_S",
    "MAX_BODY_BYTES",
    "Sent",
    "Transport",
    "broken",
    "no_address",
    "timed_out",
    "too_large",
    "unreachable",
    "unsendable",
]

# Nothing was asked before there is a connection, so this wait is short and costs nothing.
CONNECT_TIMEOUT_S = 15.0
_CREDENTIALS = re.compile(r"(?<=//)[^/]*@")
ACCEPTED_HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "calibrate"}


@dataclass(frozen=True, slots=True)
class Sent:
    """An HTTP answer, whatever its status; header names are found in any case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


class Transport(Protocol):
    """Something that can send a call; it is opened once for a run."""

    async def send(self, call: Call, timeout_s: float) -> Sent | Failure:
        """Return the answer, or the failure that stands for none.

        `TIMEOUT` after `timeout_s` seconds for the whole of it, `UNREACHABLE` where nothing can
        have been asked, `BAD_RESPONSE` where something may have been, and `REJECTED` for a call
        that is not sent. Redirects are answers: they are not followed, and no key travels.
        """

    async def close(self) -> None:
        """Close every connection."""


def timed_out(timeout_s: float) -> Failure:
    return Failure(FailureReason.TIMEOUT, f"no answer within {timeout_s:g} s")


def no_address(call: Call) -> Failure:
    shown = _CREDENTIALS.sub("", call.url)
    return Failure(FailureReason.UNREACHABLE, bounded(f"{shown} is no address"))


def unreachable(why: object) -> Failure:
    return Failure(FailureReason.UNREACHABLE, bounded(f"cannot be reached: {why}"))


def broken(error: Exception) -> Failure:
    why = f"the connection broke: {type(error).__name__}: {error}"
    return Failure(FailureReason.BAD_RESPONSE, bounded(why))


def too_large(most_bytes: int) -> Failure:
    return Failure(FailureReason.BAD_RESPONSE, f"over {most_bytes:,} bytes")


def unsendable() -> Failure:
    """The library's own words are not given: they may quote the header, and so the key."""
    return Failure(FailureReason.REJECTED, "not sent: a header holds what HTTP does not allow")
