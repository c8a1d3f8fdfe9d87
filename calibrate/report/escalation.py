"""Cheap first, and on to a dearer model where the signal is low: what that would give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrate.cascade import Cascade, cascades
from calibrate.decide import Calibration, Cascades, EscalatedRoute, SignalFinding
from calibrate.report.chart import PERCENT_AXIS, WIDTH, Chart, axis, chart, label
from calibrate.trial import AnyTrial, FailedTrial, passes
from calibrate.words import money, percent, seconds

__all__ = ["Escalation", "SignalRow", "escalation_of"]

_HEIGHT = 150  # pixels
_MOST_POINTS = 200  # of one curve

Point = dict[str, float]


@dataclass(frozen=True, slots=True)
class SignalRow:
    """What one model's signal is worth."""

    model: str
    signal: str
    known: str
    auroc: str
    interval: str
    worth: str
    over_confidence: str


@dataclass(frozen=True, slots=True)
class Escalation:
    """What was found of cascades: the certified one, the curve of its pair, and the signals."""

    words: str
    facts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    signals: tuple[SignalRow, ...]


def escalation_of(calibration: Calibration) -> Escalation | None:
    """Return what a page says of cascades; None where the bar did not ask for them."""
    found = calibration.cascades
    if found is None:
        return None
    return Escalation(
        words=_words(found),
        facts=() if found.route is None else tuple(_facts(found.route)),
        charts=() if found.route is None else tuple(_charts(calibration, found.route)),
        signals=tuple(map(_signal, found.signals)),
    )


def _words(found: Cascades) -> str:
    looked = f"{found.thresholds:,} thresholds of all pairs were looked at, {found.tested:,} tested"
    if found.route is None:
        return f"No cascade is certified: {looked}."
    route = found.route
    return (
        f"{route.cheap.alias} answers first; where its {route.signal} is below {route.below:.4g}, "
        f"{route.strong.alias} answers. This one threshold is certified: {looked}."
    )


def _facts(route: EscalatedRoute) -> list[tuple[str, str]]:
    passed = "" if route.passed is None else f", {route.passed:,} of {route.cases:,} passed"
    bound = "" if route.lower_bound is None else f", lower bound {percent(route.lower_bound)}"
    return [
        ("Quality", f"{percent(route.estimate)}{passed}{bound} at α = {route.alpha:.3g}"),
        ("Escalated", f"{percent(route.escalated)} of requests"),
        ("Cost", f"{money(1000 * route.cost_usd_per_request)} per 1,000 requests"),
        (
            "Break-even",
            f"at {percent(route.break_even)} escalated it would cost as much as "
            f"{route.strong.alias} alone",
        ),
        ("Latency, p95", seconds(route.latency_p95_s)),
        ("Failed calls", f"{route.failed_calls:,}"),
    ]


def _signal(finding: SignalFinding) -> SignalRow:
    low, high = finding.auroc_low, finding.auroc_high
    return SignalRow(
        model=finding.model,
        signal=finding.signal or "none",
        known=percent(finding.known, 0),
        auroc="–" if finding.auroc is None else f"{finding.auroc:.2f}",
        interval="–" if low is None or high is None else f"{low:.2f} to {high:.2f}",
        worth=finding.worth,
        over_confidence=(
            "–"
            if finding.over_confidence is None
            else f"{100 * finding.over_confidence:+.0f} points"
        ),
    )


