"""Ctrl-C: once ends a run in order, with what is in flight kept; twice ends it now."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import FrameType
from typing import Any, TypeVar

from calibrate.errors import CalibrateError
from calibrate.pricing import Budget

__all__ = ["Attempts", "until_interrupted"]

T = TypeVar("T")

# What has arrived is graded within that; only what waits for its turn or its next attempt is left.
GRACE_S = 0.5


class Attempts(Budget):
    """A budget that counts the attempts it lets begin, and lets none begin once it is shut."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget.limit_usd)
        self._budget = budget
        self._nothing_in_flight = asyncio.Event()
        self.begun = 0
        self.in_flight = 0
        self.is_shut = False

    def reserve(self, worst_usd: Decimal) -> None:
        if self.is_shut:
            raise CalibrateError("interrupted")
        self._budget.reserve(worst_usd)
        self.begun += 1
        self.in_flight += 1
        self._nothing_in_flight.clear()

    def settle(self, worst_usd: Decimal, actual_usd: Decimal) -> None:
        self._budget.settle(worst_usd, actual_usd)
        self.spent_usd = self._budget.spent_usd
        self.in_flight -= 1
        if not self.in_flight:
            self._nothing_in_flight.set()

    def refund(self, usd: Decimal) -> None:
        self._budget.refund(usd)
        self.spent_usd = self._budget.spent_usd

    async def all_settled(self) -> None:
        """Wait until nothing is in flight."""
        await self._nothing_in_flight.wait()


async def until_interrupted(
    work: Coroutine[Any, Any, T], attempts: Attempts, say: Callable[[str], None]
) -> T:
    """Return what the work returns, unless Ctrl-C or SIGTERM comes first.

    Then no attempt begins any more, those in flight are waited for while the work goes on with
    their answers, and `KeyboardInterrupt` is raised; at a second one it is raised at once.
    """
    once, twice = asyncio.Event(), asyncio.Event()
    working = asyncio.ensure_future(work)
    first, second, settled = map(
        asyncio.ensure_future, (once.wait(), twice.wait(), attempts.all_settled())
    )
    try:
        with _heard(_presses(attempts, once, twice)):
            await _first_of(working, first)
            if not attempts.is_shut:
                return await working
            if attempts.in_flight:
                say(_in_order(attempts.in_flight))
                await _first_of(settled, second)
            await _first_of(working, second, timeout_s=GRACE_S)
            raise KeyboardInterrupt
    finally:
        for task in (working, first, second, settled):
            task.cancel()
        await asyncio.gather(working, first, second, settled, return_exceptions=True)


async def _first_of(*tasks: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


def _in_order(in_flight: int) -> str:
    which = "1 request is" if in_flight == 1 else f"{in_flight:,} requests are"
    return (
        f"interrupted: {which} still in flight, and the answers will be kept; "
        "Ctrl-C again ends the run without them"
    )


def _presses(
    attempts: Attempts, once: asyncio.Event, twice: asyncio.Event
) -> Callable[[int, FrameType | None], None]:
    """Return the handler of the signals."""
    loop = asyncio.get_running_loop()
    is_urgent = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal is_urgent
        if not attempts.is_shut:
            attempts.is_shut = True  # at once, whatever is being computed just now
            loop.call_soon_threadsafe(once.set)
        elif not is_urgent:
            loop.call_soon_threadsafe(twice.set)
            is_urgent = True
        else:  # the loop does not come to hear of it: leave whatever is being computed
            raise KeyboardInterrupt

    return press


@contextmanager
def _heard(press: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Send the signals to `press` for a while.

    Not by the event loop's own handlers: those wait for their turn behind a long computation, and
    Windows has none.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as in `nohup … &`
                before[number] = signal.signal(number, press)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
