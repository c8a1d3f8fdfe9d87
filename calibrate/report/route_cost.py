"""What a route of two models costs a request, by what is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.decide import Calibration, EscalatedRoute
from calibrate.report.serving import signal_seen
from calibrate.signals import SIGNALS
from calibrate.trial import AnyTrial, Trial
from calibrate.words import money, percent

__all__ = ["RouteCost", "RoutePart", "route_cost_of", "route_parts"]


@dataclass(frozen=True, slots=True)
class RouteCost:
    """The parts of what a route costs, in US dollars per 1,000 requests, on all its cases."""

    first: Decimal
    signal: Decimal
    escalated: Decimal
    share: float  # of the requests that are escalated
    strong: Decimal  # 1,000 requests to the stronger model alone

    @property
    def total(self) -> Decimal:
        return self.first + self.signal + self.escalated


@dataclass(frozen=True, slots=True)
class RoutePart:
    """One part as text: what it is, how it comes about, dollars per 1,000 requests."""

    name: str
    how: str
    usd: str


def route_parts(calibration: Calibration) -> tuple[RoutePart, ...]:
    """Return what the route costs by part, and in all; nothing for a route to one model."""
    route, found = calibration.decision.escalation, route_cost_of(calibration)
    if route is None or found is None:
        return ()
    cheap, strong = route.cheap.alias, route.strong.alias
    asked = "of the requests that stay" if _is_before(route) else "of every request"
    return (
        RoutePart(f"First answers of {cheap}", asked, money(float(found.first))),
        RoutePart(f"Signal {route.signal}", "of every request", money(float(found.signal))),
        RoutePart(
            f"Escalation to {strong}",
            f"{percent(found.share)} of requests; all of them would be "
            f"{money(float(found.strong))}",
            money(float(found.escalated)),
        ),
        RoutePart("Total", "", money(float(found.total))),
    )


def route_cost_of(calibration: Calibration) -> RouteCost | None:
    """Return what the route costs by part; None for one to a single model.

    It rests on the cases that the route is certified on. Where the signal is the request's own,
    an escalated request does not pay for a first answer.
    """
    route = calibration.decision.escalation
    if route is None:
        return None
    pairs = _pairs(calibration, route)
    n, before = len(pairs) or 1, _is_before(route)
    handed_on = [_is_escalated(first, route) for first, _ in pairs]
    first = [
        trial.cost_usd
        for (trial, _), escalated in zip(pairs, handed_on, strict=True)
        if not (before and escalated)
    ]
    signal = [
        trial.signal_costs[route.signal].usd
        for trial, _ in pairs
        if isinstance(trial, Trial) and route.signal in trial.signal_costs
    ]
    escalated = [
        strong.cost_usd
        for (_, strong), is_escalated in zip(pairs, handed_on, strict=True)
        if is_escalated
    ]
    return RouteCost(
        first=_per_thousand(first, n),
        signal=_per_thousand(signal, n),
        escalated=_per_thousand(escalated, n),
        share=sum(handed_on) / n,
        strong=_per_thousand([strong.cost_usd for _, strong in pairs], n),
    )


def _pairs(calibration: Calibration, route: EscalatedRoute) -> list[tuple[AnyTrial, AnyTrial]]:
    """Return both models' trials of each case that the route rests on."""
    fitted = set(route.fitted_on)
    strong = {(t.case.id, t.repeat): t for t in calibration.trials.get(route.strong.alias, ())}
    return [
        (trial, strong[trial.case.id, trial.repeat])
        for trial in calibration.trials.get(route.cheap.alias, ())
        if (trial.case.id, trial.repeat) in strong and trial.case.id not in fitted
    ]


def _is_escalated(trial: AnyTrial, route: EscalatedRoute) -> bool:
    return not signal_seen(trial, route.signal, route.score) >= route.below


def _is_before(route: EscalatedRoute) -> bool:
    return SIGNALS[route.signal].moment == "before"


def _per_thousand(costs: Sequence[Decimal], n: int) -> Decimal:
    return 1000 * sum(costs, Decimal(0)) / n
