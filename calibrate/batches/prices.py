"""What a batch costs: the one place that knows who asks less for it.

What is *paid* for a batched answer is less; what its model costs in service is not. So the
evidence and the policy hold the price of serving, and only a run's own bill holds this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from calibrate.pricing import Price, SteppedPrice, TokenPrice

__all__ = ["batch_factor", "price_from_json"]

# Of tokens of every kind: https://openai.com/api/pricing, https://claude.com/pricing#api
_FACTORS = {"api.openai.com": Decimal("0.5"), "api.anthropic.com": Decimal("0.5")}


def batch_factor(base_url: str) -> Decimal:
    """Return the share of the normal price that a batch costs; all of it where nothing is known."""
    return _FACTORS.get(urlsplit(base_url).hostname or "", Decimal(1))


def price_from_json(value: Mapping[str, Any]) -> Price:
    """Return a price by tokens that `to_json` wrote."""
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
