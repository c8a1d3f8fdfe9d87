"""One endpoint that is asked: its address and key, its limits, and its unusable models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from calibrate.client.costs import likely_tokens, most_usd, paid_usd
from calibrate.client.keys import api_key, without_key
from calibrate.client.retries import FATAL, wait_s
from calibrate.completion import Completion, Failure, FailureReason, Reply, Request
from calibrate.config import Endpoint
from calibrate.errors import CalibrateError, ConfigError, ProviderError
from calibrate.limits import MAX_PAUSE_S, Limiter, Notice, notice_in
from calibrate.pricing import Budget, Price
from calibrate.providers import provider
from calibrate.transports import Transport

__all__ = ["Asked", "Channel"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The reply to a request, the failures that came before it, and what all of it cost."""

    reply: Reply
    failures: tuple[Failure, ...]
    paid_usd: Decimal


class Channel:
    """Asks one endpoint: within its limits and the budget, again where a failure may pass."""

    def __init__(
        self,
        name: str,
        settings: Endpoint,
        budget: Budget,
        transport: Callable[[], Transport],
        is_ended: Callable[[], bool],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._name = name
        self._settings = settings
        self._wire = provider(settings.kind)
        self._budget = budget
        self._transport = transport
        self._is_ended = is_ended
        self._clock = clock
        self._sleep = sleep
        self._limiter = Limiter(
            settings.concurrency,
            settings.requests_per_minute,
            settings.tokens_per_minute,
            clock=clock,
            sleep=sleep,
        )
        self._unusable: dict[str, str] = {}  # models, and why

    @property
    def base_url(self) -> str:
        base_url = self._settings.base_url or self._wire.DEFAULT_BASE_URL
        if base_url is None:
            raise ConfigError(f"endpoints.{self._name}.base_url: is missing")
        return base_url

    async def ask(
        self, request: Request, price: Price, timeout_s: float | None, account: str
    ) -> Asked:
        """Return an answer or the failure that stands for it; every attempt is paid for.

        Raises `BudgetError` before the cap could be passed, and `ProviderError` where the model
        cannot be asked at all: then nothing more is sent to it.
        """
        timeout_s = min(timeout_s or self._settings.timeout_s, self._settings.timeout_s)
        failures: list[Failure] = []
        paid = Decimal(0)
        while True:
            reply, cost, notice = await self._attempt(request, price, timeout_s, account)
            paid += cost
            if isinstance(reply, Completion):
                return Asked(reply, tuple(failures), paid)
            failures.append(reply)
            pause_s = notice.retry_after_s
            if pause_s is not None and pause_s > MAX_PAUSE_S:
                raise self._give_up(request, f"{reply.message} (try again in {pause_s:g} s)")
            wait = wait_s(failures)
            if wait is None and reply.reason in FATAL:
                raise self._give_up(request, reply.message)
            if wait is None:
                return Asked(reply, tuple(failures[:-1]), paid)
            if pause_s is None or pause_s < wait:  # else the limiter makes every request wait
                await self._sleep(wait)

    async def _attempt(
        self, request: Request, price: Price, timeout_s: float, account: str
    ) -> tuple[Reply, Decimal, Notice]:
        async with self._limiter.slot(likely_tokens(request)) as slot:
            if request.name in self._unusable:
                raise ProviderError(self._unusable[request.name])
            if self._is_ended():
                raise CalibrateError("the run was ended before this could be asked")
            reply, cost, notice = await self._send_within_budget(request, price, timeout_s, account)
            slot.heed(notice)
            if isinstance(reply, Completion):
                slot.answered(reply.usage.input_tokens + reply.usage.output_tokens)
            elif reply.reason is FailureReason.RATE_LIMITED:
                slot.refused()
        return reply, cost, notice

    async def _send_within_budget(
        self, request: Request, price: Price, timeout_s: float, account: str
    ) -> tuple[Reply, Decimal, Notice]:
        """Send once, with the worst that it can cost set aside before."""
        worst = most_usd(request, price, timeout_s)
        await self._budget.room_for(worst)
        self._budget.reserve(worst, account)
        paid = worst  # of an attempt that is interrupted nobody knows what it was billed
        try:
            reply, notice = await self._send(request, timeout_s)
            paid = paid_usd(reply, price, worst)
        except CalibrateError:
            paid = Decimal(0)  # found before anything was sent
            raise
        finally:
            self._budget.settle(worst, paid, account)
        return reply, paid, notice

    async def _send(self, request: Request, timeout_s: float) -> tuple[Reply, Notice]:
        transport = self._transport()
        key = api_key(self._name, self._settings.api_key_env)
        call = self._wire.encode(request, self.base_url, key)
        started = self._clock()
        sent = await transport.send(call, timeout_s)
        latency_s = round(self._clock() - started, 4)
        if isinstance(sent, Failure):
            message = without_key(sent.message.encode(), key).decode()
            return replace(sent, message=message, latency_s=latency_s), Notice()
        body = without_key(sent.body, key)
        return self._wire.decode(request, sent.status, body, latency_s), notice_in(sent.headers)

    def _give_up(self, request: Request, why: str) -> ProviderError:
        """Return the error that ends a model, for this request and all others to it."""
        self._unusable[request.name] = (
            f"endpoint {self._name!r} ({self.base_url}): {why}; every answer so far is kept"
        )
        return ProviderError(self._unusable[request.name])
