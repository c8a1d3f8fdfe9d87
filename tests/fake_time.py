"""A clock that stands still until somebody sleeps."""

from __future__ import annotations

import asyncio

__all__ = ["FakeTime"]


class FakeTime:
    """A clock and a sleep that belong together; `waits` holds every sleep that was asked for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
