"""What a model costs, as the policy has it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["PolicyPrice", "PriceStep"]


@dataclass(frozen=True, slots=True)
class PriceStep:
    """Dollars per million tokens of a request with more input than `above_input_tokens`."""

    above_input_tokens: int
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None


@dataclass(frozen=True, slots=True)
class PolicyPrice:
    """Dollars per million tokens, in steps or not, or per hour of a machine.

    The machine serves `concurrency` requests at a time.
    """

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_input_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    usd_per_hour: float | None = None
    concurrency: int | None = None
    steps: tuple[PriceStep, ...] = field(default_factory=tuple)
