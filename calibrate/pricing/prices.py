"""What an answer costs: by its tokens, in steps or not, or by the time that it took."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from calibrate.completion import Usage
from calibrate.errors import PriceError
from calibrate.policy import PolicyPrice, PriceStep

__all__ = [
    "HourlyPrice",
    "Price",
    "SteppedPrice",
    "TokenPrice",
    "policy_price",
    "rates_at",
]

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Dollars per million tokens.

    Input that a provider's prompt cache gave, or that was written to it, costs the same as other
    input unless the price says so.
    """

    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    cached_input_usd_per_mtok: Decimal | None = None
    cache_write_usd_per_mtok: Decimal | None = None

    @property
    def cache_read_rate(self) -> Decimal:
        """Dollars per million tokens that the provider's cache gives."""
        cached = self.cached_input_usd_per_mtok
        return self.input_usd_per_mtok if cached is None else cached

    @property
    def cache_write_rate(self) -> Decimal:
        """Dollars per million tokens that are written to the provider's cache."""
        written = self.cache_write_usd_per_mtok
        return self.input_usd_per_mtok if written is None else written

    def cost(self, usage: Usage, latency_s: float | None) -> Decimal:
        return _cost(self, usage)

    def estimate(self, input_tokens: int, output_tokens: int, timeout_s: float) -> Decimal:
        """Return the most that a request of this size can cost, whatever a cache does with it."""
        dearest = max(self.input_usd_per_mtok, self.cache_read_rate, self.cache_write_rate)
        return (input_tokens * dearest + output_tokens * self.output_usd_per_mtok) / _MILLION


@lru_cache(maxsize=4096)  # short answers to prompts of a kind have few different usages
def _cost(price: TokenPrice, usage: Usage) -> Decimal:
    fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    return (
        fresh * price.input_usd_per_mtok
        + usage.cached_input_tokens * price.cache_read_rate
        + usage.cache_write_tokens * price.cache_write_rate
        + usage.output_tokens * price.output_usd_per_mtok
    ) / _MILLION


@dataclass(frozen=True, slots=True)
class HourlyPrice:
    """A machine by the hour, shared by `concurrency` requests at a time."""

    usd_per_hour: Decimal
    concurrency: int

    def cost(self, usage: Usage, latency_s: float | None) -> Decimal:
        if latency_s is None:
            raise PriceError(
                "an answer that came in a batch has no time that a price by the hour could be "
                "multiplied with; ask it again with --no-cache"
            )
        return self.usd_per_hour / 3600 / self.concurrency * Decimal(str(latency_s))

    def estimate(self, input_tokens: int, output_tokens: int, timeout_s: float) -> Decimal:
        """Return the cost of a request that runs into its time-out: no token rate is known."""
        return self.cost(Usage(input_tokens, output_tokens), timeout_s)


@dataclass(frozen=True, slots=True)
class SteppedPrice:
    """A price by the size of the request: above a step, all of its tokens are dearer."""

    base: TokenPrice
    steps: tuple[tuple[int, TokenPrice], ...]  # rising

    def cost(self, usage: Usage, latency_s: float | None) -> Decimal:
        return self.row(usage.input_tokens).cost(usage, latency_s)

    def estimate(self, input_tokens: int, output_tokens: int, timeout_s: float) -> Decimal:
        """Return the most that a request can cost that is no larger than this."""
        below = [above for above, _ in self.steps if above < input_tokens]
        return max(
            self.row(size).estimate(size, output_tokens, timeout_s)
            for size in (*below, input_tokens)
        )

    def row(self, input_tokens: int) -> TokenPrice:
        """Return the price of a request with so much input."""
        return next((row for above, row in reversed(self.steps) if input_tokens > above), self.base)


Price = TokenPrice | SteppedPrice | HourlyPrice


def rates_at(price: Price, input_tokens: int) -> TokenPrice | None:
    """Return what tokens cost in a request with so much input; None where time is paid for."""
    if isinstance(price, SteppedPrice):
        return price.row(input_tokens)
    return price if isinstance(price, TokenPrice) else None


def policy_price(price: Price) -> PolicyPrice:
    """Return a price as files have it."""
    if isinstance(price, HourlyPrice):
        return PolicyPrice(usd_per_hour=float(price.usd_per_hour), concurrency=price.concurrency)
    if isinstance(price, TokenPrice):
        return PolicyPrice(*_rates(price))
    steps = tuple(PriceStep(above, *_rates(row)) for above, row in price.steps)
    return PolicyPrice(*_rates(price.base), steps=steps)


def _rates(row: TokenPrice) -> tuple[float, float, float | None, float | None]:
    cached, written = row.cached_input_usd_per_mtok, row.cache_write_usd_per_mtok
    return (
        float(row.input_usd_per_mtok),
        float(row.output_usd_per_mtok),
        None if cached is None else float(cached),
        None if written is None else float(written),
    )
