"""The mean cost of a request, from answers or expected sizes, with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from scipy.special import stdtrit

from calibrate.completion import Usage
from calibrate.pricing import HourlyPrice, Price

__all__ = [
    "Basis",
    "Call",
    "RequestCost",
    "Stated",
    "call_usd",
    "mean_cost",
    "request_cost",
]

CONFIDENCE = 0.95


class Basis(StrEnum):
    """What a cost rests on."""

    MEASURED = "measured"  # stored answers
    POLICY = "policy"  # the policy's measured figure, whose answers are not stored here
    ESTIMATED = "estimated"  # rendered prompts and the longest allowed answers: never asked
    STATED = "stated"  # sizes that a file states


@dataclass(frozen=True, slots=True)
class Call:
    """What the price of a request depends on, as it was answered or as it is expected."""

    usage: Usage
    latency_s: float | None
    unit: str  # calls of one unit depend on each other: a case's repeats, the cases of a group


@dataclass(frozen=True, slots=True)
class Stated:
    """What is stated of the requests; None: as the calls have it.

    Where a size is stated without `cached_share`, nothing is taken to come from a prompt cache.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_share: Decimal | None = None  # of the input, read from the provider's prompt cache
    batch_share: Decimal = Decimal(0)  # of the requests, sent in batches

    @property
    def sizes(self) -> Usage | None:
        """The whole size of a request; None where a part of it is left to the calls."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return Usage(self.input_tokens, self.output_tokens)

    @property
    def is_nothing(self) -> bool:
        return self == Stated()


@dataclass(frozen=True, slots=True)
class RequestCost:
    """The mean cost of a request in US dollars, and how well it is known."""

    usd: Decimal
    basis: Basis
    half_width: Decimal | None = None  # of its 95 % interval; only of what was measured
    cases: int = 0  # independent ones on which it was measured: cases, or groups of them
    is_ceiling: bool = False  # by the hour and never timed: calls up to their time-out


def request_cost(
    price: Price, calls: Sequence[Call], stated: Stated, basis: Basis, discount: Decimal
) -> RequestCost:
    """Return the mean cost of calls at a price, but for what is stated of them.

    `discount` is what batches take off. Only `MEASURED` costs have an interval.
    """
    amounts = [call_usd(price, call, stated, discount) for call in calls]
    if basis is Basis.MEASURED:
        return mean_cost(amounts, [call.unit for call in calls])
    is_ceiling = basis is Basis.ESTIMATED and isinstance(price, HourlyPrice)
    return RequestCost(sum(amounts, Decimal(0)) / len(amounts), basis, is_ceiling=is_ceiling)


def mean_cost(amounts: Sequence[Decimal], units: Sequence[str]) -> RequestCost:
    """Return the mean of measured amounts with its 95 % interval, or none where there is one unit.

    Student's t, with a degree of freedom less than there are units. Amounts of one unit may
    depend on each other: the variance is that of the units' summed deviations (Liang and Zeger,
    Biometrika 73 (1986), 13-22). Assumes units that are an independent sample of the traffic, and
    enough of them for their mean to be about normal.
    """
    n = len(amounts)
    mean = sum(amounts, Decimal(0)) / n
    deviations: defaultdict[str, Decimal] = defaultdict(Decimal)
    for amount, unit in zip(amounts, units, strict=True):
        deviations[unit] += amount - mean
    g = len(deviations)
    if g == 1:
        return RequestCost(mean, Basis.MEASURED, cases=1)
    squares = sum((part * part for part in deviations.values()), Decimal(0))
    error = (squares * g / (g - 1)).sqrt() / n
    quantile = Decimal(str(stdtrit(g - 1, (1 + CONFIDENCE) / 2)))
    return RequestCost(mean, Basis.MEASURED, quantile * error, g)


def call_usd(price: Price, call: Call, stated: Stated, discount: Decimal) -> Decimal:
    """Return what such a call costs on average, some of them being batched.

    Providers differ in whether a batch reads from the prompt cache: what is batched counts
    without it.
    """
    usage = call.usage
    plain = Usage(
        usage.input_tokens if stated.input_tokens is None else stated.input_tokens,
        usage.output_tokens if stated.output_tokens is None else stated.output_tokens,
    )
    whole = price.cost(plain, call.latency_s)
    if stated.cached_share is not None:
        cached = Usage(plain.input_tokens, plain.output_tokens, plain.input_tokens)
        served = whole + stated.cached_share * (price.cost(cached, call.latency_s) - whole)
    elif stated.input_tokens is None and stated.output_tokens is None:
        served = price.cost(usage, call.latency_s)
    else:
        served = whole
    batched = stated.batch_share if discount else Decimal(0)
    return (1 - batched) * served + batched * (1 - discount) * whole
