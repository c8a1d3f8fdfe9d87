"""Hand a batch in, look after it, fetch its results: whatever happens in between."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from types import TracebackType

from calibrate.batches import anthropic, openai
from calibrate.batches.api import BatchApi, Line, Outcome, Page, Remote
from calibrate.batches.exchange import Exchange, transfer_s, wait_before_again
from calibrate.batches.journal import Batch, Journal
from calibrate.batches.parcels import custom_id
from calibrate.batches.results import Collected, Keep, Sorting, own_lines
from calibrate.completion import Failure, FailureReason, Request
from calibrate.config import Endpoint
from calibrate.errors import ProviderError
from calibrate.pricing import batch_factor
from calibrate.providers.base import Call, Malformed
from calibrate.transports import Transport, open_transport

__all__ = ["APIS", "Post"]

APIS: Mapping[str, BatchApi] = {"openai": openai, "anthropic": anthropic}

SETTLE_S = 60.0  # after its time-out, what has arrived is to be seen in the server's list
SKEW_S = 3600.0  # that two clocks may be apart
MOST_PAGES = 100
MOST_SILENCE = 30  # looks in a row that got no answer
_NOT_TAKEN = frozenset({FailureReason.RATE_LIMITED, FailureReason.UNREACHABLE})
_UNSURE = frozenset({FailureReason.TIMEOUT, FailureReason.BAD_RESPONSE, FailureReason.SERVER_ERROR})


class Post:
    """The way to the batch APIs of some endpoints and back; all that is out is in the journal."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        journal: Journal,
        *,
        transport: Callable[[int], Transport] = open_transport,
        factor: Callable[[str], Decimal] = batch_factor,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.journal = journal
        self.factor = factor
        self.clock = clock
        self.sleep = sleep
        self._endpoints = endpoints
        self._open_transport = transport
        self._transport: Transport | None = None
        self._exchanges: dict[str, Exchange] = {}
        self._silence: Counter[str] = Counter()

    async def __aenter__(self) -> Post:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            await self._transport.close()

    async def hand_in(self, batch: Batch, target: str, requests: Sequence[Request]) -> bool:
        """Write a batch down and hand it in; False where another run has one of its requests.

        Raises `ProviderError` where it is refused. Where nobody knows whether it was taken in,
        `look` finds out.
        """
        api, exchange = APIS[batch.kind], self._exchange(batch)
        rows = [
            api.row(request, batch.base_url, custom_id(batch.tag, number))
            for number, request in enumerate(requests)
        ]
        # What is uploaded costs nothing yet, and takes its time.
        name = await self._uploaded(batch, rows)
        create = api.create(exchange.server, rows, batch.tag, target, name)
        timeout_s = transfer_s(len(create.body))
        settles_at = self.clock() + timeout_s + SETTLE_S
        batch = replace(batch, settles_at=settles_at)
        if not self.journal.claim(batch, requests):
            return False
        answer = await self._created(batch, create, timeout_s)
        if isinstance(answer, Failure) and answer.reason not in _UNSURE:
            self.journal.drop(batch)
            raise _refused(batch, answer.message)
        with suppress(Malformed):
            if isinstance(answer, bytes):
                self.journal.confirm(batch, api.remote(answer).id)
        return True

    async def _uploaded(self, batch: Batch, rows: Sequence[bytes]) -> str:
        """Return the name under which the server has the requests, where the API uploads them."""
        api, exchange = APIS[batch.kind], self._exchange(batch)
        upload = api.upload(exchange.server, rows, batch.tag)
        if upload is None:
            return ""
        answer = await exchange.transfer(upload)
        if isinstance(answer, Failure):
            raise _refused(batch, answer.message)
        try:
            return api.uploaded(answer)
        except Malformed as error:
            raise _refused(batch, str(error)) from error

    async def _created(self, batch: Batch, create: Call, timeout_s: float) -> bytes | Failure:
        """Send the call that pays; again only where it cannot have been taken in."""
        failures: list[Failure] = []
        while True:
            answer, pause_s = await self._exchange(batch).once(create, timeout_s)
            if isinstance(answer, bytes) or answer.reason not in _NOT_TAKEN:
                return answer
            failures.append(answer)
            wait = wait_before_again(failures, pause_s)
            if wait is None:
                return answer
            settles_at = self.clock() + wait + timeout_s + SETTLE_S
            if not self.journal.renew(batch, settles_at):
                return replace(answer, reason=FailureReason.TIMEOUT)  # another run took it over
            await self.sleep(wait)

    async def look(self, batch: Batch) -> Remote | None:
        """Return how far a batch is; None where that cannot be told just now.

        Raises `ProviderError` where the server does not know it (any more), or stays silent.
        """
        if batch.remote is None:
            return await self._found(batch)
        api, exchange = APIS[batch.kind], self._exchange(batch)
        answer = await exchange.ask(api.look(exchange.server, batch.remote))
        if isinstance(answer, bytes):
            try:
                remote = api.remote(answer)
            except Malformed as error:
                self._count_silence(batch, str(error))
                return None
            self._silence[batch.tag] = 0
            return remote
        if answer.reason in (FailureReason.UNAUTHORISED, FailureReason.NO_SUCH_MODEL):
            raise self._problem(batch, answer.message)
        self._count_silence(batch, answer.message)
        return None

    async def collect(self, batch: Batch, remote: Remote, keep: Keep) -> Collected | None:
        """Fetch and keep the results of a batch that has ended, and strike it out.

        None where another run has collected it meanwhile, or where it turns out to be another
        batch, which was taken for this one after a crash.
        Raises `ProviderError` where they cannot be fetched, and what `keep` does unless that is
        `ModelMoved`: then nothing is struck out.
        """
        if remote.outcome is Outcome.REFUSED:
            self.journal.drop(batch)
            why = f"{remote.why or 'the server gave no reason'}; nothing of it was asked"
            return Collected(batch, 0, 0, batch.requests, Decimal(0), why)
        items = self.journal.items(batch)
        if not items:
            return None
        found = await self._results(batch, remote)
        is_guess = batch.is_guess or (batch.remote is None and not APIS[batch.kind].KEEPS_TAGS)
        if is_guess and not found:
            self.journal.rule_out(batch, remote.id)
            return None
        sorting = Sorting(batch, remote, self.factor(batch.base_url), keep)
        for number, item in items.items():
            sorting.take(number, item, found.get(number))
        self.journal.close(batch, sorting.left)
        return sorting.collected()

    async def _results(self, batch: Batch, remote: Remote) -> dict[int, Line]:
        """Return the result of each request, in whatever order they come, by its number."""
        api, exchange = APIS[batch.kind], self._exchange(batch)
        found: dict[int, Line] = {}
        for call in api.results(exchange.server, remote):
            answer = await exchange.transfer(call)
            if isinstance(answer, Failure):
                raise self._problem(batch, f"its results cannot be fetched: {answer.message}")
            for number, line in own_lines(batch, api, answer):
                found.setdefault(number, line)
        return found

    async def _found(self, batch: Batch) -> Remote | None:
        """Look for a batch of which only the intention is known, in what the server has.

        Where the API takes no note of ours, one that may be it is taken for it until its results
        say whose they are.
        """
        api, exchange = APIS[batch.kind], self._exchange(batch)
        others = {other.remote for other in self.journal.batches()}
        others |= batch.ruled_out
        after: str | None = None
        for _ in range(MOST_PAGES):
            answer = await exchange.ask(api.listing(exchange.server, after))
            page = _page(api, answer)
            if isinstance(page, str):
                self._count_silence(batch, page)
                return None
            self._silence[batch.tag] = 0
            for remote in page.batches:
                if remote.id not in others and _may_be(batch, remote, has_tags=api.KEEPS_TAGS):
                    self.journal.confirm(batch, remote.id, is_guess=not api.KEEPS_TAGS)
                    return await self.look(replace(batch, remote=remote.id))
            after = page.after
            if after is None or _is_older(batch, page.batches[-1]):
                break
        if self.clock() < batch.settles_at:
            return None
        return Remote("", Outcome.UNKNOWN, None, 0, 0.0)

    def _count_silence(self, batch: Batch, why: str) -> None:
        self._silence[batch.tag] += 1
        if self._silence[batch.tag] > MOST_SILENCE:
            raise self._problem(batch, why)

    def _exchange(self, batch: Batch) -> Exchange:
        if batch.endpoint not in self._exchanges:
            settings = self._endpoints.get(batch.endpoint)
            if settings is None or settings.kind != batch.kind:
                raise self._problem(batch, "the tiers file has no such endpoint any more")
            self._exchanges[batch.endpoint] = Exchange(
                batch.endpoint, settings, self._opened, self.sleep
            )
        exchange = self._exchanges[batch.endpoint]
        if exchange.server.base_url != batch.base_url:
            raise self._problem(batch, f"the endpoint is {exchange.server.base_url} now")
        return exchange

    def _opened(self) -> Transport:
        if self._transport is None:
            self._transport = self._open_transport(4)
        return self._transport

    def _problem(self, batch: Batch, why: str) -> ProviderError:
        return ProviderError(
            f"endpoint {batch.endpoint!r}: batch {batch.remote or batch.tag}: {why}; it stays "
            f"written down until `calibrate batch collect` fetches it or `calibrate batch forget "
            f"{batch.tag}` gives it up"
        )


def _refused(batch: Batch, why: str) -> ProviderError:
    return ProviderError(
        f"endpoint {batch.endpoint!r} ({batch.base_url}) takes no batch of {batch.model!r}: "
        f"{why}; without --batch it is asked directly"
    )


def _page(api: BatchApi, answer: bytes | Failure) -> Page | str:
    """Return a page of a server's list, or why there is none."""
    if isinstance(answer, Failure):
        return answer.message
    try:
        return api.page(answer)
    except Malformed as error:
        return str(error)


def _may_be(batch: Batch, remote: Remote, *, has_tags: bool) -> bool:
    if has_tags:
        return remote.tag == batch.tag
    return remote.total == batch.requests and not _is_older(batch, remote)


def _is_older(batch: Batch, remote: Remote) -> bool:
    """Return whether a server's batch is from before this one was intended."""
    return 0 < remote.created_at < batch.intended_at - SKEW_S