def _charts(calibration: Calibration, route: EscalatedRoute) -> list[Chart]:
    """Return quality and cost at every threshold of the certified cascade's pair, as observed."""
    curve, ends = _curve(calibration, route)
    if curve is None:
        return []
    quality = _points(curve.escalated, curve.quality, ends[0])
    cost = _points(curve.escalated, 1000 * curve.cost_usd, ends[1])
    floor = calibration.task.workflow.bar.floor
    at = 100 * route.escalated
    return [
        chart(
            f"Observed quality from {percent(quality[0]['y'])} with nothing escalated to "
            f"{percent(quality[-1]['y'])} with everything; certified at {percent(route.escalated)} "
            f"escalated, {percent(route.estimate)}; bar {percent(floor)}.",
            _HEIGHT,
            _layers(
                quality,
                {"x": at, "y": route.estimate},
                {"y": floor, "label": f"bar {percent(floor)}"},
                axis("Quality", tickCount=4, grid=True, **PERCENT_AXIS),
            ),
        ),
        chart(
            f"Cost from {money(cost[0]['y'])} to {money(cost[-1]['y'])} per 1,000 requests; "
            f"{money(1000 * route.cost_usd_per_request)} at the certified threshold; "
            f"{route.strong.alias} alone {money(ends[2])}.",
            _HEIGHT,
            _layers(
                cost,
                {"x": at, "y": 1000 * route.cost_usd_per_request},
                {"y": ends[2], "label": label(f"{route.strong.alias} alone")},
                axis("Dollars per 1,000", tickCount=4, grid=True, format="$~g"),
            ),
        ),
    ]


Ends = tuple[tuple[float, float], tuple[float, float], float]


def _curve(calibration: Calibration, route: EscalatedRoute) -> tuple[Cascade | None, Ends]:
    """Return the pair at all thresholds, with both ends of each curve and the cost of `strong`."""
    first, second = (
        {(t.case.id, t.repeat): t for t in calibration.trials.get(model.alias, ())}
        for model in (route.cheap, route.strong)
    )
    both = [key for key in first if key in second]
    pair = [[found[key] for key in both] for found in (first, second)]
    is_rate = calibration.task.workflow.bar.measure == "pass_rate"
    scores = np.array([[float(passes(t)) if is_rate else t.score for t in row] for row in pair])
    costs = np.array([[float(t.cost_usd) for t in row] for row in pair])
    signal = [_signal_value(trial, route.signal) for trial in pair[0]]
    signals = np.array([signal, [math.nan] * len(both)])
    if not both:
        return None, ((0.0, 0.0), (0.0, 0.0), 0.0)
    curve = next((c for c in cascades(scores, signals, costs) if c.cheap == 0 and len(c)), None)
    (cheap, strong), (low, high) = 1000 * costs.mean(axis=1), scores.mean(axis=1)
    return curve, ((float(low), float(high)), (float(cheap), float(cheap + strong)), float(strong))


def _signal_value(trial: AnyTrial, name: str) -> float:
    return math.nan if isinstance(trial, FailedTrial) else trial.signals.get(name, math.nan)


def _points(shares: Any, values: Any, ends: tuple[float, float]) -> list[Point]:
    """Return a curve from nothing escalated to everything."""
    inner = sorted(zip(shares.tolist(), values.tolist(), strict=True))
    path = [(0.0, ends[0]), *inner, (1.0, ends[1])]
    every = math.ceil(len(path) / _MOST_POINTS)
    return [{"x": 100 * x, "y": y} for x, y in (*path[:-1:every], path[-1])]


def _layers(
    curve: Sequence[Point], chosen: Point, line: dict[str, Any], height: dict[str, Any]
) -> list[dict[str, Any]]:
    x = {
        "field": "x",
        "type": "quantitative",
        "scale": {"domain": [0, 100], "nice": False},
        "axis": axis("Requests escalated", tickCount=5, labelExpr="datum.value + ' %'"),
    }
    scale = {"zero": False, "nice": False, "padding": 8}
    y = {"field": "y", "type": "quantitative", "scale": scale, "axis": height}
    point = {"type": "point", "filled": True, "size": 90, "opacity": 1, "color": "var(--good)"}
    return [
        {
            "data": {"values": list(curve)},
            "mark": {"type": "line", "color": "var(--ink)", "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": [line]},
            "mark": {"type": "rule", "color": "var(--quiet)", "strokeDash": [5, 3]},
            "encoding": {"y": y},
        },
        {
            "data": {"values": [line]},
            "mark": {"type": "text", "align": "left", "dx": 4},
            "encoding": {"y": y, "x": {"value": WIDTH}, "text": {"field": "label"}},
        },
        {"data": {"values": [chosen]}, "mark": point, "encoding": {"x": x, "y": y}},
    ]
