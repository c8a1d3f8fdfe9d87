"""Prices as gateways state them: by the million tokens or by the token."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from calibrate.policy import PolicyModel

__all__ = ["TokenPrice", "per_token", "token_price"]


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Dollars per million tokens, as the policy has them."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None


def token_price(model: PolicyModel) -> TokenPrice | None:
    """Return what a model's tokens cost, or None where it is paid by the hour."""
    price = model.price
    if price is None or price.input_usd_per_mtok is None:
        return None
    return TokenPrice(
        price.input_usd_per_mtok,
        price.output_usd_per_mtok or 0.0,
        price.cached_input_usd_per_mtok,
    )


def per_token(usd_per_mtok: float) -> float:
    """Return dollars per token, without the noise of binary fractions."""
    return float(Decimal(str(usd_per_mtok)) / 1_000_000)
