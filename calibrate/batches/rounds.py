"""A round of a run by batches: everything it asks, answered before the run goes on."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from calibrate.batches.api import Outcome, Remote
from calibrate.batches.exchange import base_url_of
from calibrate.batches.journal import Batch
from calibrate.batches.parcels import Parcel, parcels
from calibrate.batches.post import APIS, Post
from calibrate.batches.results import worst_usd
from calibrate.client import Client
from calibrate.completion import Reply, Request
from calibrate.config import Endpoint
from calibrate.errors import BudgetError, CacheError, CalibrateError, ProviderError
from calibrate.methods import Ask
from calibrate.pricing import Budget, HourlyPrice

__all__ = ["Detached", "Rounds", "takes_batches"]

FIRST_WAIT_S, MAX_WAIT_S, FACTOR = 5.0, 60.0, 1.5
MOST_VANISHED = 3


class Detached(CalibrateError):
    """A run ends while its batches are out; it goes on when it is run again."""


def takes_batches(ask: Ask, endpoints: Mapping[str, Endpoint]) -> bool:
    """Return whether a request can go into a batch: by its endpoint's API and its price."""
    return endpoints[ask.endpoint].kind in APIS and not isinstance(ask.price, HourlyPrice)


class Rounds:
    """Gets the answers that a round of a run needs through batches.

    What an endpoint without a batch API is asked, and what a machine by the hour is asked, is left
    to the run, which asks it directly.
    """

    def __init__(
        self,
        client: Client,
        post: Post,
        endpoints: Mapping[str, Endpoint],
        budget: Budget,
        *,
        detach: bool = False,
        most_requests: int | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._post = post
        self._endpoints = endpoints
        self._budget = budget
        self._detach = detach
        self._most_requests = most_requests
        self._say = say
        # By tag: what the budget counts, at its worst, and in whose account.
        self._counted: dict[str, tuple[str, Decimal]] = {}
        self._told: set[str] = set()
        self._vanished = 0  # batches that never arrived

    async def fetch(self, asks: Sequence[Ask]) -> None:
        """Return once every request that takes batches is answered or has failed for good.

        Raises `Detached` instead of waiting where that is wanted, `BudgetError` where no further
        request fits under the cap, and `ProviderError` where a batch is refused or cancelled.
        """
        asks = list({(ask.endpoint, ask.request.key): ask for ask in asks}.values())
        asks = [ask for ask in asks if self._is_batched(ask)]
        while wanted := [ask for ask in asks if not self._client.has(ask.endpoint, ask.request)]:
            out, free = self._sorted(wanted)
            try:
                out |= await self._hand_in(free)
            except BudgetError:
                if not out:
                    raise
            await self._wait_for(out)

    def _is_batched(self, ask: Ask) -> bool:
        if takes_batches(ask, self._endpoints):
            return True
        self._tell(
            f"{ask.request.name} is asked directly, at the full price: "
            f"its endpoint {ask.endpoint!r} has no batch API or its price is by the hour"
        )
        return False

    def _sorted(self, asks: Sequence[Ask]) -> tuple[set[str], list[Ask]]:
        """Return the tags of the batches that some requests are in, and those that are in none."""
        tags: set[str] = set()
        free: list[Ask] = []
        journal = self._post.journal
        held = {
            endpoint: journal.holding(self._base_url(endpoint))
            for endpoint in {ask.endpoint for ask in asks}
        }
        for ask in asks:
            tag = held[ask.endpoint].get(ask.request.key)
            if tag is None:
                free.append(ask)
            else:
                tags.add(tag)
        return tags, free

    async def _hand_in(self, asks: Sequence[Ask]) -> set[str]:
        """Hand in what fits under the cap; return the tags of what is out."""
        tags: set[str] = set()
        for endpoint in dict.fromkeys(ask.endpoint for ask in asks):
            own = [ask for ask in asks if ask.endpoint == endpoint]
            api, base_url = APIS[self._endpoints[endpoint].kind], self._base_url(endpoint)
            for parcel in parcels(own, api, base_url, most_requests=self._most_requests):
                try:
                    tag = await self._hand_in_parcel(parcel)
                except BudgetError:
                    if not tags:
                        raise
                    return tags  # once their cost is known, more may fit
                tags |= {tag} if tag else set()
        return tags

    async def _hand_in_parcel(self, parcel: Parcel) -> str | None:
        """Return the tag of a batch with as much as the cap allows; None if another run has it."""
        first = parcel.asks[0]
        batch = Batch(
            tag=secrets.token_hex(8),
            endpoint=first.endpoint,
            base_url=self._base_url(first.endpoint),
            kind=self._endpoints[first.endpoint].kind,
            model=first.request.name,
            price=first.price,
            requests=0,
            intended_at=self._post.clock(),
            settles_at=0.0,
        )
        account = first.account  # nearly always all are of one model
        requests, worst = self._reserved(batch, [ask.request for ask in parcel.asks], account)
        batch = replace(batch, requests=len(requests))
        paid = worst  # of a run that is ended here nobody knows whether it was taken in
        try:
            if not await self._post.hand_in(batch, parcel.target, requests):
                paid = [Decimal(0)] * len(requests)
                return None
            self._counted[batch.tag] = account, sum(worst, Decimal(0))
        except (ProviderError, CacheError):
            paid = [Decimal(0)] * len(requests)
            raise
        finally:
            for most, cost in zip(worst, paid, strict=True):
                self._budget.settle(most, cost, account)
        self._say(
            f"{batch.model}: {batch.requests:,} requests are handed in as batch {batch.tag}; "
            "they go on without this run, and `calibrate batch collect` fetches them, too"
        )
        return batch.tag

    def _reserved(
        self, batch: Batch, requests: Sequence[Request], account: str
    ) -> tuple[list[Request], list[Decimal]]:
        """Return the first requests that fit under the cap, with what was set aside for each."""
        factor = self._post.factor(batch.base_url)
        taken: list[Request] = []
        worst: list[Decimal] = []
        for request in requests:
            most = worst_usd(request, batch, factor)
            try:
                self._budget.reserve(most, account)
            except BudgetError:
                if not taken:
                    raise
                break
            taken.append(request)
            worst.append(most)
        return taken, worst

    async def _wait_for(self, tags: Iterable[str]) -> None:
        wait = FIRST_WAIT_S
        while out := [batch for batch in self._post.journal.batches() if batch.tag in tags]:
            running = 0
            for batch in out:
                running += not await self._take(batch)
            if not running:
                continue
            if self._detach:
                requests = sum(batch.requests for batch in out)
                raise Detached(
                    f"{requests:,} requests are out in {len(out)} batches: `calibrate batch "
                    "status` tells how far they are, and the same command goes on with their "
                    "answers"
                )
            await self._post.sleep(wait)
            wait = min(wait * FACTOR, MAX_WAIT_S)

    async def _take(self, batch: Batch) -> bool:
        """Take in the results of a batch that has ended; False while it is still running."""
        remote = await self._post.look(batch)
        if remote is None:
            return False
        if remote.outcome is Outcome.RUNNING:
            self._tell(f"{batch.model}: {remote.done:,} of {batch.requests:,} are answered")
            return False
        if remote.outcome is Outcome.UNKNOWN:
            self._post.journal.drop(batch)
            self._refund(batch, Decimal(0))
            self._vanished += 1
            if self._vanished >= MOST_VANISHED:
                raise ProviderError(
                    f"endpoint {batch.endpoint!r} ({batch.base_url}): {self._vanished} batches "
                    "were handed in, and the server has none of them; without --batch it is asked "
                    "directly"
                )
            return True
        return await self._collect(batch, remote)

    async def _collect(self, batch: Batch, remote: Remote) -> bool:
        found = await self._post.collect(batch, remote, self._keep)
        if found is None:
            return False
        self._refund(batch, found.paid_usd)
        self._say(
            f"{batch.model}: batch {batch.tag} is {remote.outcome}: {found.answered:,} answered, "
            f"{found.failed:,} failed, {found.left:,} left"
        )
        if found.moved is not None:
            raise found.moved
        if found.problem:
            raise ProviderError(
                f"endpoint {batch.endpoint!r} ({batch.base_url}): batch {remote.id}: "
                f"{found.problem}; every answer so far is kept"
            )
        return True

    def _keep(self, batch: Batch, request: Request, reply: Reply, paid_usd: Decimal) -> None:
        self._client.keep(batch.endpoint, request, reply, paid_usd)

    def _refund(self, batch: Batch, paid_usd: Decimal) -> None:
        """Count what a batch of this run has cost, in place of the worst that it could."""
        if batch.tag in self._counted:
            account, counted = self._counted.pop(batch.tag)
            self._budget.refund(counted - paid_usd, account)

    def _base_url(self, endpoint: str) -> str:
        return base_url_of(self._endpoints[endpoint])

    def _tell(self, text: str) -> None:
        """Say something that is no news the second time."""
        if text not in self._told:
            self._told.add(text)
            self._say(text)
