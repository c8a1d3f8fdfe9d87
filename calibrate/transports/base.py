"""What a transport is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from calibrate.completion import Failure
from calibrate.providers.base import Call

__all__ = ["MAX_BODY_BYTES", "Sent", "Transport"]

MAX_BODY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """An HTTP answer, whatever its status."""

    status: int
    body: bytes
    retry_after_s: float | None = None


class Transport(Protocol):
    """Something that can send a call; it is opened once for a run."""

    async def send(self, call: Call, timeout_s: float) -> Sent | Failure:
        """Return the answer, or `TIMEOUT`, `UNREACHABLE` or `BAD_RESPONSE` where there is none."""

    async def close(self) -> None:
        """Close every connection."""
