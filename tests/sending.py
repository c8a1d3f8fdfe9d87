"""Send calls over the chosen transport, and look at what came of it."""

from __future__ import annotations

import asyncio

from calibrate.completion import Failure, FailureReason
from calibrate.providers.base import Call
from calibrate.transports import Sent, open_transport

__all__ = ["failure", "send", "send_all"]


def send_all(*calls: Call, timeout_s: float = 20.0) -> list[Sent | Failure]:
    """Send calls one after another over one transport."""

    async def in_turn() -> list[Sent | Failure]:
        transport = open_transport(4)
        try:
            return [await transport.send(call, timeout_s) for call in calls]
        finally:
            await transport.close()

    return asyncio.run(in_turn())


def send(url: str, timeout_s: float = 20.0) -> Sent | Failure:
    return send_all(Call(url, {"x-api-key": "sk-canary"}, b"{}"), timeout_s=timeout_s)[0]


def failure(reply: Sent | Failure, reason: FailureReason) -> str:
    """Return the message of a failure, which is what it should be and fit for a terminal."""
    assert isinstance(reply, Failure)
    assert reply.reason is reason
    assert len(reply.message) <= 300
    assert reply.message.isprintable()
    return reply.message
