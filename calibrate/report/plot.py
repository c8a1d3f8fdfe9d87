"""Pass rates with their bounds against the bar, and costs: positions for an SVG, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from calibrate.certificate import cost_of
from calibrate.decide import Calibration
from calibrate.gate import Reason, Verdict
from calibrate.report.badges import Badge, verdict_badge
from calibrate.report.excerpt import unbroken
from calibrate.words import money, percent, why

__all__ = ["Interval", "Plot", "PlotRow", "Tick", "plot_of"]

_MARGIN = 0.02  # of the scale, left of the lowest bound
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)
_MOST_STEPS = 5


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a model's bounds and estimate lie on the scale."""

    low: str
    high: str
    estimate: str


@dataclass(frozen=True, slots=True)
class PlotRow:
    """One model; where it has no interval, `none` says why."""

    model: str
    tier: str
    chosen: bool
    badge: Badge
    interval: Interval | None
    none: str
    title: str
    cost: str
    cost_width: str
    cost_estimated: bool
    cost_title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on the scale, and which side of it the label is anchored on."""

    x: str
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot whose places are percentages of its width."""

    bar: Tick
    above_bar: str  # the width of what lies above the bar
    ticks: tuple[Tick, ...]
    rows: tuple[PlotRow, ...]


def plot_of(calibration: Calibration) -> Plot:
    """Return the plot of a calibration's candidates, in their order."""
    floor = calibration.task.workflow.bar.floor
    start, step = _scale(floor, calibration.verdicts)
    values = [start + step * index for index in range(round((1 - start) / step) + 1)]
    return Plot(
        bar=_tick(floor, start, f"bar {percent(floor)}"),
        above_bar=_x(1 - floor, 0, 1 - start),
        ticks=tuple(_tick(value, start, percent(value, 0)) for value in values),
        rows=tuple(_rows(calibration, start)),
    )


def _scale(floor: float, verdicts: Sequence[Verdict]) -> tuple[float, float]:
    """Return where the scale begins and its step; it always ends at 100 %."""
    lowest = min([floor, *(v.lower_bound for v in verdicts if v.lower_bound is not None)])
    room = 1 - max(lowest - _MARGIN, 0)
    step = next(step for step in _STEPS if room <= _MOST_STEPS * step + 1e-9)
    return 1 - math.ceil(room / step - 1e-9) * step, step


def _rows(calibration: Calibration, start: float) -> list[PlotRow]:
    field = calibration.task.field
    pairs = list(zip(field.candidates, calibration.verdicts, strict=True))
    costs = [cost_of(candidate, verdict) for candidate, verdict in pairs]
    dearest = max(cost.usd_per_1k for cost in costs) or 1.0
    return [
        PlotRow(
            model=verdict.model,
            tier=verdict.tier,
            chosen=candidate is calibration.decision.chosen,
            badge=verdict_badge(verdict, bool(calibration.trials.get(verdict.model))),
            interval=_interval(verdict, start),
            none=_none(verdict, calibration),
            title=_title(verdict, calibration),
            cost=money(cost.usd_per_1k),
            cost_width=_x(cost.usd_per_1k, 0, dearest),
            cost_estimated=cost.basis == "estimated",
            cost_title=f"{verdict.model}: {money(cost.usd_per_1k)} per 1,000 requests, "
            f"{cost.basis}",
        )
        for (candidate, verdict), cost in zip(pairs, costs, strict=True)
    ]


def _interval(verdict: Verdict, start: float) -> Interval | None:
    if verdict.estimate is None or verdict.lower_bound is None or verdict.upper_bound is None:
        return None
    return Interval(
        low=_x(verdict.lower_bound, start, 1),
        high=_x(verdict.upper_bound, start, 1),
        estimate=_x(verdict.estimate, start, 1),
    )


def _none(verdict: Verdict, calibration: Calibration) -> str:
    if verdict.reason is Reason.NOT_ASKED:
        return verdict_badge(verdict, bool(calibration.trials.get(verdict.model))).text
    return unbroken(why(verdict, calibration)) if verdict.cases_used else "no case yet"


def _title(verdict: Verdict, calibration: Calibration) -> str:
    if verdict.estimate is None:
        text = f"{verdict.model}: {_none(verdict, calibration)}"
        return f"{text}; critical cases give no pass rate" if verdict.cases_used else text
    return (
        f"{verdict.model}: {percent(verdict.estimate)} of the {verdict.cases_used:,} cases used "
        f"passed; lower bound {percent(verdict.lower_bound)}, upper bound "
        f"{percent(verdict.upper_bound)}, each one-sided at {verdict.alpha:.3g} and not adjusted "
        f"for stopping; bar {percent(calibration.task.workflow.bar.floor)}"
    )


def _tick(value: float, start: float, label: str) -> Tick:
    share = (value - start) / (1 - start)
    anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
    return Tick(_x(value, start, 1), label, anchor)


def _x(value: float, start: float, end: float) -> str:
    return f"{100 * (value - start) / (end - start):.2f}%"
