"""Tokens to money, and the run's budget. All amounts are US dollars as `Decimal`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from calibrate.completion import Usage
from calibrate.config import Model
from calibrate.errors import BudgetError, PriceError

__all__ = [
    "Budget",
    "HourlyPrice",
    "Listing",
    "Price",
    "SteppedPrice",
    "TokenPrice",
    "listing_of",
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
        fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        return (
            fresh * self.input_usd_per_mtok
            + usage.cached_input_tokens * self.cache_read_rate
            + usage.cache_write_tokens * self.cache_write_rate
            + usage.output_tokens * self.output_usd_per_mtok
        ) / _MILLION

    def estimate(self, input_tokens: int, output_tokens: int, timeout_s: float) -> Decimal:
        """Return the most that a request of this size can cost, whatever a cache does with it."""
        dearest = max(self.input_usd_per_mtok, self.cache_read_rate, self.cache_write_rate)
        return (input_tokens * dearest + output_tokens * self.output_usd_per_mtok) / _MILLION

    def to_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {
            "input_usd_per_mtok": float(self.input_usd_per_mtok),
            "output_usd_per_mtok": float(self.output_usd_per_mtok),
        }
        if self.cached_input_usd_per_mtok is not None:
            row["cached_input_usd_per_mtok"] = float(self.cached_input_usd_per_mtok)
        if self.cache_write_usd_per_mtok is not None:
            row["cache_write_usd_per_mtok"] = float(self.cache_write_usd_per_mtok)
        return row


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

    def to_json(self) -> dict[str, Any]:
        return {"usd_per_hour": float(self.usd_per_hour), "concurrency": self.concurrency}


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

    def to_json(self) -> dict[str, Any]:
        steps = [{"above_input_tokens": above, **row.to_json()} for above, row in self.steps]
        return {**self.base.to_json(), "steps": steps}

    def row(self, input_tokens: int) -> TokenPrice:
        """Return the price of a request with so much input."""
        return next((row for above, row in reversed(self.steps) if input_tokens > above), self.base)


Price = TokenPrice | SteppedPrice | HourlyPrice


def rates_at(price: Price, input_tokens: int) -> TokenPrice | None:
    """Return what tokens cost in a request with so much input; None where time is paid for."""
    if isinstance(price, SteppedPrice):
        return price.row(input_tokens)
    return price if isinstance(price, TokenPrice) else None


@dataclass(frozen=True, slots=True)
class Listing:
    """What is known of a model before it is asked."""

    price: Price
    context_window: int | None


def listing_of(alias: str, model: Model, base_url: str | None) -> Listing:
    """Return a model's price and window: the project's own words first, then the catalogue's.

    Raises `PriceError` where the price is `auto` and the catalogue does not know the model at
    this address: a name alone says nothing, anybody can serve anything under it.
    """
    row = model.price
    if row.input_usd_per_mtok is not None:
        own = TokenPrice(
            row.input_usd_per_mtok,
            row.output_usd_per_mtok,
            row.cached_input_usd_per_mtok,
            row.cache_write_usd_per_mtok,
        )
        return Listing(own, model.context_window)
    if row.usd_per_hour is not None:
        return Listing(HourlyPrice(row.usd_per_hour, row.concurrency), model.context_window)
    return _catalogue_listing(alias, model, base_url or "")


class Budget:
    """A spending cap that is never passed: the worst case is reserved before a request is sent."""

    def __init__(self, limit_usd: Decimal | None) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = Decimal(0)
        self._reserved_usd = Decimal(0)

    def reserve(self, worst_usd: Decimal) -> None:
        """Set an amount aside; raises `BudgetError` where it could pass the cap."""
        taken = self.spent_usd + self._reserved_usd
        if self.limit_usd is not None and taken + worst_usd > self.limit_usd:
            raise BudgetError(
                f"the cap of ${self.limit_usd} is reached: ${self.spent_usd:.6f} spent, "
                f"${self._reserved_usd:.6f} in flight, the next request may cost "
                f"${worst_usd:.6f}; every answer is kept: raise --max-usd and run again to go on"
            )
        self._reserved_usd += worst_usd

    def settle(self, worst_usd: Decimal, actual_usd: Decimal) -> None:
        """Replace a reservation by what was really paid."""
        self._reserved_usd -= worst_usd
        self.spent_usd += actual_usd

    def refund(self, usd: Decimal) -> None:
        """Take back some of what was spent: it had been counted at its worst."""
        self.spent_usd -= usd


def _catalogue_listing(alias: str, model: Model, base_url: str) -> Listing:
    """Look a model up in genai-prices; imported only here, since it is slow to load."""
    from genai_prices.data import providers

    for provider in providers:
        if re.match(provider.api_pattern, base_url):
            found = provider.find_model(model.name.lower())
            if found is not None:
                row = found.get_prices(datetime.now(UTC))
                price = _catalogue_price(
                    row,
                    answers=model.method == "chat",
                    lists_storage=provider.id == "openrouter",
                )
                if price is not None:
                    return Listing(price, model.context_window or found.context_window)
    raise PriceError(
        f"models.{alias}.price: the catalogue knows no {model.name!r} at {base_url}; "
        "give price: {input_usd_per_mtok: …, output_usd_per_mtok: …}"
    )


def _catalogue_price(row: Any, *, answers: bool, lists_storage: bool) -> Price | None:
    """Return a catalogue row as a price; None where it has no plain price for what is used.

    A model that only embeds `answers` nothing, and needs no price for output. Where the catalogue
    `lists_storage`, a cache write below the price of input is what comes on top of it.
    """
    names = ("input", "output", "cache_read", "cache_write")
    parts = {name: getattr(row, f"{name}_mtok", None) for name in names}
    starts = sorted({step.start for part in parts.values() for step in getattr(part, "tiers", ())})
    rows = [_row_at(parts, tokens, answers=answers) for tokens in (0, *starts)]
    known = [found for found in rows if found is not None]
    if len(known) != len(rows):
        return None
    if lists_storage:
        known = [_with_storage(found) for found in known]
    return (
        SteppedPrice(known[0], tuple(zip(starts, known[1:], strict=True))) if starts else known[0]
    )


def _row_at(parts: dict[str, Any], start: int, *, answers: bool) -> TokenPrice | None:
    at = {name: _price_at(part, start) for name, part in parts.items()}
    if at["input"] is None or (at["output"] is None and answers):
        return None
    output = at["output"] or Decimal(0)
    return TokenPrice(at["input"], output, at["cache_read"], at["cache_write"])


def _with_storage(row: TokenPrice) -> TokenPrice:
    """Add the input that OpenRouter bills beside the storage of Gemini's cache.

    https://openrouter.ai/docs/features/prompt-caching
    """
    storage = row.cache_write_usd_per_mtok
    if storage is None or storage >= row.input_usd_per_mtok:
        return row
    return replace(row, cache_write_usd_per_mtok=row.input_usd_per_mtok + storage)


def _price_at(part: Any, start: int) -> Decimal | None:
    if part is None or isinstance(part, Decimal):
        return part
    reached = [step.price for step in part.tiers if step.start <= start]
    price: Decimal = reached[-1] if reached else part.base
    return price
