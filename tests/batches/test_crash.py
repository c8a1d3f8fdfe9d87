"""Killed at any point, a run loses no batch that is paid for, and hands none in twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from batches.desk import PRICE, Desk, ask
from batches.server import BatchServer, Out, said
from loopback import Received, Response, error

from calibrate.batches import Batch, Detached, Outcome, Post, Remote
from calibrate.client import Source
from calibrate.completion import Completion
from calibrate.errors import CacheError, ProviderError

Opened = Callable[[BatchServer], Desk]
CREATE = {"openai": "/v1/batches", "anthropic": "/v1/messages/batches"}
RESULTS = ("/content", "/results")


def echo(body: dict[str, Any]) -> Response:
    return said(body, f"to {body['messages'][-1]['content']}")


class Killer:
    """Kills the process that asks, the first time that it asks for something."""

    def __init__(self, is_it: Callable[[Received], bool]) -> None:
        self._is_it = is_it
        self._pid: int | None = None
        self._has_started = threading.Event()
        self.has_killed = False

    def run(self, desk: Desk, asks: list[Any]) -> None:
        """Let a process get a round, until it is dead."""
        process = multiprocessing.get_context("fork").Process(target=desk.fetch, args=(asks,))
        process.start()
        self._pid = process.pid
        self._has_started.set()
        process.join(30)
        assert process.exitcode == -signal.SIGKILL

    def __call__(self, received: Received) -> bool:
        if self.has_killed or not self._is_it(received):
            return False
        self._has_started.wait()
        assert self._pid is not None
        os.kill(self._pid, signal.SIGKILL)
        self.has_killed = True
        return True


def creates(kind: str) -> Callable[[Received], bool]:
    return lambda received: received.path == CREATE[kind] and received.method == "POST"


POINTS: dict[str, Callable[[str], Callable[[Received], bool]]] = {
    "create": creates,
    "look": lambda kind: lambda received: received.path.startswith(f"{CREATE[kind]}/"),
    "results": lambda kind: lambda received: received.path.endswith(RESULTS),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_an_answer_is_on_its_way_the_batch_is_found_again(
    point: str, kind: str, desk: Opened
) -> None:
    killer = Killer(POINTS[point](kind))
    server = BatchServer(echo, lose=killer)
    there = desk(server)
    asks = [ask(kind, text) for text in "abc"]
    killer.run(there, asks)
    answers = there.fetch(asks)
    assert [a.reply.text for a in answers if isinstance(a.reply, Completion)] == [
        "to a",
        "to b",
        "to c",
    ]
    assert server.asked() == ["a", "b", "c"]
    assert there.out() == []


def test_killed_before_anything_arrived_it_is_handed_in_once(kind: str, desk: Opened) -> None:
    killer = Killer(creates(kind))
    server = BatchServer(echo, fail=lambda r: error(500, "down") if killer(r) else None)
    there = desk(server)
    killer.run(there, [ask(kind, "a")])
    (batch,) = there.out()
    assert batch.remote is None
    (answer,) = there.fetch([ask(kind, "a")])
    assert answer.source is Source.ASKED
    assert server.asked() == ["a"]
    assert sum(there.time.waits) >= 60  # what is under way could still have arrived


@pytest.mark.parametrize("kind", ["openai"])  # the other API has no upload
def test_an_upload_that_is_lost_is_sent_again(kind: str, desk: Opened) -> None:
    lost = iter([True])
    server = BatchServer(echo, lose=lambda r: r.path == "/v1/files" and next(lost, False))
    desk(server).fetch([ask(kind, "a")])
    assert len(server.out) == 1


def test_an_answer_to_create_that_is_lost_or_no_answer_is_no_reason_to_pay_twice(
    kind: str, desk: Opened
) -> None:
    lost = iter([True])
    server = BatchServer(echo, lose=lambda r: creates(kind)(r) and next(lost, False))
    there = desk(server)
    (answer,) = there.fetch([ask(kind, "a")])
    assert isinstance(answer.reply, Completion)
    assert server.asked() == ["a"]
    assert there.budget.spent_usd == Decimal("5.5")


def test_a_create_that_failed_and_never_arrived_is_handed_in_again_and_paid_once(
    kind: str, desk: Opened
) -> None:
    down = iter([error(500, "down")])
    server = BatchServer(echo, fail=lambda r: next(down, None) if creates(kind)(r) else None)
    there = desk(server)
    there.fetch([ask(kind, "a")])
    assert server.asked() == ["a"]
    assert there.budget.spent_usd == Decimal("5.5")


def test_a_server_that_never_takes_anything_in_is_given_up(kind: str, desk: Opened) -> None:
    server = BatchServer(echo, fail=lambda r: error(500, "x") if creates(kind)(r) else None)
    there = desk(server)
    with pytest.raises(ProviderError, match="3 batches were handed in, and the server has none"):
        there.fetch([ask(kind, "a")])
    assert (there.out(), there.budget.spent_usd) == ([], 0)


def test_a_create_that_must_wait_is_sent_again(kind: str, desk: Opened) -> None:
    busy = iter([error(429, "slow down", headers={"retry-after": "7"})])
    server = BatchServer(echo, fail=lambda r: next(busy, None) if creates(kind)(r) else None)
    there = desk(server)
    there.fetch([ask(kind, "a")])
    assert there.time.waits[0] == 7.0
    assert server.asked() == ["a"]


def test_a_server_that_wants_to_be_left_for_long_is_told_of(kind: str, desk: Opened) -> None:
    busy = error(429, "tomorrow", headers={"retry-after": "3600"})
    server = BatchServer(echo, fail=lambda r: busy if creates(kind)(r) else None)
    there = desk(server)
    with pytest.raises(ProviderError, match="HTTP 429: tomorrow"):
        there.fetch([ask(kind, "a")])
    assert (there.out(), there.time.waits, there.budget.spent_usd) == ([], [], 0)


def test_a_batch_that_is_struck_out_before_it_is_taken_in_is_not_sent_again(
    kind: str, desk: Opened
) -> None:
    times: list[Received] = []

    def busy(received: Received) -> Response | None:
        if not creates(kind)(received):
            return None
        times.append(received)
        if len(times) > 1:
            return None
        with there.journal() as journal:
            (batch,) = journal.batches()
            journal.drop(batch)
        return error(429, "slow down")

    server = BatchServer(echo, fail=busy)
    there = desk(server)
    there.fetch([ask(kind, "a")])
    assert server.asked() == ["a"]
    tags = {str(received.body) for received in times}
    assert (len(times), len(tags)) == (2, 2)  # the second one is another batch


def test_another_batch_is_not_taken_for_the_one_that_was_lost(kind: str, desk: Opened) -> None:
    killer = Killer(creates(kind))
    server = BatchServer(echo, lose=killer)
    there = desk(server)
    killer.run(there, [ask(kind, "mine")])
    for number in range(1, 4):  # of the same size, from the same hour, and nearer in the list
        strangers = [(f"stranger-{number}", server.out[0].bodies()[0])]
        server.out.append(Out(f"batch{number:03}", kind, strangers, there.time.now))
    (answer,) = there.fetch([ask(kind, "mine")])
    assert isinstance(answer.reply, Completion)
    assert len(server.out) == 4
    assert there.out() == []


def test_the_list_is_read_as_far_back_as_the_batch_can_be(kind: str, desk: Opened) -> None:
    killer = Killer(creates(kind))
    server = BatchServer(echo, fail=lambda r: error(500, "down") if killer(r) else None)
    there = desk(server)
    there.time.now = 1_000_000.0
    killer.run(there, [ask(kind, "mine")])
    for number in range(6):  # in three pages, the first of them old enough
        server.out.append(Out(f"batch{number:03}", kind, [("a-0", {}), ("a-1", {})], 1.0))
    lists: list[Received] = []
    server.fail = lambda r: lists.append(r) if r.path.startswith(f"{CREATE[kind]}?") else None
    with pytest.raises(Detached):
        there.fetch([ask(kind, "mine")], detach=True)
    assert len(lists) == 1


@pytest.mark.parametrize("status", [500, 200])
def test_a_server_that_is_down_for_a_while_is_waited_for(
    status: int, kind: str, desk: Opened
) -> None:
    broken = iter([error(status, "down")] * 40)
    server = BatchServer(
        echo,
        fail=lambda r: next(broken, None) if r.path.startswith(f"{CREATE[kind]}/") else None,
    )
    there = desk(server)
    if status == 200:  # each of them is a look; of failures five are
        with pytest.raises(ProviderError, match=r"batch batch000: .*calibrate batch forget"):
            there.fetch([ask(kind, "a")])
        assert len(there.out()) == 1
    assert len(there.fetch([ask(kind, "a")])) == 1
    assert server.asked() == ["a"]


def test_a_list_that_cannot_be_read_is_waited_for(kind: str, desk: Opened) -> None:
    killer = Killer(creates(kind))
    server = BatchServer(echo, lose=killer)
    there = desk(server)
    killer.run(there, [ask(kind, "a")])
    broken = iter([error(200, "down"), *[error(500, "down")] * 5])
    server.fail = lambda r: next(broken, None) if r.path.startswith(f"{CREATE[kind]}?") else None
    assert len(there.fetch([ask(kind, "a")])) == 1
    assert server.asked() == ["a"]


@pytest.mark.parametrize("path", ["look", "results"])
def test_what_cannot_be_fetched_stays_written_down(path: str, kind: str, desk: Opened) -> None:
    is_it = POINTS[path](kind)
    server = BatchServer(echo, looks=1, fail=lambda r: error(404, "gone") if is_it(r) else None)
    there = desk(server)
    with pytest.raises(ProviderError, match=r"gone; it stays written down until"):
        there.fetch([ask(kind, "a")])
    assert len(there.out()) == 1
    server.fail = lambda _: None
    there.fetch([ask(kind, "a")])
    assert (server.asked(), there.out()) == (["a"], [])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"base_url": "http://127.0.0.1:9/v1"}, r"the endpoint is http://127\.0\.0\.1:9/v1 now"),
        ({"kind": "gemini"}, "has no such endpoint any more"),
    ],
)
def test_an_endpoint_that_is_another_now_is_not_asked_for_its_old_batches(
    change: dict[str, str], why: str, kind: str, desk: Opened
) -> None:
    there = desk(BatchServer(echo, looks=9))
    with pytest.raises(Detached):
        there.fetch([ask(kind, "a")], detach=True)
    (batch,) = there.out()

    async def look() -> None:
        with there.journal() as journal:
            endpoint = there.endpoints["e"].model_copy(update=change)
            async with Post({"e": endpoint}, journal) as post:
                await post.look(batch)

    with pytest.raises(ProviderError, match=why):
        asyncio.run(look())


def test_a_batch_that_another_run_has_collected_is_not_collected_again(
    kind: str, desk: Opened
) -> None:
    there = desk(BatchServer(echo, looks=1, fail=lambda _: None))

    async def collect() -> object:
        with there.journal() as journal:
            batch = Batch("t", "e", there.base_url, kind, "gpt", PRICE, 1, 0.0, 0.0)
            journal.claim(batch, [ask(kind, "a").request])
            journal.close(batch)
            async with there.post(journal) as post:
                ended = Remote("batch000", Outcome.COMPLETED, 1, 1, 0.0)
                return await post.collect(batch, ended, lambda *_: None)

    assert asyncio.run(collect()) is None


def test_answers_that_cannot_be_kept_stay_to_be_fetched(kind: str, desk: Opened) -> None:
    server = BatchServer(echo)
    there = desk(server)
    cache = there.root / "cache.sqlite"

    def spoil(received: Received) -> None:
        if received.path.endswith(RESULTS):
            cache.write_bytes(b"this is no database" * 100)

    server.fail = spoil
    with pytest.raises(CacheError):
        there.fetch([ask(kind, "a")])
    assert len(there.out()) == 1
    cache.unlink()
    server.fail = lambda _: None
    there.fetch([ask(kind, "a")])
    assert (server.asked(), there.out()) == (["a"], [])
