"""How fast one endpoint may be asked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

__all__ = ["Limiter"]


class Limiter:
    """At most `concurrency` requests at a time and `requests_per_minute` in any 60 seconds."""

    def __init__(
        self,
        concurrency: int,
        requests_per_minute: int | None,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._per_minute = requests_per_minute
        self._clock = clock
        self._sleep = sleep
        self._sent: deque[float] = deque()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn and hold a slot while the body runs."""
        async with self._slots:
            if self._per_minute is not None:
                await self._wait_for_the_minute(self._per_minute)
            yield

    async def _wait_for_the_minute(self, per_minute: int) -> None:
        async with self._turn:
            now = self._clock()
            while self._sent and self._sent[0] <= now - 60:
                self._sent.popleft()
            if len(self._sent) >= per_minute:
                await self._sleep(self._sent[-per_minute] + 60 - now)
            self._sent.append(self._clock())
