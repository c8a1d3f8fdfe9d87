"""What one, two and three interruptions do to a run, as real signals to this process."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from decimal import Decimal

import pytest

from calibrate.cli.interruption import GRACE_S, until_interrupted
from calibrate.errors import BudgetError
from calibrate.pricing import Budget

CENT = Decimal("0.01")


class Run:
    """A run with one attempt behind it and one in flight; what it is told, and what it has kept."""

    def __init__(self) -> None:
        self.budget = Budget(None)
        self.said: list[str] = []
        self.kept: list[str] = []
        self.answers = asyncio.Event()

    async def asks(self) -> str:
        self.budget.reserve(CENT)
        self.budget.settle(CENT, CENT)
        await asyncio.sleep(0)
        self.budget.reserve(CENT)
        try:
            await self.answers.wait()
        finally:
            self.budget.settle(CENT, CENT)
        self.kept.append("answer")
        self.budget.reserve(CENT)
        return "done"

    def is_interrupted(self, *events: tuple[float, Callable[[], object]]) -> None:
        """Check that the run ends by `KeyboardInterrupt` when these things happen, at seconds."""

        async def main() -> None:
            for at_s, event in events:
                asyncio.get_running_loop().call_later(at_s, event)
            async with asyncio.timeout(20):
                await until_interrupted(self.asks(), self.budget, self.said.append)

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())


def press(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def test_work_that_is_not_interrupted_gives_its_result_and_the_handlers_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run = Run()
    run.answers.set()
    assert asyncio.run(until_interrupted(run.asks(), run.budget, run.said.append)) == "done"
    assert (run.said, run.kept) == ([], ["answer"])
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    async def fails() -> None:
        raise BudgetError("the cap is reached")

    with pytest.raises(BudgetError, match="the cap is reached"):
        asyncio.run(until_interrupted(fails(), Budget(None), print))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_waits_for_what_is_in_flight_and_lets_nothing_more_begin(
    number: signal.Signals,
) -> None:
    run = Run()
    run.is_interrupted((0.02, lambda: press(number)), (2 * GRACE_S, run.answers.set))
    assert run.said == [
        "interrupted: 1 request is still in flight, and the answers will be kept; "
        "Ctrl-C again ends the run without them"
    ]
    assert run.kept == ["answer"]
    assert (run.budget.begun, run.budget.in_flight) == (2, 0)


def test_twice_waits_for_nothing() -> None:
    run = Run()
    run.is_interrupted((0.02, press), (0.04, press))
    assert (len(run.said), run.kept) == (1, [])


def test_with_nothing_in_flight_there_is_nothing_to_wait_for() -> None:
    run = Run()

    async def waits() -> None:
        await run.answers.wait()

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, press)
        await until_interrupted(waits(), run.budget, run.said.append)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert run.said == []


def test_a_signal_that_the_shell_has_let_ignore_stays_ignored() -> None:
    run = Run()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for what ends in `&`
    try:

        async def main() -> str:
            loop = asyncio.get_running_loop()
            loop.call_later(0.0, press)
            loop.call_later(0.02, run.answers.set)
            return await until_interrupted(run.asks(), run.budget, run.said.append)

        assert asyncio.run(main()) == "done"
    finally:
        signal.signal(signal.SIGINT, before)


def test_two_presses_in_one_moment_are_two() -> None:
    run = Run()
    run.is_interrupted((0.0, lambda: (press(), press())))
    assert run.kept == []


def test_the_third_leaves_a_computation_that_does_not_end() -> None:
    presses = 0

    async def computes() -> None:
        nonlocal presses
        while presses < 10:
            presses += 1
            press()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(until_interrupted(computes(), Budget(None), print))
    assert presses == 3


def test_outside_the_main_thread_no_signal_is_touched() -> None:
    run, found = Run(), []
    run.answers.set()

    def main() -> None:
        found.append(asyncio.run(until_interrupted(run.asks(), run.budget, run.said.append)))

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    assert found == ["done"]
