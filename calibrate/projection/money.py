"""What lines of a projection cost by the day, and together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.projection.cost import RequestCost

__all__ = ["DAYS_A_MONTH", "DAYS_A_YEAR", "Amount", "Line", "Projection", "saving", "total"]

DAYS_A_MONTH = 30
DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class Amount:
    """US dollars, with the half-width of their 95 % interval where they were measured."""

    usd: Decimal
    half_width: Decimal | None = None
    is_ceiling: bool = False  # they are the most that it can be

    @staticmethod
    def of(cost: RequestCost, requests: int | Decimal) -> Amount:
        return Amount(cost.usd, cost.half_width, cost.is_ceiling).times(requests)

    @property
    def low(self) -> Decimal | None:
        return None if self.half_width is None else max(self.usd - self.half_width, Decimal(0))

    @property
    def high(self) -> Decimal | None:
        return None if self.half_width is None else self.usd + self.half_width

    def times(self, factor: int | Decimal) -> Amount:
        half = None if self.half_width is None else self.half_width * factor
        return Amount(self.usd * factor, half, self.is_ceiling)


@dataclass(frozen=True, slots=True)
class Line:
    """One way to serve the traffic, and what it costs a day."""

    name: str
    day: Amount
    cost: RequestCost | None = None  # of a request; None where requests of several kinds are summed
    is_baseline: bool = False
    is_route: bool = False
    verdict: str = ""
    share: Decimal | None = None  # of the requests, of a part
    parts: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Projection:
    """Every way to serve one workflow's traffic; the baseline and the route are among them."""

    name: str
    requests_per_day: int
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def baseline(self) -> Line:
        return next(line for line in self.lines if line.is_baseline)

    @property
    def route(self) -> Line | None:
        return next((line for line in self.lines if line.is_route), None)


def saving(amount: Amount, baseline: Amount) -> Decimal | None:
    """Return the share of the baseline's cost that is saved; None where that cannot be said.

    A free baseline leaves nothing to save, and a ceiling is no cost.
    """
    if baseline.usd == 0 or amount.is_ceiling or baseline.is_ceiling:
        return None
    return 1 - amount.usd / baseline.usd


def total(projections: Sequence[Projection]) -> Projection | None:
    """Return what all baselines and all routes cost together; None without any route.

    Workflows without a route are left out of both. Half-widths add as the root of the sum of
    their squares: the workflows' cases are independent of each other.
    """
    routed = [(found, route) for found in projections if (route := found.route) is not None]
    if not routed:
        return None
    unrouted = [found.name for found in projections if found.route is None]
    return Projection(
        name="total",
        requests_per_day=sum(found.requests_per_day for found, _ in routed),
        lines=(
            Line("baselines", _sum([found.baseline.day for found, _ in routed]), is_baseline=True),
            Line("routes", _sum([route.day for _, route in routed]), is_route=True),
        ),
        notes=(f"without {', '.join(unrouted)}: no route",) if unrouted else (),
    )


def _sum(amounts: Sequence[Amount]) -> Amount:
    halves = [amount.half_width for amount in amounts if amount.half_width is not None]
    squares = sum((half * half for half in halves), Decimal(0))
    return Amount(
        sum((amount.usd for amount in amounts), Decimal(0)),
        squares.sqrt() if len(halves) == len(amounts) else None,
        any(amount.is_ceiling for amount in amounts),
    )
