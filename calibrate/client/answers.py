"""Answers to requests: from the recordings, from the cache, or asked now and kept."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import TracebackType

from calibrate.cache import Cache, ModelId, Recordings, StoredAnswers
from calibrate.client.channel import Asked, Channel
from calibrate.completion import Failure, Reply, Request
from calibrate.config import Endpoint
from calibrate.errors import CacheMiss, CalibrateError, ModelMoved
from calibrate.pricing import Budget, Price
from calibrate.transports import Transport, open_transport

__all__ = ["Answer", "Client", "Source"]

# Answers that have arrived and are written together at most. Fewer are whenever nothing else is
# ready to be done, so what a killed process may lose is what arrived in its last milliseconds.
TOGETHER = 16


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
        keep_given: bool = False,
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
        # Answers of this run, each once: all of them where they are to be written down or no
        # storage gives them again, else those that came another way.
        self.given: dict[tuple[str, str], Answer] = {}
        self._keeps_given = keep_given or cache is None or not read_stored or retry_failed
        self._is_ended = False
        # By model, and by what of a request's key tells it from a run's others in little room.
        self._sources: defaultdict[ModelId, dict[int, Source]] = defaultdict(dict)
        self._in_flight: dict[tuple[str, str], asyncio.Future[Answer | None]] = {}
        self._unwritten = 0  # answers that have arrived
        self._unwritable: CalibrateError | None = None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            await self._transport.close()
        self._write_rest()
        if self._unwritable is not None and kind is None:
            raise self._unwritable

    async def ask(
        self,
        endpoint: str,
        request: Request,
        price: Price,
        timeout_s: float | None = None,
        *,
        account: str = "",
    ) -> Answer:
        """Return the answer to a request, from storage where it is there.

        What is paid is put down to an account of the budget: the model on whose behalf it is asked.
        Raises `CacheMiss` when it must be asked but may not, `BudgetError` before the cap could
        be passed, and `ProviderError` where the endpoint cannot be asked at all.
        """
        if self._unwritable is not None:
            raise self._unwritable
        answer = self.given.get((endpoint, request.key)) or self.stored(endpoint, request)
        if answer is None:
            answer = await self._asked(endpoint, request, price, timeout_s, account)
        elif (move := self._storage.spoilt(request, self._channel(endpoint).base_url)) is not None:
            raise ModelMoved(str(move))
        self._give(endpoint, answer)
        return answer

    def keep(self, endpoint: str, request: Request, reply: Reply, paid_usd: Decimal) -> None:
        """Take in an answer that was asked for now, but came another way.

        Raises `ModelMoved` as `ask` does; the answer is kept.
        """
        try:
            answer = self._kept(endpoint, request, Asked(reply, (), paid_usd))
        finally:
            self._write()
        self.given[endpoint, request.key] = answer
        self._give(endpoint, answer)

    def look_ahead(self, endpoint: str, requests: Sequence[Request]) -> None:
        """Read together what is stored of requests that are asked next."""
        if self._read_stored:
            self._storage.look_ahead(requests, self._channel(endpoint).base_url)

    def has(self, endpoint: str, request: Request) -> bool:
        """Return whether an answer is there already, so that asking costs nothing."""
        if (endpoint, request.key) in self.given:
            return True
        return self._read_stored and self._storage.has(request, self._channel(endpoint).base_url)

    def sources(self) -> Counter[Source]:
        """Return how many different requests were answered in this run, by where from."""
        return Counter(source for model in self._sources.values() for source in model.values())

    def end(self) -> None:
        """Begin no attempt any more; what is in flight goes on."""
        self._is_ended = True

    def start_over(self) -> None:
        """After `ModelMoved`: forget what the models that have moved said in this run."""
        self._is_ended = False
        moved = self._storage.start_over()
        for model in moved:
            del self._sources[model]
        for name, answer in list(self.given.items()):
            if self._model(name[0], answer.request) in moved:
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

    def _give(self, endpoint: str, answer: Answer) -> None:
        """Count an answer; one that was given before keeps the source that it had."""
        request = answer.request
        of_model = self._sources[self._model(endpoint, request)]
        of_model.setdefault(int(request.key[:15], 16), answer.source)
        if self._keeps_given:
            self.given.setdefault((endpoint, request.key), answer)

    def _model(self, endpoint: str, request: Request) -> ModelId:
        return ModelId(self._channel(endpoint).base_url, request.kind, request.name)

    async def _asked(
        self,
        endpoint: str,
        request: Request,
        price: Price,
        timeout_s: float | None,
        account: str,
    ) -> Answer:
        """Ask once for everybody who wants this answer now: the first of them asks.

        Should that one be cancelled, the next asks again. It is not a task of its own, so that
        the next request leaves as soon as an answer is kept, whatever else has arrived.
        """
        if self._offline:
            raise CacheMiss(
                f"an answer of {request.name!r} is not recorded, and --offline forbids asking; "
                "run without --offline, or record it with --record"
            )
        name = (endpoint, request.key)
        while name in self._in_flight:
            answer = await asyncio.shield(self._in_flight[name])
            if answer is not None:
                return answer
        asking = self._in_flight[name] = asyncio.get_running_loop().create_future()
        answer = None
        try:
            asked = await self._channel(endpoint).ask(request, price, timeout_s, account)
            answer = self._kept(endpoint, request, asked)
        except CalibrateError as error:
            asking.set_exception(error)
            asking.exception()  # there may be nobody else who hears of it
            raise
        finally:
            del self._in_flight[name]
            if not asking.done():
                asking.set_result(answer)
        return answer

    def _kept(self, endpoint: str, request: Request, asked: Asked) -> Answer:
        move = self._storage.put(request, self._channel(endpoint).base_url, asked.reply)
        self._unwritten += 1
        if self._unwritten >= TOGETHER:
            self._write()
        elif self._unwritten == 1:
            asyncio.get_running_loop().call_soon(self._write_rest)
        if move is not None and move.is_spoiling:
            raise ModelMoved(str(move))
        return Answer(request, asked.reply, Source.ASKED, asked.failures, asked.paid_usd)

    def _write(self) -> None:
        self._unwritten = 0
        self._storage.commit()

    def _write_rest(self) -> None:
        """Write what has arrived before anything else is waited for; an error ends the asking."""
        try:
            self._write()
        except CalibrateError as error:
            self._unwritable = error

    def _channel(self, endpoint: str) -> Channel:
        if endpoint not in self._channels:
            self._channels[endpoint] = Channel(
                endpoint,
                self._endpoints[endpoint],
                self._budget,
                self._opened,
                lambda: self._is_ended,
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
