"""Tokens to money, and the run's budget. All amounts are US dollars as `Decimal`."""

from __future__ import annotations

from calibrate.pricing.batching import batch_factor
from calibrate.pricing.budget import Account, Budget
from calibrate.pricing.listing import Listing, listing_of
from calibrate.pricing.prices import (
    HourlyPrice,
    Price,
    SteppedPrice,
    TokenPrice,
    policy_price,
    rates_at,
)

__all__ = [
    "Account",
    "Budget",
    "HourlyPrice",
    "Listing",
    "Price",
    "SteppedPrice",
    "TokenPrice",
    "batch_factor",
    "listing_of",
    "policy_price",
    "rates_at",
]
