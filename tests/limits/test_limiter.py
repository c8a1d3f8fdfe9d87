from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from fake_time import FakeTime

from calibrate.limits import Left, Limiter, Notice


def limiter(time: FakeTime, concurrency: int = 100, **options: int) -> Limiter:
    return Limiter(concurrency, **options, clock=time.clock, sleep=time.sleep)


def starts(
    count: int,
    *,
    tokens: int = 0,
    during: Callable[[FakeTime, Any], None] = lambda *_: None,
    **options: int,
) -> list[float]:
    """Return when each of `count` requests got its turn, in seconds after the first could."""
    time, found = FakeTime(), []

    async def one(limits: Limiter) -> None:
        async with limits.slot(tokens) as slot:
            found.append(time.now - 1000)
            during(time, slot)

    async def crowd() -> None:
        limits = limiter(time, **options)
        await asyncio.gather(*(one(limits) for _ in range(count)))

    asyncio.run(crowd())
    return found


# Slots


def test_no_more_than_the_limit_hold_a_slot_at_once() -> None:
    held, most = 0, 0

    async def hold(limits: Limiter) -> None:
        nonlocal held, most
        async with limits.slot():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1

    async def crowd() -> None:
        limits = limiter(FakeTime(), 3)
        await asyncio.gather(*(hold(limits) for _ in range(20)))

    asyncio.run(crowd())
    assert (held, most) == (0, 3)


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    order: list[int] = []

    async def one(limits: Limiter, number: int) -> None:
        async with limits.slot(tokens=1 + number % 3):
            order.append(number)
            await asyncio.sleep(0)

    async def crowd() -> None:
        limits = limiter(FakeTime(), 2, tokens_per_minute=5)
        await asyncio.gather(*(one(limits, number) for number in range(12)))

    asyncio.run(crowd())
    assert order == list(range(12))


def test_a_slot_is_given_back_when_its_holder_fails() -> None:
    async def fail_then_hold() -> str:
        limits = limiter(FakeTime(), 1)
        with pytest.raises(RuntimeError):
            async with limits.slot():
                raise RuntimeError
        async with limits.slot():
            return "held"

    assert asyncio.run(fail_then_hold()) == "held"


async def ticks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def hold_for_ever(limits: Limiter) -> None:
    async with limits.slot():
        await asyncio.Event().wait()


def test_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    async def third_after_second_left() -> str:
        limits = limiter(FakeTime(), 1)
        first = asyncio.ensure_future(hold_for_ever(limits))
        await ticks()
        second = asyncio.ensure_future(hold_for_ever(limits))
        await ticks()
        second.cancel()
        first.cancel()
        async with limits.slot():
            return "held"

    assert asyncio.run(third_after_second_left()) == "held"


def test_a_turn_that_comes_in_the_moment_it_is_given_up_is_not_lost() -> None:
    async def scenario() -> str:
        limits = limiter(FakeTime(), 1)
        async with limits.slot():
            late = asyncio.ensure_future(hold_for_ever(limits))
            await ticks()
        late.cancel()  # its turn came with the end of the block, before it could take it
        await ticks()
        async with limits.slot():
            return "held"

    assert asyncio.run(scenario()) == "held"


def test_no_alarm_stays_set_when_nobody_waits_any_more() -> None:
    async def never(_: float) -> None:
        await asyncio.Event().wait()

    async def scenario() -> int:
        limits = Limiter(1, requests_per_minute=1, clock=FakeTime().clock, sleep=never)
        async with limits.slot():
            pass
        late = asyncio.ensure_future(hold_for_ever(limits))
        await ticks()
        late.cancel()
        await ticks()
        return len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == 1  # the scenario itself


# Slots that adapt


class Gauge:
    """A limiter and what it does when told of answers and refusals, one after another."""

    def __init__(self, concurrency: int) -> None:
        self.limiter = limiter(FakeTime(), concurrency)

    def after(self, outcomes: str) -> int:
        """Return the slots after `a`nswers, `r`efusals and other failures (`f`)."""

        async def told() -> int:
            for outcome in outcomes:
                async with self.limiter.slot() as slot:
                    if outcome == "a":
                        slot.answered(tokens=1)
                    elif outcome == "r":
                        slot.refused()
            return self.limiter.slots

        return asyncio.run(told())


def test_a_round_of_refusals_takes_half_of_the_slots() -> None:
    assert Gauge(64).after("r" * 64) == 32


def test_one_slot_always_stays() -> None:
    assert Gauge(4).after("r" * 100) == 1


