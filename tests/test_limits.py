from __future__ import annotations

import asyncio

from fake_time import FakeTime

from calibrate.limits import Limiter


def test_no_more_than_the_limit_hold_a_slot_at_once() -> None:
    held, most = 0, 0

    async def hold(limiter: Limiter) -> None:
        nonlocal held, most
        async with limiter.slot():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1

    async def crowd() -> None:
        time = FakeTime()
        limiter = Limiter(3, None, time.clock, time.sleep)
        await asyncio.gather(*(hold(limiter) for _ in range(20)))

    asyncio.run(crowd())
    assert (held, most) == (0, 3)


def test_a_slot_is_given_back_when_its_holder_fails() -> None:
    async def fail_then_hold() -> str:
        time = FakeTime()
        limiter = Limiter(1, None, time.clock, time.sleep)
        try:
            async with limiter.slot():
                raise RuntimeError
        except RuntimeError:
            pass
        async with limiter.slot():
            return "held"

    assert asyncio.run(fail_then_hold()) == "held"


def starts(count: int, per_minute: int, *, pause_s: float = 0.0) -> list[float]:
    """Return when each of `count` requests got its turn, in seconds after the first could."""
    time, found = FakeTime(), []

    async def one(limiter: Limiter) -> None:
        async with limiter.slot():
            found.append(time.now - 1000)
            time.now += pause_s

    async def crowd() -> None:
        limiter = Limiter(100, per_minute, time.clock, time.sleep)
        await asyncio.gather(*(one(limiter) for _ in range(count)))

    asyncio.run(crowd())
    return found


def test_any_sixty_seconds_see_at_most_the_requests_per_minute() -> None:
    assert starts(7, 3) == [0, 0, 0, 60, 60, 60, 120]


def test_a_minute_is_counted_from_each_request_not_by_the_calendar() -> None:
    # The three start at 0, 20 and 40; each of the next waits until one is a minute old.
    assert starts(6, 3, pause_s=20) == [0, 20, 40, 60, 80, 100]


def test_one_request_a_minute_waits_a_minute_each() -> None:
    assert starts(3, 1) == [0, 60, 120]
