"""Ask a model: recordings, cache, budget, limit, retry, send, journal."""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import TracebackType
from typing import TypeGuard

from calibrate.cache import Cache, Recordings
from calibrate.completion import (
    Completion,
    Failure,
    FailureReason,
    Reply,
    Request,
)
from calibrate.config import Endpoint
from calibrate.errors import CacheMiss, CalibrateError, ConfigError, ProviderError
from calibrate.limits import Limiter
from calibrate.pricing import Budget, Price
from calibrate.providers import provider
from calibrate.transports import Transport, open_transport

__all__ = ["Answer", "Client", "Source", "most_usd"]

# Shorter "keys" are words such as `none` or `ollama`, which an answer may well hold.
MIN_KEY_LENGTH = 8
_BLOT = b"[key]"
MAX_ATTEMPTS = 5
MAX_WAIT_S = 60.0
# Only what is named here is asked again, and never because of what an answer says.
_ATTEMPTS = {
    FailureReason.RATE_LIMITED: MAX_ATTEMPTS,
    FailureReason.SERVER_ERROR: MAX_ATTEMPTS,
    FailureReason.TIMEOUT: 3,
    FailureReason.BAD_RESPONSE: 3,
    FailureReason.UNREACHABLE: 3,
}
# Nothing about one case: every other request to this model would fail in the same way.
_FATAL = frozenset(
    {FailureReason.UNREACHABLE, FailureReason.UNAUTHORISED, FailureReason.NO_SUCH_MODEL}
)


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
    attempts: int = 0
    paid_usd: Decimal = Decimal(0)


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
        transport: Callable[[], Transport] = open_transport,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._endpoints = endpoints
        self._recordings = recordings
        self._cache = cache
        self._budget = budget
        self._offline = offline
        self._read_stored = read_stored
        self._retry_failed = retry_failed
        self._open_transport = transport
        self._transport: Transport | None = None
        self._clock = clock
        self._sleep = sleep
        self._limiters: dict[str, Limiter] = {}
        self._unusable: dict[tuple[str, str], str] = {}  # endpoint and model, and why
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
            answer = await self._answer(endpoint, request, price, timeout_s)
            self.given.setdefault(name, answer)
        return self.given[name]

    async def _answer(
        self, endpoint: str, request: Request, price: Price, timeout_s: float | None
    ) -> Answer:
        stored = self._stored(endpoint, request)
        if stored is not None:
            return stored
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
        return await task

    def has(self, endpoint: str, request: Request) -> bool:
        """Return whether an answer is there already, so that asking costs nothing."""
        return self._stored(endpoint, request) is not None

    def concurrency(self, endpoint: str) -> int:
        """Return how many requests the endpoint may have in flight."""
        return self._endpoints[endpoint].concurrency

    def _stored(self, endpoint: str, request: Request) -> Answer | None:
        if not self._read_stored:
            return None
        recorded = self._recordings.get(request)
        if self._counts(recorded):
            return Answer(request, recorded, Source.RECORDED)
        if self._cache is None:
            return None
        cached = self._cache.get(request, self._base_url(endpoint))
        return Answer(request, cached, Source.CACHED) if self._counts(cached) else None

    def _counts(self, stored: Reply | None) -> TypeGuard[Reply]:
        """Return whether a stored reply stands; failures are asked again only when told to."""
        return stored is not None and not (self._retry_failed and isinstance(stored, Failure))

    async def _ask_and_keep(
        self, endpoint: str, request: Request, price: Price, timeout_s: float | None
    ) -> Answer:
        ceiling_s = self._endpoints[endpoint].timeout_s
        timeout_s = min(timeout_s or ceiling_s, ceiling_s)
        replies: list[Reply] = []
        paid = Decimal(0)
        async for reply, cost in self._attempts(endpoint, request, price, timeout_s):
            replies.append(reply)
            paid += cost
        last = replies[-1]
        if isinstance(last, Failure) and last.reason in _FATAL:
            why = f"endpoint {endpoint!r} ({self._base_url(endpoint)}): {last.message}"
            self._unusable[endpoint, request.name] = f"{why}; every answer so far is kept"
            raise ProviderError(self._unusable[endpoint, request.name])
        if self._cache is not None:
            self._cache.put(request, self._base_url(endpoint), last)
        return Answer(request, last, Source.ASKED, len(replies), paid)

    async def _attempts(
        self, endpoint: str, request: Request, price: Price, timeout_s: float
    ) -> AsyncIterator[tuple[Reply, Decimal]]:
        """Yield each attempt's reply and cost; the last is an answer or a failure for good."""
        limiter = self._limiter(endpoint)
        attempt = 0
        while True:
            attempt += 1
            async with limiter.slot():
                if (endpoint, request.name) in self._unusable:
                    raise ProviderError(self._unusable[endpoint, request.name])
                reply, cost = await self._attempt(endpoint, request, price, timeout_s)
            yield reply, cost
            if isinstance(reply, Completion) or attempt >= _ATTEMPTS.get(reply.reason, 1):
                return
            await self._sleep(_wait_s(attempt, reply))

    async def _attempt(
        self, endpoint: str, request: Request, price: Price, timeout_s: float
    ) -> tuple[Reply, Decimal]:
        """Send once, with the worst that it can cost set aside before."""
        worst = most_usd(request, price, timeout_s)
        self._budget.reserve(worst)
        paid = worst  # of an attempt that is interrupted nobody knows what it was billed
        try:
            reply = await self._send(endpoint, request, timeout_s)
            paid = _paid(reply, price, worst)
        except CalibrateError:
            paid = Decimal(0)  # found before anything was sent
            raise
        finally:
            self._budget.settle(worst, paid)
        return reply, paid

    async def _send(self, endpoint: str, request: Request, timeout_s: float) -> Reply:
        if self._transport is None:
            self._transport = self._open_transport()
        wire = provider(self._endpoints[endpoint].kind)
        key = self._api_key(endpoint)
        call = wire.encode(request, self._base_url(endpoint), key)
        started = self._clock()
        sent = await self._transport.send(call, timeout_s)
        latency_s = round(self._clock() - started, 4)
        if isinstance(sent, Failure):
            message = _without_key(sent.message.encode(), key).decode()
            return replace(sent, message=message, latency_s=latency_s)
        reply = wire.decode(request, sent.status, _without_key(sent.body, key), latency_s)
        if isinstance(reply, Failure):
            return replace(reply, retry_after_s=sent.retry_after_s)
        return reply

    def _limiter(self, endpoint: str) -> Limiter:
        if endpoint not in self._limiters:
            settings = self._endpoints[endpoint]
            self._limiters[endpoint] = Limiter(
                settings.concurrency, settings.requests_per_minute, self._clock, self._sleep
            )
        return self._limiters[endpoint]

    def _base_url(self, endpoint: str) -> str:
        settings = self._endpoints[endpoint]
        base_url = settings.base_url or provider(settings.kind).DEFAULT_BASE_URL
        if base_url is None:
            raise ConfigError(f"endpoints.{endpoint}.base_url: is missing")
        return base_url

    def _api_key(self, endpoint: str) -> str | None:
        variable = self._endpoints[endpoint].api_key_env
        if variable is None:
            return None
        key = os.environ.get(variable, "")
        if not key or key != key.strip() or not key.isascii() or not key.isprintable():
            raise ProviderError(
                f"endpoint {endpoint!r}: the environment variable {variable} "
                + ("is not set" if not key else "holds a key with spaces or line breaks")
            )
        return key


