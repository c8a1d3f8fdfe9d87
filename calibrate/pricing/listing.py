"""A model's price and window: the project's own words, or those of the price catalogue."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from calibrate.config import Model
from calibrate.errors import PriceError
from calibrate.pricing.prices import HourlyPrice, Price, SteppedPrice, TokenPrice

__all__ = ["Listing", "listing_of"]


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
