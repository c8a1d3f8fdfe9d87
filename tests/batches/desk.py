"""A run's side of the batch APIs: a client, a journal, a clock that moves when somebody sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from fake_time import FakeTime

from calibrate.batches import Journal, Post, Rounds
from calibrate.batches.post import APIS
from calibrate.cache import Cache, Recordings
from calibrate.client import Answer, Client
from calibrate.completion import ChatMessage, Request
from calibrate.config import Endpoint
from calibrate.methods import Ask
from calibrate.pricing import Budget, Price, TokenPrice

__all__ = ["KINDS", "PRICE", "Desk", "ask"]

KINDS = sorted(APIS)
MODELS = {"openai": "gpt", "anthropic": "claude"}
# One dollar a token, so that amounts are easy to read: an answer has 10 tokens in and 1 out.
PRICE = TokenPrice(Decimal(1_000_000), Decimal(1_000_000))


def ask(kind: str, text: str, price: Price = PRICE, **parameters: Any) -> Ask:
    asked = {"max_output_tokens": 4, **parameters}
    request = Request(kind, MODELS[kind], (ChatMessage("user", text),), parameters=asked)
    return Ask("e", request, price, 10.0)


@dataclass
class Desk:
    """Everything a run keeps between its processes lies in `root`."""

    root: Path
    kind: str
    base_url: str
    max_usd: Decimal | None = None
    factor: Decimal = Decimal("0.5")
    options: dict[str, Any] = field(default_factory=dict)
    time: FakeTime = field(default_factory=FakeTime)
    said: list[str] = field(default_factory=list)
    client_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.budget = Budget(self.max_usd)

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        return {"e": Endpoint(kind=self.kind, base_url=self.base_url)}

    def journal(self) -> Journal:
        return Journal(self.root / "batches.sqlite")

    def post(self, journal: Journal) -> Post:
        return Post(
            self.endpoints,
            journal,
            factor=lambda _: self.factor,
            clock=self.time.clock,
            sleep=self.time.sleep,
        )

    def fetch(self, asks: Sequence[Ask], **options: Any) -> list[Answer]:
        """Get a round of answers in a process of its own, and ask it then."""
        return asyncio.run(self._fetch(asks, {**self.options, **options}))

    async def _fetch(self, asks: Sequence[Ask], options: dict[str, Any]) -> list[Answer]:
        with Cache(self.root / "cache.sqlite") as cache, self.journal() as journal:
            client = Client(
                self.endpoints,
                recordings=Recordings(None),
                cache=cache,
                budget=self.budget,
                **self.client_options,
            )
            async with client, self.post(journal) as post:
                rounds = Rounds(
                    client, post, self.endpoints, self.budget, say=self.said.append, **options
                )
                await rounds.fetch(asks)
                return [await client.ask(a.endpoint, a.request, a.price, a.timeout_s) for a in asks]

    def cached(self, asks: Sequence[Ask]) -> list[Any]:
        """Return what the cache holds, None where there is nothing."""
        with Cache(self.root / "cache.sqlite") as cache:
            return [cache.get(a.request, self.base_url) for a in asks]

    def out(self) -> list[Any]:
        with self.journal() as journal:
            return journal.batches()
