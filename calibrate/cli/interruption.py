"""Ctrl-C: once ends a run in order, with what is in flight kept; twice ends it now."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from calibrate.pricing import Budget

__all__ = ["until_interrupted"]

T = TypeVar("T")

# What has arrived is graded within that; only what waits for its turn or its next attempt is left.
GRACE_S = 0.5


async def until_interrupted(
    work: Coroutine[Any, Any, T], budget: Budget, say: Callable[[str], None]
) -> T:
    """Return what the work returns, unless Ctrl-C or SIGTERM comes first.

    Then no attempt begins any more, those in flight are waited for while the work goes on with
    their answers, and `KeyboardInterrupt` is raised; at a second one it is raised at once.
    """
    once, twice = asyncio.Event(), asyncio.Event()
    working = asyncio.ensure_future(work)
    first, second = map(asyncio.ensure_future, (once.wait(), twice.wait()))
    tasks: list[asyncio.Future[Any]] = [working, first, second]
    try:
        with _heard(_presses(budget, once, twice)):
            await _first_of(working, first)
            if not budget.is_shut:
                return await working
            if budget.in_flight:
                say(_in_order(budget.in_flight))
                tasks.append(asyncio.ensure_future(budget.all_settled()))
                await _first_of(tasks[-1], second)
            await _first_of(working, second, timeout_s=GRACE_S)
            raise KeyboardInterrupt
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first_of(*tasks: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


def _in_order(in_flight: int) -> str:
    which = "1 request is" if in_flight == 1 else f"{in_flight:,} requests are"
    return (
        f"interrupted: {which} still in flight, and the answers will be kept; "
        "Ctrl-C again ends the run without them"
    )


def _presses(
    budget: Budget, once: asyncio.Event, twice: asyncio.Event
) -> Callable[[int, FrameType | None], None]:
    """Return the handler of the signals."""
    loop = asyncio.get_running_loop()
    is_urgent = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal is_urgent
        if not budget.is_shut:
            budget.is_shut = True  # at once, whatever is being computed just now
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