def test_only_refusals_take_slots() -> None:
    assert Gauge(8).after("f" * 100) == 8


def test_answers_give_slots_back_and_never_more_than_were_allowed() -> None:
    gauge = Gauge(64)
    assert gauge.after("r" * 96) == 16
    assert gauge.after("a" * 16) == 17  # a round gives back one slot, or 1/16 of many
    assert gauge.after("a" * 2000) == 64


def test_a_chance_refusal_in_ten_leaves_nearly_all_slots() -> None:
    random, gauge = Random(7), Gauge(64)  # noqa: S311
    outcomes = "".join(random.choices("ar", weights=[9, 1], k=2000))
    assert gauge.after(outcomes) >= 48


async def refused_share(capacity: int, concurrency: int, requests: int) -> tuple[float, int]:
    """Ask a server that serves so many at a time; return the share of refusals, and the slots."""
    limits = limiter(FakeTime(), concurrency)
    serving = refused = sent = 0

    async def one() -> None:
        nonlocal serving, refused, sent
        while True:
            async with limits.slot() as slot:
                sent += 1
                if serving >= capacity:
                    refused += 1
                    slot.refused()
                else:
                    serving += 1
                    await ticks()
                    serving -= 1
                    slot.answered(tokens=1)
                    return
            await ticks()

    await asyncio.gather(*(one() for _ in range(requests)))
    return refused / sent, limits.slots


def test_slots_settle_near_what_the_server_serves() -> None:
    share, slots = asyncio.run(refused_share(16, 256, 20_000))
    assert share < 0.15
    assert 12 <= slots <= 24


# Amounts a minute


def test_any_sixty_seconds_see_at_most_the_requests_per_minute() -> None:
    assert starts(7, requests_per_minute=3) == [0, 0, 0, 60, 60, 60, 120]


def later(seconds: float) -> Callable[[FakeTime, Any], None]:
    def pause(time: FakeTime, _: Any) -> None:
        time.now += seconds

    return pause


def test_a_minute_is_counted_from_each_request_not_by_the_calendar() -> None:
    # The three start at 0, 20 and 40; each of the next waits until one is a minute old.
    found = starts(6, requests_per_minute=3, during=later(20))
    assert found == [0, 20, 40, 60, 80, 100]


def test_one_request_a_minute_waits_a_minute_each() -> None:
    assert starts(3, requests_per_minute=1) == [0, 60, 120]


def test_any_sixty_seconds_see_at_most_the_tokens_per_minute() -> None:
    assert starts(5, tokens=400, tokens_per_minute=1000) == [0, 0, 60, 60, 120]


def test_tokens_that_were_not_needed_are_free_again() -> None:
    def answer(_: FakeTime, slot: Any) -> None:
        slot.answered(tokens=100)

    # 400 are set aside for each, but only 100 taken: at the tenth 900 are taken.
    found = starts(11, tokens=400, tokens_per_minute=1000, during=answer)
    assert found == [0] * 7 + [60] * 4


def test_what_a_request_took_over_a_minute_ago_no_longer_counts() -> None:
    async def scenario() -> float:
        time = FakeTime()
        limits = limiter(time, tokens_per_minute=1000)
        async with limits.slot(tokens=900) as slow:
            time.now += 61
            async with limits.slot(tokens=900):
                slow.answered(tokens=500)
                async with limits.slot(tokens=100):
                    return time.now - 1000

    assert asyncio.run(scenario()) == 61


def test_a_request_over_the_tokens_per_minute_waits_for_all_others_and_is_then_sent() -> None:
    assert starts(3, tokens=5000, tokens_per_minute=1000) == [0, 60, 120]


def test_requests_and_tokens_hold_together() -> None:
    found = starts(6, tokens=100, requests_per_minute=4, tokens_per_minute=300)
    assert found == [0, 0, 0, 60, 60, 60]


# What the server says


def heeding(notice: Notice, *, only_first: bool = True) -> Callable[[FakeTime, Any], None]:
    heard: list[Notice] = []

    def heed(_: FakeTime, slot: Any) -> None:
        if not heard or not only_first:
            heard.append(notice)
            slot.heed(notice)

    return heed


def test_a_wait_that_the_server_asks_for_holds_for_the_whole_endpoint() -> None:
    found = starts(4, concurrency=1, during=heeding(Notice(retry_after_s=7)))
    assert found == [0, 7, 7, 7]


def test_a_pause_has_a_ceiling() -> None:
    assert starts(2, concurrency=1, during=heeding(Notice(retry_after_s=5000))) == [0, 300]


