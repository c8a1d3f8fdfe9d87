from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
from fake_time import FakeTime
from loopback import (
    Loopback,
    Received,
    Response,
    Script,
    chat,
    dropped,
    embedding,
    error,
    messages,
    refused_port,
)

from calibrate.cache import Cache, Recorded, Recordings, write_recordings
from calibrate.client import Answer, Client, Source, most_usd
from calibrate.client.retries import ATTEMPTS
from calibrate.completion import (
    ChatMessage,
    Completion,
    Failure,
    FailureReason,
    Request,
    Usage,
    as_float16,
)
from calibrate.config import Endpoint
from calibrate.errors import BudgetError, CacheMiss, CalibrateError, ConfigError, ProviderError
from calibrate.pricing import Budget, HourlyPrice, TokenPrice
from calibrate.providers import openai
from calibrate.transports import CHOICE

FREE = TokenPrice(Decimal(0), Decimal(0))
PRICE = TokenPrice(Decimal(1), Decimal(10))
CANARY = "sk-canary-0123456789/abcdef+Z"


def ask(text: str = "Where?", name: str = "small", **parameters: Any) -> Request:
    return Request("openai", name, messages=(ChatMessage("user", text),), parameters=parameters)


@dataclass
class Desk:
    """A client over one or more endpoints, with the time in the test's hands."""

    tmp_path: Path
    endpoints: dict[str, Endpoint]
    recordings: Path | None = None
    limit_usd: str | None = None
    offline: bool = False
    read_stored: bool = True
    keep_given: bool = True
    retry_failed: bool = False
    time: FakeTime = field(default_factory=FakeTime)

    def __post_init__(self) -> None:
        self.budget = Budget(None if self.limit_usd is None else Decimal(self.limit_usd))

    @property
    def database(self) -> Path:
        return self.tmp_path / "cache.sqlite"

    def run(self, use: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
        async def opened() -> Any:
            with Cache(self.database) as cache:
                client = Client(
                    self.endpoints,
                    recordings=Recordings(self.recordings),
                    cache=cache,
                    budget=self.budget,
                    offline=self.offline,
                    read_stored=self.read_stored,
                    keep_given=self.keep_given,
                    retry_failed=self.retry_failed,
                    clock=self.time.clock,
                    sleep=self.time.sleep,
                )
                async with client:
                    return await use(client)

        return asyncio.run(opened())

    def ask(self, request: Request, price: TokenPrice | HourlyPrice = FREE) -> Answer:
        answer: Answer = self.run(lambda client: client.ask("e", request, price))
        return answer

    def ask_all(
        self, requests: Sequence[Request], price: TokenPrice = FREE
    ) -> list[Answer | BaseException]:
        async def use(client: Client) -> list[Answer | BaseException]:
            asked = (client.ask("e", request, price) for request in requests)
            return await asyncio.gather(*asked, return_exceptions=True)

        answers: list[Answer | BaseException] = self.run(use)
        return answers


def desk(tmp_path: Path, server: Loopback, **options: Any) -> Desk:
    of_desk = {name: options.pop(name) for name in list(options) if name in Desk.__annotations__}
    return Desk(tmp_path, {"e": endpoint(server, **options)}, **of_desk)


def endpoint(server: Loopback, **options: Any) -> Endpoint:
    return Endpoint(**{"kind": "openai", "base_url": server.base_url, "timeout_s": 20, **options})


def in_turn(*responses: Response) -> Script:
    """Answer the first request with the first response, and so on; the last one from then on."""
    return lambda received: responses[min(received.number, len(responses) - 1)]


def refusal(found: BaseException | Answer, kind: type[CalibrateError]) -> str:
    assert isinstance(found, kind)
    return str(found)


# Where an answer comes from


def test_an_answer_is_asked_once_then_cached(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    with Loopback(lambda _: chat("shipping", usage=usage)) as server:
        first = desk(tmp_path, server).ask(ask(), PRICE)
        second = desk(tmp_path, server).ask(ask(), PRICE)
    reply = Completion(
        text="shipping", usage=Usage(1000, 100), served_model="served", latency_s=0.0
    )
    # 1000 * 1 + 100 * 10 dollars per million tokens = 0.002
    assert first == Answer(ask(), reply, Source.ASKED, paid_usd=Decimal("0.002"))
    assert second == Answer(ask(), reply, Source.CACHED)
    assert (first.attempts, second.attempts) == (1, 0)
    assert len(server.received) == 1


def test_a_recording_comes_before_the_cache_and_both_before_the_server(tmp_path: Path) -> None:
    recordings = tmp_path / "sort.jsonl.gz"
    reply = Completion(text="recorded", usage=Usage(1, 1), served_model="served", latency_s=0.5)
    with Loopback(lambda received: chat(f"live {received.asked}")) as server:
        for text in ("a", "b"):
            desk(tmp_path, server).ask(ask(text))
        write_recordings(recordings, [Recorded(ask("a"), reply)])
        answers = desk(tmp_path, server, recordings=recordings).ask_all(
            [ask("a"), ask("b"), ask("c")]
        )
    assert [(a.source, a.reply.text) for a in answers] == [  # type: ignore[union-attr]
        (Source.RECORDED, "recorded"),
        (Source.CACHED, "live b"),
        (Source.ASKED, "live c"),
    ]
    assert [received.asked for received in server.received] == ["a", "b", "c"]


def test_offline_what_is_stored_is_given_and_the_rest_is_a_miss(tmp_path: Path) -> None:
    with Loopback(lambda _: chat("a")) as server:
        desk(tmp_path, server).ask(ask("known"))
        offline = desk(tmp_path, server, offline=True, api_key_env="CALIBRATE_TEST_NO_KEY")
        assert offline.ask(ask("known")).source is Source.CACHED
        with pytest.raises(CacheMiss) as caught:
            offline.ask(ask("unknown"))
    assert str(caught.value) == (
        "an answer of 'small' is not recorded, and --offline forbids asking; "
        "run without --offline, or record it with --record"
    )
    assert len(server.received) == 1


def test_what_has_just_arrived_is_not_asked_again(tmp_path: Path) -> None:
    async def twice_in_one_turn(client: Client) -> list[Source]:
        return [(await client.ask("e", ask(), PRICE)).source for _ in range(2)]

    with Loopback(lambda _: chat("shipping")) as server:
        sources = desk(tmp_path, server, keep_given=False).run(twice_in_one_turn)
    assert sources == [Source.ASKED, Source.CACHED]
    assert len(server.received) == 1


def test_without_reading_what_is_stored_everything_is_asked_again_but_once(tmp_path: Path) -> None:
    with Loopback(lambda received: chat(str(received.number))) as server:
        desk(tmp_path, server).ask(ask())
        fresh = desk(tmp_path, server, read_stored=False)

        async def twice(client: Client) -> list[Answer]:
            return [await client.ask("e", ask(), FREE) for _ in range(2)]

        answers = fresh.run(twice)
        later = desk(tmp_path, server).ask(ask())
    assert [answer.reply.text for answer in answers] == ["1", "1"]
    assert later.reply.text == "1"  # type: ignore[union-attr]
    assert len(server.received) == 2


def test_without_a_cache_an_answer_is_asked_once_a_run(tmp_path: Path) -> None:
    async def ask_twice(endpoints: dict[str, Endpoint]) -> list[Answer]:
        budget = Budget(None)
        client = Client(endpoints, recordings=Recordings(None), cache=None, budget=budget)
        async with client:
            return [await client.ask("e", ask(), FREE) for _ in range(2)]

    with Loopback(lambda received: chat(str(received.number))) as server:
        first, second = asyncio.run(ask_twice({"e": endpoint(server)}))
    assert first is second
    assert len(server.received) == 1


def test_a_client_tells_how_many_requests_an_endpoint_may_have_in_flight(tmp_path: Path) -> None:
    with Loopback(lambda _: chat("a")) as server:

        async def use(client: Client) -> int:
            return client.concurrency("e")

        assert desk(tmp_path, server, concurrency=7).run(use) == 7


def test_a_client_tells_what_is_stored_without_asking(tmp_path: Path) -> None:
    async def known(client: Client) -> list[bool]:
        return [client.has("e", ask("a")), client.has("e", ask("b"))]

    with Loopback(lambda _: chat("a")) as server:
        desk(tmp_path, server).ask(ask("a"))
        assert desk(tmp_path, server).run(known) == [True, False]
    assert len(server.received) == 1


def test_two_endpoints_with_one_model_name_have_answers_of_their_own(tmp_path: Path) -> None:
    async def both(client: Client) -> list[Answer]:
        found = [await client.ask(name, ask(), FREE) for name in ("e", "f")]
        assert list(client.given.values()) == found
        return found

    with Loopback(lambda _: chat("one")) as one, Loopback(lambda _: chat("two")) as two:
        pair = Desk(tmp_path, {"e": endpoint(one), "f": endpoint(two)})
        answers = pair.run(both)
        again = pair.run(both)
    assert [answer.reply.text for answer in answers] == ["one", "two"]
    assert [answer.source for answer in again] == [Source.CACHED, Source.CACHED]


def test_an_embedding_is_the_same_live_and_cached(tmp_path: Path) -> None:
    request = Request("openai", "mini", input="Where?")
    with Loopback(lambda _: embedding([0.1, -2.0])) as server:
        live = desk(tmp_path, server).ask(request)
        cached = desk(tmp_path, server).ask(request)
    assert live.reply == cached.reply
    assert isinstance(live.reply, Completion)
    assert live.reply.embedding == as_float16([0.1, -2.0])
    assert [received.path for received in server.received] == ["/v1/embeddings"]


def test_anthropic_is_asked_in_its_own_words(tmp_path: Path) -> None:
    request = Request(
        "anthropic",
        "claude",
        messages=(ChatMessage("system", "Sort."), ChatMessage("user", "Where?")),
        parameters={"max_output_tokens": 8},
    )
    with Loopback(lambda _: messages("shipping", stop_reason="max_tokens")) as server:
        answer = desk(tmp_path, server, kind="anthropic").ask(request)
    assert answer.reply == Completion(
        text="shipping",
        finish="length",
        usage=Usage(10, 1),
        served_model="served",
        latency_s=0.0,
    )
    assert [received.path for received in server.received] == ["/v1/messages"]


# What is asked again


TRANSIENT = {
    "rate limited": (error(429, "slow down"), FailureReason.RATE_LIMITED, 9),
    "server error": (error(500, "oops"), FailureReason.SERVER_ERROR, 5),
    "overloaded": (error(529, "overloaded"), FailureReason.SERVER_ERROR, 5),
    "gateway time-out": (error(504, "late"), FailureReason.TIMEOUT, 3),
    "dropped": (dropped(), FailureReason.BAD_RESPONSE, 3),
    "HTML": (Response(200, b"<html>"), FailureReason.BAD_RESPONSE, 3),
    "no choices": (Response(200, b'{"choices": []}'), FailureReason.BAD_RESPONSE, 3),
}
LASTING = {
    "rejected": (error(400, "bad request"), FailureReason.REJECTED, 1),
    "too long": (error(400, "context_length_exceeded"), FailureReason.CONTEXT_LENGTH, 1),
    "filtered": (error(400, "content_filter"), FailureReason.CONTENT_FILTER, 1),
    "too large": (error(413, "payload"), FailureReason.REJECTED, 1),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_passing_failure_is_asked_again_until_it_passes(tmp_path: Path, name: str) -> None:
    response, _, _ = TRANSIENT[name]
    with Loopback(in_turn(response, response, chat("shipping"))) as server:
        answer = desk(tmp_path, server).ask(ask())
    assert isinstance(answer.reply, Completion)
    assert answer.attempts == len(server.received) == 3


@pytest.mark.parametrize("name", [*TRANSIENT, *LASTING])
def test_a_failure_for_good_is_kept_like_an_answer(tmp_path: Path, name: str) -> None:
    response, reason, attempts = (TRANSIENT | LASTING)[name]
    with Loopback(lambda _: response) as server:
        first = desk(tmp_path, server).ask(ask())
        second = desk(tmp_path, server).ask(ask())
    assert isinstance(first.reply, Failure)
    assert first.reply.reason is reason
    assert (first.source, first.attempts) == (Source.ASKED, attempts)
    assert (second.source, second.reply) == (Source.CACHED, first.reply)
    assert len(server.received) == attempts


def test_an_answer_is_never_asked_again_for_what_it_says(tmp_path: Path) -> None:
    with Loopback(lambda _: chat(None, finish="content_filter")) as server:
        answer = desk(tmp_path, server).ask(ask())
    assert isinstance(answer.reply, Completion)
    assert (answer.reply.text, answer.reply.finish) == ("", "content_filter")
    assert len(server.received) == 1


def test_waits_grow_with_jitter_and_have_a_ceiling(tmp_path: Path) -> None:
    with Loopback(lambda _: error(500, "oops")) as server:
        asked = desk(tmp_path, server)
        asked.ask(ask())
    # 0.25 * 2^attempt s, of which half is jitter
    bounds = [(0.25, 0.5), (0.5, 1), (1, 2), (2, 4)]
    assert len(asked.time.waits) == 4
    assert all(
        low <= wait <= high for wait, (low, high) in zip(asked.time.waits, bounds, strict=True)
    )


def test_refusals_are_asked_again_for_longer_than_the_minute_of_a_limit(tmp_path: Path) -> None:
    with Loopback(lambda _: error(429, "slow down")) as server:
        asked = desk(tmp_path, server)
        asked.ask(ask())
    # 0.5, 1, 2, 4, 8, 16, 32 and 60 s, of which half is jitter
    assert len(asked.time.waits) == 8
    assert 123.5 / 2 <= sum(asked.time.waits) <= 123.5
    assert max(asked.time.waits) <= 60


def test_each_kind_of_failure_is_counted_for_itself(tmp_path: Path) -> None:
    responses = [error(429, "slow down"), dropped(), error(500, "oops")] * 2
    with Loopback(in_turn(*responses, chat("a"))) as server:
        answer = desk(tmp_path, server).ask(ask())
    assert isinstance(answer.reply, Completion)
    assert [failure.reason for failure in answer.failures] == [
        FailureReason.RATE_LIMITED,
        FailureReason.BAD_RESPONSE,
        FailureReason.SERVER_ERROR,
    ] * 2
    assert answer.attempts == len(server.received) == 7


@pytest.mark.parametrize("status", [429, 503])
def test_the_servers_own_wait_is_kept_by_every_request(tmp_path: Path, status: int) -> None:
    slow = error(status, "slow down", headers={"retry-after": "7"})
    with Loopback(in_turn(slow, chat("a"))) as server:
        asked = desk(tmp_path, server, concurrency=1)

        async def both(client: Client) -> list[float]:
            async def one(text: str) -> float:
                await client.ask("e", ask(text), FREE)
                return asked.time.now - 1000

            return await asyncio.gather(one("1"), one("2"))

        assert asked.run(both) == [7, 7]
    assert [received.asked for received in server.received] == ["1", "2", "1"]
    assert asked.time.waits == [7]


def test_a_server_that_asks_for_no_wait_is_not_asked_without_any(tmp_path: Path) -> None:
    slow = error(429, "slow down", headers={"retry-after": "0"})
    with Loopback(in_turn(slow, slow, chat("a"))) as server:
        asked = desk(tmp_path, server)
        asked.ask(ask())
    assert [0.25 <= asked.time.waits[0] <= 0.5, 0.5 <= asked.time.waits[1] <= 1] == [True, True]


def test_a_server_that_asks_for_more_than_minutes_ends_the_run(tmp_path: Path) -> None:
    slow = error(429, "no more today", headers={"retry-after": "3600"})
    with Loopback(in_turn(chat("a"), slow)) as server:
        found = desk(tmp_path, server, concurrency=1).ask_all([ask("1"), ask("2"), ask("3")])
        kept = desk(tmp_path, server, offline=True).ask(ask("1"))
    assert {refusal(error_, ProviderError) for error_ in found[1:]} == {
        f"endpoint 'e' ({server.base_url}): HTTP 429: no more today (try again in 3600 s); "
        "every answer so far is kept"
    }
    assert len(server.received) == 2
    assert kept.source is Source.CACHED


def test_what_the_server_has_left_is_kept_to(tmp_path: Path) -> None:
    def script(received: Received) -> Response:
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}
        return replace(chat("a"), headers=headers) if received.number == 0 else chat("a")

    with Loopback(script) as server:
        asked = desk(tmp_path, server, concurrency=1)
        asked.ask_all([ask("1"), ask("2")])
    assert asked.time.waits == [20]


def test_tokens_per_minute_are_kept(tmp_path: Path) -> None:
    # Each is counted as 1 token of text, 4 for the message and 95 set aside: 100; then as 11.
    requests = [ask(letter, max_output_tokens=95) for letter in "abcd"]
    with Loopback(lambda _: chat("a")) as server:
        asked = desk(tmp_path, server, concurrency=1, tokens_per_minute=130)
        asked.ask_all(requests)
    # 11 + 11 + 100 fit into 130, 33 + 100 do not.
    assert len(server.received) == 4
    assert [round(wait) for wait in asked.time.waits] == [60]


def test_refusals_take_slots_of_their_endpoint(tmp_path: Path) -> None:
    eight = threading.Barrier(8)

    def script(received: Received) -> Response:
        if received.number < 8:
            eight.wait(20)
            return error(429, "slow down")
        if received.number == 8:
            server.most_in_flight = 1
        return chat("a").after(0.02)

    with Loopback(script) as server:
        desk(tmp_path, server, concurrency=8).ask_all([ask(str(n)) for n in range(8)])
    # Eight refusals leave four slots, and the first four answers give one back.
    assert len(server.received) == 16
    assert server.most_in_flight <= 5


def test_a_time_out_is_asked_again_and_each_attempt_is_paid_for_at_its_worst(
    tmp_path: Path,
) -> None:
    request = ask(max_output_tokens=8)
    with Loopback(in_turn(chat("late").after(30), chat("a", usage=USAGE))) as server:
        asked = desk(tmp_path, server, timeout_s=0.3)
        answer = asked.ask(request, PRICE)
    # The worst of an attempt: 6 bytes and 16 for each of 1 message and the frame = 38 tokens at
    # 1 dollar, and 8 at 10: 118 per million. The second: 3 * 1 + 1 * 10.
    assert answer.attempts == 2
    assert answer.paid_usd == Decimal("0.000131")
    assert asked.budget.spent_usd == answer.paid_usd


USAGE = {"prompt_tokens": 3, "completion_tokens": 1}


def test_the_latency_is_that_of_the_last_attempt(tmp_path: Path) -> None:
    class Watch(FakeTime):
        def clock(self) -> float:
            self.now += 0.25
            return self.now

    with Loopback(in_turn(error(500, "oops"), chat("a"))) as server:
        answer = desk(tmp_path, server, time=Watch()).ask(ask())
    assert isinstance(answer.reply, Completion)
    assert answer.reply.latency_s == 0.25


# What ends a run


@pytest.mark.parametrize(
    ("response", "requests", "says"),
    [
        (error(401, "bad key"), 1, "HTTP 401: bad key"),
        (error(402, "no credit"), 1, "HTTP 402: no credit"),
        (error(403, "forbidden"), 1, "HTTP 403: forbidden"),
        (error(404, "no such model"), 1, "HTTP 404: no such model"),
        (error(429, "insufficient_quota"), 1, "HTTP 429: insufficient_quota"),
        (
            Response(302, b"", {"location": "http://127.0.0.1:9/"}),
            3,
            "HTTP 302: redirects are not followed; mend base_url",
        ),
    ],
)
def test_an_endpoint_that_cannot_be_asked_is_an_error_and_nothing_is_kept(
    tmp_path: Path, response: Response, requests: int, says: str
) -> None:
    with Loopback(in_turn(*[response] * requests, chat("mended"))) as server:
        with pytest.raises(ProviderError) as caught:
            desk(tmp_path, server).ask(ask())
        assert len(server.received) == requests
        assert desk(tmp_path, server).ask(ask()).source is Source.ASKED
    assert str(caught.value) == (
        f"endpoint 'e' ({server.base_url}): {says}; every answer so far is kept"
    )


def test_a_refused_connection_is_an_error_after_three_attempts(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{refused_port()}/v1"
    asked = Desk(tmp_path, {"e": Endpoint(kind="openai", base_url=url)})
    with pytest.raises(ProviderError) as caught:
        asked.ask(ask())
    assert str(caught.value).startswith(f"endpoint 'e' ({url}): cannot be reached: ")
    assert len(asked.time.waits) == 2


def test_when_a_model_cannot_be_asked_its_other_requests_are_not_even_sent(tmp_path: Path) -> None:
    def script(received: Received) -> Response:
        return error(404, "no such model") if received.model == "gone" else chat("a")

    with Loopback(script) as server:
        found = desk(tmp_path, server, concurrency=1).ask_all(
            [*(ask(str(n), "gone") for n in range(10)), ask("11", "here")]
        )
    assert {refusal(error_, ProviderError) for error_ in found[:10]} == {
        f"endpoint 'e' ({server.base_url}): HTTP 404: no such model; every answer so far is kept"
    }
    assert isinstance(found[10], Answer)
    assert [received.model for received in server.received] == ["gone", "here"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("sk-1\n", "holds a key with spaces or line breaks"),
        ("sk-1\r\nx-evil: 1", "holds a key with spaces or line breaks"),
        (" sk-1", "holds a key with spaces or line breaks"),
        ("sk-é", "holds a key with spaces or line breaks"),
    ],
)
def test_a_key_that_cannot_be_sent_is_an_error_before_anything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, why: str
) -> None:
    if value is None:
        monkeypatch.delenv("CALIBRATE_TEST_KEY", raising=False)
    else:
        monkeypatch.setenv("CALIBRATE_TEST_KEY", value)
    with Loopback(lambda _: chat("a")) as server:
        asked = desk(tmp_path, server, api_key_env="CALIBRATE_TEST_KEY")
        with pytest.raises(ProviderError) as caught:
            asked.ask(ask(), PRICE)
    assert str(caught.value) == (f"endpoint 'e': the environment variable CALIBRATE_TEST_KEY {why}")
    assert server.received == []
    assert asked.budget.spent_usd == 0


def test_an_endpoint_without_an_address_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both built-in kinds have a default; a plugin's may have none.
    monkeypatch.setattr(openai, "DEFAULT_BASE_URL", None)
    with pytest.raises(ConfigError, match=r"endpoints\.e\.base_url: is missing"):
        Desk(tmp_path, {"e": Endpoint(kind="openai")}).ask(ask())


# Many at once


def test_identical_requests_in_flight_are_asked_once(tmp_path: Path) -> None:
    everybody = threading.Event()

    def script(_: Received) -> Response:
        everybody.wait(5)
        return chat("a")

    async def crowd(client: Client) -> list[Answer]:
        asked = [asyncio.ensure_future(client.ask("e", ask(), FREE)) for _ in range(20)]
        await asyncio.sleep(0)  # all of them have asked by now
        everybody.set()
        found = await asyncio.gather(*asked)
        assert len(client.given) == 1
        return found

    with Loopback(script) as server:
        answers = desk(tmp_path, server).run(crowd)
    assert [answer.reply.text for answer in answers] == ["a"] * 20
    assert len(server.received) == 1


@pytest.mark.parametrize(("which", "requests"), [(0, 2), (1, 1)])
def test_when_the_one_who_asks_gives_up_the_next_asks_again(
    tmp_path: Path, which: int, requests: int
) -> None:
    arrived, given_up = threading.Event(), threading.Event()

    def script(_: Received) -> Response:
        arrived.set()
        given_up.wait(20)
        return chat("a")

    async def use(client: Client) -> list[Answer]:
        askers = [asyncio.ensure_future(client.ask("e", ask(), FREE)) for _ in range(2)]
        await asyncio.to_thread(arrived.wait, 20)
        leaver = askers.pop(which)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        given_up.set()
        return await asyncio.gather(*askers)

    with Loopback(script) as server:
        (answer,) = desk(tmp_path, server).run(use)
    assert isinstance(answer.reply, Completion)
    assert len(server.received) == requests


def test_a_client_that_is_closed_ends_what_is_in_flight_and_counts_it_as_paid(
    tmp_path: Path,
) -> None:
    arrived, closed = threading.Event(), threading.Event()

    def script(_: Received) -> Response:
        arrived.set()
        closed.wait(20)
        return chat("a")

    async def use(client: Client) -> None:
        asking = asyncio.ensure_future(client.ask("e", ask(max_output_tokens=8), PRICE))
        await asyncio.to_thread(arrived.wait, 20)
        asking.cancel()

    with Loopback(script) as server:
        asked = desk(tmp_path, server)
        asked.run(use)
        closed.set()
    assert asked.budget.spent_usd == Decimal("0.000118")  # its worst case


# Of a hundred requests so many get this instead of an answer.
FAULTS = {
    "refused": (10, error(429, "slow down")),
    "broken": (5, error(500, "oops")),
    "hanging": (2, chat("late").after(30)),
    "dropped": (2, dropped()),
    "garbage": (2, Response(200, b"<html>")),
}


@pytest.mark.parametrize("transport", ["direct", "fast", "standard"])
def test_on_a_bad_server_every_request_is_answered_or_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv(CHOICE, transport)
    weights, responses = zip(*FAULTS.values(), strict=True)
    luck = random.Random(7)  # noqa: S311 - the same faults every time
    lots = luck.choices([None, *responses], weights=[100 - sum(weights), *weights], k=2000)

    def script(received: Received) -> Response:
        return lots[received.number] or chat(received.asked, usage=USAGE)

    requests = [ask(str(number), max_output_tokens=8) for number in range(200)]
    with Loopback(script) as server:
        asked = desk(tmp_path, server, concurrency=8, timeout_s=1)
        found = asked.ask_all(requests, PRICE)
        again = desk(tmp_path, server, offline=True).ask_all(requests, PRICE)
    answers = [answer for answer in found if isinstance(answer, Answer)]
    assert len(answers) == len(again) == 200
    for answer in answers:
        if isinstance(answer.reply, Completion):
            assert answer.reply.text == answer.request.messages[0].content
        else:
            alike = sum(failure.reason is answer.reply.reason for failure in answer.failures)
            assert alike + 1 == ATTEMPTS[answer.reply.reason]
    assert sum(answer.attempts for answer in answers) == len(server.received)
    assert sum((answer.paid_usd for answer in answers), Decimal(0)) == asked.budget.spent_usd


def test_the_server_never_sees_more_than_the_limit_in_flight(tmp_path: Path) -> None:
    four = threading.Barrier(4)  # nobody is answered before four are there

    def script(_: Received) -> Response:
        four.wait(20)
        return chat("a")

    with Loopback(script) as server:
        desk(tmp_path, server, concurrency=4).ask_all([ask(str(n)) for n in range(40)])
    assert len(server.received) == 40
    assert server.most_in_flight == 4


def test_requests_per_minute_are_kept_retries_included(tmp_path: Path) -> None:
    with Loopback(in_turn(error(500, "oops"), chat("a"))) as server:
        asked = desk(tmp_path, server, requests_per_minute=2)

        async def in_a_row(client: Client) -> list[float]:
            ends = []
            for number in range(3):
                await client.ask("e", ask(str(number)), FREE)
                ends.append(asked.time.now - 1000)
            return ends

        ends = asked.run(in_a_row)
    assert len(server.received) == 4
    # The two attempts of the first take the first minute; the other two requests the second.
    assert ends[0] < 1
    assert ends[1] == 60
    assert 60 < ends[2] < 61


# Money


def test_the_cap_is_never_passed_with_many_in_flight(tmp_path: Path) -> None:
    # Each costs at most (1 byte + 32) * 1 + 8 * 10 = 113 per million; really 3 + 10 = 13.
    requests = [ask(letter, max_output_tokens=8) for letter in ascii_lowercase]
    with Loopback(lambda _: chat("a", usage=USAGE)) as server:
        asked = desk(tmp_path, server, concurrency=64, limit_usd="0.000300")
        found = asked.ask_all(requests, PRICE)
    answers = [answer for answer in found if isinstance(answer, Answer)]
    refused = [refusal(e, BudgetError) for e in found if not isinstance(e, Answer)]
    # 13 * 14 + 113 = 295 per million fit into 300, and 13 * 15 + 113 do not; two are 226.
    assert len(answers) == len(server.received) == 15
    assert server.most_in_flight <= 2
    assert set(refused) == {
        "the cap of $0.000300 is reached: $0.000195 spent, $0.000000 in flight, the next request "
        "may cost $0.000113; every answer is kept: raise --max-usd and run again to go on"
    }
    assert asked.budget.spent_usd == 15 * Decimal("0.000013")


def test_what_is_in_flight_at_its_worst_is_waited_for_and_ends_no_run(tmp_path: Path) -> None:
    requests = [ask(letter, max_output_tokens=8) for letter in ascii_lowercase]
    with Loopback(lambda _: chat("a", usage=USAGE).after(0.01)) as server:
        asked = desk(tmp_path, server, concurrency=64, limit_usd="0.001000")
        found = asked.ask_all(requests, PRICE)
    assert all(isinstance(answer, Answer) for answer in found)
    assert server.most_in_flight <= 8  # 904 per million; a ninth would pass 1000


def test_after_an_end_no_further_attempt_is_made(tmp_path: Path) -> None:
    async def ended(client: Client) -> BaseException | Answer:
        client.end()
        (found,) = await asyncio.gather(client.ask("e", ask(), FREE), return_exceptions=True)
        return found

    with Loopback(lambda _: chat("a")) as server:
        found = desk(tmp_path, server).run(ended)
    assert refusal(found, CalibrateError) == "the run was ended before this could be asked"
    assert server.received == []


def test_a_failure_that_is_retried_is_asked_again_once_a_run(tmp_path: Path) -> None:
    with Loopback(lambda _: error(400, "no")) as server:
        desk(tmp_path, server).ask(ask())
        again = desk(tmp_path, server, keep_given=False, retry_failed=True)
        again.run(lambda client: in_a_row(client, 3))
    assert len(server.received) == 2


async def in_a_row(client: Client, times: int) -> None:
    for _ in range(times):
        await client.ask("e", ask(), FREE)


def test_what_was_answered_below_the_cap_is_kept_and_not_paid_again(tmp_path: Path) -> None:
    requests = [ask(str(n), max_output_tokens=8) for n in range(9)]
    with Loopback(lambda _: chat("a", usage=USAGE)) as server:
        desk(tmp_path, server, limit_usd="0.000150").ask_all(requests, PRICE)
        reached = len(server.received)
        again = desk(tmp_path, server)
        again.ask_all(requests, PRICE)
    assert reached == 3  # 13 * 2 + 113 = 139 per million, and 13 more are too many
    assert again.budget.spent_usd == 6 * Decimal("0.000013")
    assert len(server.received) == 9


def test_a_cap_of_the_most_that_a_plan_names_suffices(tmp_path: Path) -> None:
    requests = [ask(str(n), max_output_tokens=8) for n in range(9)]
    most = sum((most_usd(request, PRICE, 20) for request in requests), Decimal(0))
    assert most == 9 * Decimal("0.000113")
    with Loopback(lambda _: chat("a", usage=USAGE)) as server:
        found = desk(tmp_path, server, limit_usd=str(most)).ask_all(requests, PRICE)
    assert all(isinstance(answer, Answer) for answer in found)


def test_each_attempt_is_reserved_for_so_retries_stay_below_the_cap(tmp_path: Path) -> None:
    with Loopback(lambda _: Response(200, b"garbage")) as server:
        asked = desk(tmp_path, server, limit_usd="0.000250")
        with pytest.raises(BudgetError):
            asked.ask(ask("1", max_output_tokens=8), PRICE)
    # A broken answer may have been billed at its worst, 113 per million: a third does not fit.
    assert len(server.received) == 2
    assert asked.budget.spent_usd == Decimal("0.000226")


def test_the_worst_case_counts_every_byte_and_the_schema(tmp_path: Path) -> None:
    schema = {"type": "object"}
    request = ask("é", max_output_tokens=8, output_schema=schema)
    # 2 bytes + 16 * 2 + len("{'type': 'object'}") = 18, at 1; 8 at 10: 52 + 80 per million
    assert most_usd(request, PRICE, 20) == Decimal("0.000132")
    # An embedding has no output: 2 bytes + 16 * 2.
    assert most_usd(Request("openai", "m", input="é"), PRICE, 20) == Decimal("0.000034")
    # A machine by the hour: 3600 dollars an hour for 20 s.
    assert most_usd(request, HourlyPrice(Decimal(3600), 1), 20) == 20


# The key


def everything_written(folder: Path) -> bytes:
    """Return the bytes of every file, with SQLite rows and packed files as text."""
    found = b""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found += path.read_bytes()
        if path.suffix == ".gz":
            found += gzip.decompress(path.read_bytes())
        if path.suffix == ".sqlite":
            connection = sqlite3.connect(path)
            found += repr(connection.execute("SELECT * FROM answers").fetchall()).encode()
            connection.close()
    return found


ESCAPED = "".join(f"\\u{ord(character):04x}" for character in CANARY)
ECHOES = {
    "in an answer": chat(f"your key is {CANARY}!"),
    "in a refusal": chat(None, refusal=f"I will not use {CANARY}"),
    "as the served model": chat("a", model=CANARY),
    "in a token": chat(
        "a", logprobs={"content": [{"token": CANARY, "logprob": -1, "top_logprobs": []}]}
    ),
    "in an error": error(400, f"the key {CANARY} may not do this"),
    "at the edge of a long error": error(400, "x" * 280 + CANARY),
    "in HTML": Response(500, f"<p>{CANARY}</p>".encode()),
    "as a body": Response(200, CANARY.encode()),
    "with slashes escaped": Response(
        400, json.dumps({"error": CANARY}).replace("/", "\\/").encode()
    ),
    "with everything escaped": Response(
        200, f'{{"choices": [{{"message": {{"content": "a {ESCAPED}"}}}}]}}'.encode()
    ),
}


@pytest.mark.parametrize("name", ECHOES)
def test_a_key_that_a_server_echoes_is_blotted_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("CALIBRATE_TEST_KEY", CANARY)
    with Loopback(lambda _: ECHOES[name]) as server:
        asked = desk(tmp_path, server, api_key_env="CALIBRATE_TEST_KEY")
        answer = asked.ask(ask())
    write_recordings(tmp_path / "r.jsonl.gz", [Recorded(answer.request, answer.reply)])
    assert server.received[0].headers["authorization"] == f"Bearer {CANARY}"
    assert "[key]" in repr(answer)
    for written in (repr(answer).encode(), everything_written(tmp_path)):
        assert b"canary" not in written
        assert not re.search(rb"sk-c|\\u0073\\u006b", written)


@pytest.mark.parametrize("status", [401, 404])
def test_a_key_that_a_server_echoes_is_in_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("CALIBRATE_TEST_KEY", CANARY)
    with Loopback(lambda _: error(status, f"bad key: {CANARY}")) as server:
        asked = desk(tmp_path, server, api_key_env="CALIBRATE_TEST_KEY")
        with pytest.raises(ProviderError) as caught:
            asked.ask(ask())
    assert str(caught.value) == (
        f"endpoint 'e' ({server.base_url}): HTTP {status}: bad key: [key]; "
        "every answer so far is kept"
    )


def test_a_word_that_serves_as_a_key_stays_in_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Local servers take any key; people write `ollama` or `none`.
    monkeypatch.setenv("CALIBRATE_TEST_KEY", "ollama")
    with Loopback(lambda _: chat("I run in ollama")) as server:
        answer = desk(tmp_path, server, api_key_env="CALIBRATE_TEST_KEY").ask(ask())
    assert isinstance(answer.reply, Completion)
    assert answer.reply.text == "I run in ollama"


# Bad servers


@pytest.mark.parametrize(
    "response",
    [
        Response(200, b'{"choices": [{"message": {"content": "\\ud800"}}]}'),
        Response(200, b'{"choices": [{"message": {"content": "\\u0000"}}]}'),
        chat("a", usage={"prompt_tokens": 10**30, "completion_tokens": 1}),
        chat("a", model="\N{GRINNING FACE}" * 1000),
    ],
    ids=["half a pair", "NUL", "countless tokens", "a long name"],
)
def test_an_odd_answer_is_kept_recorded_and_read_back(tmp_path: Path, response: Response) -> None:
    with Loopback(lambda _: response) as server:
        live = desk(tmp_path, server).ask(ask())
        cached = desk(tmp_path, server).ask(ask())
    assert isinstance(live.reply, Completion)
    assert cached.reply == live.reply
    write_recordings(tmp_path / "r.jsonl.gz", [Recorded(ask(), live.reply)])
    assert Recordings(tmp_path / "r.jsonl.gz").get(ask()) == live.reply


def test_answers_that_arrive_while_another_fails_for_good_are_kept(tmp_path: Path) -> None:
    def script(received: Received) -> Response:
        return error(400, "no") if received.asked == "bad" else chat("a")

    with Loopback(script) as server:
        desk(tmp_path, server).ask_all([ask("1"), ask("bad"), ask("2")])
        again = desk(tmp_path, server, offline=True).ask_all([ask("1"), ask("bad"), ask("2")])
    assert [type(answer.reply) for answer in again if isinstance(answer, Answer)] == [
        Completion,
        Failure,
        Completion,
    ]
