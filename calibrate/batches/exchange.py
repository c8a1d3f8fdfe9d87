"""Calls to one endpoint's batch API, sent again where a failure may pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from calibrate.batches.api import Server
from calibrate.client.keys import api_key, without_key
from calibrate.client.retries import wait_s
from calibrate.completion import Failure
from calibrate.config import Endpoint
from calibrate.limits import MAX_PAUSE_S, notice_in
from calibrate.providers import provider
from calibrate.providers.base import Call
from calibrate.providers.failures import failure_for_status
from calibrate.transports import Transport

__all__ = ["RESULTS_BYTES", "Exchange", "base_url_of", "transfer_s", "wait_before_again"]

TIMEOUT_S = 60.0
SLOWEST_BYTES_PER_S = 300_000
RESULTS_BYTES = 512 * 1024 * 1024


def base_url_of(settings: Endpoint) -> str:
    """Return the address of an endpoint that has a batch API: those that do all have one."""
    return settings.base_url or provider(settings.kind).DEFAULT_BASE_URL or ""


class Exchange:
    """Sends calls to one endpoint. The key reaches nothing that it returns."""

    def __init__(
        self,
        name: str,
        settings: Endpoint,
        transport: Callable[[], Transport],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.server = Server(base_url_of(settings), api_key(name, settings.api_key_env))
        self._transport = transport
        self._sleep = sleep

    async def ask(self, call: Call) -> bytes | Failure:
        """Return the answer to a small call that changes nothing, or its last failure."""
        return await self._send(call, TIMEOUT_S)

    async def transfer(self, call: Call) -> bytes | Failure:
        """Return the answer to a call with much to bring or to fetch that pays for nothing."""
        return await self._send(replace(call, most_bytes=RESULTS_BYTES), transfer_s(RESULTS_BYTES))

    async def once(self, call: Call, timeout_s: float) -> tuple[bytes | Failure, float]:
        """Return what came of sending a call once, and how long the server wants to be left."""
        sent = await self._transport().send(call, timeout_s)
        key = self.server.api_key
        if isinstance(sent, Failure):
            message = without_key(sent.message.encode(), key).decode()
            return replace(sent, message=message), 0.0
        body = without_key(sent.body, key)
        if 200 <= sent.status < 300:
            return body, 0.0
        return failure_for_status(sent.status, body, 0.0), notice_in(
            sent.headers
        ).retry_after_s or 0

    async def _send(self, call: Call, timeout_s: float) -> bytes | Failure:
        failures: list[Failure] = []
        while True:
            answer, pause_s = await self.once(call, timeout_s)
            if isinstance(answer, bytes):
                return answer
            failures.append(answer)
            wait = wait_before_again(failures, pause_s)
            if wait is None:
                return answer
            await self._sleep(wait)


def wait_before_again(failures: Sequence[Failure], pause_s: float) -> float | None:
    """Return how long to wait after the last of these failures; None where it was for good."""
    wait = wait_s(failures)
    return None if wait is None or pause_s > MAX_PAUSE_S else max(wait, pause_s)


def transfer_s(size: int) -> float:
    """Return the time-out, in seconds, of a call with so many bytes."""
    return TIMEOUT_S + size / SLOWEST_BYTES_PER_S