def test_a_shorter_wait_does_not_end_a_longer_one() -> None:
    async def scenario() -> float:
        time = FakeTime()
        limits = limiter(time, 2)
        async with limits.slot() as one, limits.slot() as other:
            one.heed(Notice(retry_after_s=30))
            other.heed(Notice(retry_after_s=2))
        async with limits.slot():
            return time.now - 1000

    assert asyncio.run(scenario()) == 30


def test_what_waits_longer_is_not_woken_late_by_what_waits_less() -> None:
    async def scenario() -> list[float]:
        time = FakeTime()
        limits = limiter(time, 9, requests_per_minute=1)
        begun: list[float] = []

        async def one() -> None:
            async with limits.slot():
                begun.append(time.now - 1000)

        async with limits.slot() as first:
            waiting = asyncio.gather(one(), one())
            await asyncio.sleep(0)  # an alarm is set for the end of the minute
            first.heed(Notice(retry_after_s=100))
        await waiting
        return begun

    assert asyncio.run(scenario()) == [100, 160]


@pytest.mark.parametrize(
    ("notice", "expected"),
    [
        # Two may follow the one that was told; then the limit is whole in 20 s, and unknown.
        (Notice(requests=Left(2, 20)), [0, 0, 0, 20, 20]),
        (Notice(requests=Left(0, 20)), [0, 20, 20, 20, 20]),
        (Notice(tokens=Left(250, 20)), [0, 0, 0, 20, 20]),
        (Notice(tokens=Left(99, 0)), [0, 0, 0, 0, 0]),
        (Notice(requests=Left(3, 20), tokens=Left(100, 50)), [0, 0, 50, 50, 50]),
    ],
)
def test_what_the_server_has_left_is_not_passed_until_its_limit_is_whole_again(
    notice: Notice, expected: list[float]
) -> None:
    assert starts(5, concurrency=1, tokens=100, during=heeding(notice)) == expected


def test_what_began_since_is_taken_off_what_the_server_had_left() -> None:
    async def scenario() -> list[float]:
        time = FakeTime()
        limits = limiter(time, 9)
        begun: list[float] = []
        async with limits.slot() as first, limits.slot(), limits.slot():
            first.heed(Notice(requests=Left(3, 20)))  # it had not yet seen the other two
        for _ in range(2):
            async with limits.slot():
                begun.append(time.now - 1000)
        return begun

    assert asyncio.run(scenario()) == [0, 20]


def test_an_endpoint_knows_nothing_of_another() -> None:
    async def scenario() -> tuple[float, int, int]:
        time = FakeTime()
        one, other = limiter(time, 4), limiter(time, 4)
        async with one.slot() as slot:
            slot.refused()
            slot.heed(Notice(retry_after_s=50))
        async with other.slot():
            return time.now - 1000, one.slots, other.slots

    assert asyncio.run(scenario()) == (0, 3, 4)


def test_whatever_happens_no_limit_is_passed_and_everybody_gets_a_turn() -> None:
    for seed in range(30):
        _storm(Random(seed))  # noqa: S311


def _storm(random: Random) -> None:
    time = FakeTime()
    most, per_minute, tokens_per_minute = random.randint(1, 9), random.randint(1, 20), 500
    limits = limiter(
        time, most, requests_per_minute=per_minute, tokens_per_minute=tokens_per_minute
    )
    held = turns = given_up = 0
    begun: list[tuple[float, int]] = []

    async def one() -> None:
        nonlocal held, turns, given_up
        tokens = random.randint(1, 300)
        try:
            async with limits.slot(tokens) as slot:
                held += 1
                begun.append((time.now, tokens))
                assert held <= most
                try:
                    for _ in range(random.randint(0, 3)):
                        await asyncio.sleep(0)
                    if random.random() < 0.2:
                        slot.refused()
                    if random.random() < 0.1:
                        slot.heed(Notice(random.choice([None, 5.0]), Left(3, 10), Left(100, 3)))
                    turns += 1
                finally:
                    held -= 1
        except asyncio.CancelledError:
            given_up += 1

    async def crowd() -> None:
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(one()) for _ in range(60)]
        for task in random.sample(tasks, 10):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(crowd())
    assert held == 0
    assert turns + given_up >= 60
    assert turns >= 50
    for at, _ in begun:
        within = [tokens for other, tokens in begun if at <= other < at + 60]
        assert len(within) <= per_minute
        assert sum(within) <= tokens_per_minute
