"""Answers to requests: from the recordings, from the cache, or asked now and kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import TracebackType

from calibrate.cache import Cache, ModelId, Recordings, StoredAnswers
from calibrate.client.channel import Asked, Channel
from calibrate.completion import Failure, Reply, Request
from calibrate.config import Endpoint
from calibrate.errors import CacheMiss, ModelMoved
from calibrate.pricing import Budget, Price
from calibrate.transports import Transport, open_transport

__all__ = ["Answer", "Client", "Source"]


class Source(StrEnum):
    """Where an answer came from."""

    RECORDED = "recorded"
    CACHED = "cached"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, where it came from, and what was paid for it now (nothing unless asked)."""

    request: Request
    reply: Reply
    source: Source
    failures: tuple[Failure, ...] = ()  # of the attempts before the reply
    paid_usd: Decimal = Decimal(0)

    @property
    def attempts(self) -> int:
        """How often it was sent now."""
        return len(self.failures) + 1 if self.source is Source.ASKED else 0


class Client:
    """Answers to requests, each asked at most once; everything asked is kept as it arrives."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        *,
        recordings: Recordings,
        cache: Cache | None,
        budget: Budget,
        offline: bool = False,
        read_stored: bool = True,
        retry_failed: bool = False,
        needs_latency: bool = False,
        transport: Callable[[int], Transport] = open_transport,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._endpoints = endpoints
        self._storage = StoredAnswers(
            recordings,
            cache,
            give_failures=not retry_failed,
            give_unmeasured=not needs_latency,
        )
        self._budget = budget
        self._offline = offline
        self._read_stored = read_stored
        self._open_transport = transport
        self._transport: Transport | None = None
        self._clock = clock
        self._sleep = sleep
        self._channels: dict[str, Channel] = {}
        self.given: dict[tuple[str, str], Answer] = {}  # every answer of this run, once
        self._in_flight: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asking = list(self._in_flight.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()

    async def ask(
        self, endpoint: str, request: Request, price: Price, timeout_s: float | None = None
    ) -> Answer:
        """Return the answer to a request, from storage where it is there.

        Raises `CacheMiss` when it must be asked but may not, `BudgetError` before the cap could
        be passed, and `ProviderError` where the endpoint cannot be asked at all.
        """
        name = (endpoint, request.key)
        if name not in self.given:
            answer = self.stored(endpoint, request)
            if answer is None:
                answer = await self._asked(endpoint, request, price, timeout_s)
            self.given.setdefault(name, answer)
        return self.given[name]

    def keep(self, endpoint: str, request: Request, reply: Reply, paid_usd: Decimal) -> None:
        """Take in an answer that was asked for now, but came another way.

        Raises `ModelMoved` as `ask` does; the answer is kept.
        """
        answer = self._kept(endpoint, request, Asked(reply, (), paid_usd))
        self.given[endpoint, request.key] = answer

    def has(self, endpoint: str, request: Request) -> bool:
        """Return whether an answer is there already, so that asking costs nothing."""
        base_url = self._channel(endpoint).base_url
        return self._read_stored and self._storage.has(request, base_url)

    def start_over(self) -> None:
        """After `ModelMoved`: forget what the models that have moved said in this run."""
        moved = self._storage.start_over()
        for name, answer in list(self.given.items()):
            base_url = self._channel(name[0]).base_url
            if ModelId(base_url, answer.request.kind, answer.request.name) in moved:
                del self.given[name]

    def notes(self) -> list[str]:
        """Return what a run must say of its models: aliases that moved, recordings not used."""
        return self._storage.notes()

    def concurrency(self, endpoint: str) -> int:
        """Return how many requests the endpoint may have in flight."""
        return self._endpoints[endpoint].concurrency

    def stored(self, endpoint: str, request: Request) -> Answer | None:
        """Return an answer that is there already; None where it would have to be asked."""
        if not self._read_stored:
            return None
        found = self._storage.get(request, self._channel(endpoint).base_url)
        if found is None:
            return None
        source = Source.RECORDED if found.is_recorded else Source.CACHED
        return Answer(request, found.reply, source)

    async def _asked(
        self, endpoint: str, request: Request, price: Price, timeout_s: float | None
    ) -> Answer:
        """Ask once for everybody who wants this answer, also if one of them no longer does."""
        if self._offline:
            raise CacheMiss(
                f"an answer of {request.name!r} is not recorded, and --offline forbids asking; "
                "run without --offline, or record it with --record"
            )
        name = (endpoint, request.key)
        task = self._in_flight.get(name)
        if task is None:
            task = asyncio.ensure_future(self._ask_and_keep(endpoint, request, price, timeout_s))
            self._in_flight[name] = task
            task.add_done_callback(lambda _: self._in_flight.pop(name, None))
        return await asyncio.shield(task)

    async def _ask_and_keep(
        self, endpoint: str, request: Request, price: Price, timeout_s: float | None
    ) -> Answer:
        asked = await self._channel(endpoint).ask(request, price, timeout_s)
        return self._kept(endpoint, request, asked)

    def _kept(self, endpoint: str, request: Request, asked: Asked) -> Answer:
        move = self._storage.put(request, self._channel(endpoint).base_url, asked.reply)
        if move is not None and move.is_spoiling:
            raise ModelMoved(str(move))
        return Answer(request, asked.reply, Source.ASKED, asked.failures, asked.paid_usd)

    def _channel(self, endpoint: str) -> Channel:
        if endpoint not in self._channels:
            self._channels[endpoint] = Channel(
                endpoint,
                self._endpoints[endpoint],
                self._budget,
                self._opened,
                self._clock,
                self._sleep,
            )
        return self._channels[endpoint]

    def _opened(self) -> Transport:
        """Return the run's one transport, opened when something is first asked."""
        if self._transport is None:
            slots = sum(settings.concurrency for settings in self._endpoints.values())
            self._transport = self._open_transport(slots)
        return self._transport
