"""The real client before one API on the loopback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fake_time import FakeTime
from loopback import Loopback, Received
from wire.api import Api

from calibrate.cache import Recordings
from calibrate.client import Answer, Client
from calibrate.completion import ChatMessage, Reply, Request
from calibrate.config import Endpoint
from calibrate.pricing import Budget, TokenPrice

__all__ = ["KEY_ENV", "Line"]

KEY_ENV = "CALIBRATE_WIRE_KEY"
PRICE = TokenPrice(Decimal(1), Decimal(10))


@dataclass(frozen=True)
class Line:
    """Asks a running server; no time passes but by waiting, and nothing is kept."""

    api: Api
    server: Loopback
    time: FakeTime = field(default_factory=FakeTime)

    @property
    def received(self) -> list[Received]:
        return self.server.received

    def reply(self, text: str, **own: Any) -> Reply:
        return self.ask(text, **own).reply

    def ask(self, text: str, *, name: str = "small", logprobs: bool = False, **own: Any) -> Answer:
        """Put a question to a model, with a system message before it."""
        messages = (ChatMessage("system", "Sort."), ChatMessage("user", text))
        parameters = {"max_output_tokens": 8, **own}
        return self._answer(Request(self.api.kind, name, messages, None, parameters, logprobs))

    def embed(self, text: str, **own: Any) -> Answer:
        return self._answer(Request(self.api.kind, "embedding", input=text, parameters=own))

    def _answer(self, request: Request) -> Answer:
        endpoint = Endpoint(
            kind=self.api.kind,
            base_url=self.server.base_url.removesuffix("/v1") + self.api.path,
            api_key_env=KEY_ENV,
        )

        async def asked() -> Answer:
            client = Client(
                {"e": endpoint},
                recordings=Recordings(None),
                cache=None,
                budget=Budget(None),
                clock=self.time.clock,
                sleep=self.time.sleep,
            )
            async with client:
                return await client.ask("e", request, PRICE)

        return asyncio.run(asked())
