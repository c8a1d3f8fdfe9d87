"""One HTTP connection: a call is written to it, and its answer read."""

from __future__ import annotations

import asyncio
from typing import cast

from calibrate.completion import Failure
from calibrate.providers.base import Call
from calibrate.transports.base import Sent, broken, timed_out, unreachable
from calibrate.transports.reading import Reading

__all__ = ["Connection"]

IDLE_S = 15.0  # a server closes what is idle for longer, maybe just as it is used again


class Connection(asyncio.Protocol):
    """A connection on which one call at a time is exchanged; `is_usable` says for a further one."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._answer: asyncio.Future[Sent | Failure] | None = None
        self._reading = Reading()
        self._alarm: asyncio.TimerHandle | None = None
        self._timeout_s = self._ends = 0.0
        self._kept_s = IDLE_S
        self.idle_since = 0.0
        self.is_usable = False

    def is_usable_at(self, now: float) -> bool:
        """Whether it still serves a call, at a time of the event loop's clock."""
        return self.is_usable and now - self.idle_since < self._kept_s

    async def exchange(
        self, call: Call, written: bytes, timeout_s: float, ends: float
    ) -> Sent | Failure:
        """Return the answer to what is written, or the failure that stands for none.

        The whole time-out ends at that time of the event loop's clock.
        """
        if not self.is_usable:
            return unreachable("the server closed the connection, or spoke, before it was asked")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sent | Failure] = loop.create_future()
        self._answer = answer
        self._reading.expect(call.most_bytes)
        self._timeout_s, self._ends = timeout_s, ends
        if self._alarm is None or self._alarm.when() > ends:
            self._set_alarm(loop)
        self._transport.write(written)
        try:
            return await answer
        finally:
            self._answer = None
            if answer.cancelled():
                self.close()
            self.idle_since = loop.time()
            if (said_s := self._reading.kept_s) is not None:
                self._kept_s = min(IDLE_S, said_s / 2)  # the server began to count before us
            self._reading.begin()  # lets go of what was read

    def close(self) -> None:
        """Close it at once; a call that is still being exchanged fails."""
        self.is_usable = False
        self._end(broken(ConnectionAbortedError("closed before the whole answer")))
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_usable = True

    def data_received(self, data: bytes) -> None:
        if not self._is_asked:
            self.close()
            return
        self._reading.feed(data)
        if self._reading.outcome is not None:
            self._end(self._reading.outcome)

    def eof_received(self) -> None:
        """The server closes its half; without this, what is still to be written would go first."""
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_usable = False
        if self._alarm is not None:
            self._alarm.cancel()
        if self._is_asked:
            self._end(self._reading.end(error))

    @property
    def _is_asked(self) -> bool:
        return self._answer is not None and not self._answer.done()

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = loop.call_at(self._ends, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """End a call whose time is over; one alarm serves many calls, for few take so long."""
        self._alarm = None
        if self._is_asked and loop.time() < self._ends:
            self._set_alarm(loop)
        else:
            self._end(timed_out(self._timeout_s))

    def _end(self, outcome: Sent | Failure) -> None:
        """Hand over the outcome, and close the connection unless all of it was exchanged."""
        if self._answer is None or self._answer.done():
            return
        self._answer.set_result(outcome)
        if not self._reading.is_reusable or self._transport.get_write_buffer_size():
            self.close()