def most_usd(request: Request, price: Price, timeout_s: float) -> Decimal:
    """Return the most that one attempt at a request can cost.

    No tokeniser makes more tokens than the text has bytes, plus a few for each message.
    """
    texts = request.texts
    most_input = sum(len(text.encode()) for text in texts) + 16 * (len(texts) + 1)
    parts = request.parameters.values()  # schemas and tools are read, and billed, as input
    most_input += sum(len(str(part)) for part in parts if isinstance(part, dict | list))
    return price.estimate(most_input, request.parameters.get("max_output_tokens", 0), timeout_s)


def _paid(reply: Reply, price: Price, worst: Decimal) -> Decimal:
    """Return what an attempt cost; one that broke off may have been billed, so it counts whole."""
    if isinstance(reply, Completion):
        return max(price.cost(reply.usage, reply.latency_s), reply.billed_usd or Decimal(0))
    broke_off = reply.reason in (FailureReason.TIMEOUT, FailureReason.BAD_RESPONSE)
    return worst if broke_off else Decimal(0)


def _without_key(text: bytes, key: str | None) -> bytes:
    """Blot the key out where a server echoes it: it must reach no cache, report or message."""
    if key is None or len(key) < MIN_KEY_LENGTH:
        return text
    text = text.replace(key.encode(), _BLOT)
    return _escaped(key).sub(_BLOT, text) if b"\\" in text else text


@cache
def _escaped(key: str) -> re.Pattern[bytes]:
    """Match a key however JSON may escape its characters."""
    spelled = (rf"(?:\\?{re.escape(c)}|\\u00{ord(c):02x})" for c in key)
    return re.compile("".join(spelled).encode(), re.IGNORECASE)


def _wait_s(attempt: int, failure: Failure) -> float:
    """Return the wait before the next attempt: the server's word, else backoff with jitter."""
    if failure.retry_after_s is not None:
        return min(failure.retry_after_s, MAX_WAIT_S)
    backoff_s = min(0.25 * 2.0**attempt, MAX_WAIT_S)
    return backoff_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter only spreads requests
