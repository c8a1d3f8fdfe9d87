"""A price by tokens as the journal has it, read back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from calibrate.pricing import Price, SteppedPrice, TokenPrice

__all__ = ["price_from_json"]


def price_from_json(value: Mapping[str, Any]) -> Price:
    """Return a price by tokens from the plain values of its `policy_price`."""
    base = _row(value)
    steps = tuple((step["above_input_tokens"], _row(step)) for step in value.get("steps", ()))
    return SteppedPrice(base, steps) if steps else base


def _row(value: Mapping[str, Any]) -> TokenPrice:
    def usd(name: str) -> Decimal | None:
        return None if value.get(name) is None else Decimal(str(value[name]))

    return TokenPrice(
        usd("input_usd_per_mtok") or Decimal(0),
        usd("output_usd_per_mtok") or Decimal(0),
        usd("cached_input_usd_per_mtok"),
        usd("cache_write_usd_per_mtok"),
    )
