"""A pair of models at every threshold of a signal: the curves of quality and of cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrate.cascade.curves import Cascade, cascades
from calibrate.decide import Calibration, Cascades
from calibrate.policy import InputScore
from calibrate.report.chart import COLOURS, PERCENT_AXIS, WIDTH, Chart, axis, chart, label, mark_of
from calibrate.report.serving import signal_seen
from calibrate.trial import passes
from calibrate.words import money, percent

__all__ = ["ShownPair", "caption_of", "curve_charts", "shown_pair"]

_HEIGHT = 150  # pixels
_MOST_POINTS = 200  # of one curve

Point = dict[str, float]


@dataclass(frozen=True, slots=True)
class ShownPair:
    """The pair whose curve is drawn, and the threshold that is marked on it."""

    cheap: str
    strong: str
    signal: str
    escalated: float
    estimate: float
    lower_bound: float | None
    cost_usd_per_request: float
    is_certified: bool
    score: InputScore | None
    fitted_on: frozenset[str]  # cases that the curve is not of
    certified_from: float | None  # the least share escalated at which the pair is certified


def shown_pair(found: Cascades) -> ShownPair | None:
    """Return the certified cascade; where there is none, the pair with the best threshold."""
    route = found.route
    if route is not None:
        cheap, strong = route.cheap.alias, route.strong.alias
        certified = [
            p.certified_from for p in found.pairs if (p.cheap, p.strong) == (cheap, strong)
        ]
        return ShownPair(
            cheap,
            strong,
            route.signal,
            route.escalated,
            route.estimate,
            route.lower_bound,
            route.cost_usd_per_request,
            is_certified=True,
            score=route.score,
            fitted_on=frozenset(route.fitted_on),
            certified_from=certified[0] if certified else None,
        )
    fitted = {signal.model for signal in found.signals if signal.fitted_cases is not None}
    if not found.pairs or found.pairs[0].cheap in fitted:  # its weights are the route's alone
        return None
    pair = found.pairs[0]
    best = pair.best
    return ShownPair(
        pair.cheap,
        pair.strong,
        pair.signal,
        best.escalated,
        best.estimate,
        best.lower_bound,
        best.cost_usd_per_request,
        is_certified=False,
        score=None,
        fitted_on=frozenset(),
        certified_from=pair.certified_from,
    )


def caption_of(shown: ShownPair) -> str:
    """Return what is to be seen on the curves, and what is promised of it."""
    observed = (
        "Quality and cost of the pair at every threshold, as observed on the cases that both have "
        "answered. "
    )
    region = (
        "The shade is where thresholds are certified. " if shown.certified_from is not None else ""
    )
    if shown.is_certified:
        return (
            f"{observed}{region}The disc is the threshold that was chosen, the line below it "
            "reaches down to its lower bound; outside the shade nothing is promised."
        )
    return (
        f"{observed}{region}No threshold is the route; the diamond is the best in hindsight, the "
        "line below it reaches down to its lower bound."
    )


def curve_charts(calibration: Calibration, shown: ShownPair) -> list[Chart]:
    """Return quality and cost at every threshold of a pair, as observed."""
    curve, ends = _curve(calibration, shown)
    if curve is None:
        return []
    quality = _points(curve.escalated, curve.quality, ends[0])
    cost = _points(curve.escalated, 1000 * curve.cost_usd, ends[1])
    floor = calibration.task.workflow.bar.floor
    at, usd = 100 * shown.escalated, 1000 * shown.cost_usd_per_request
    bound = "" if shown.lower_bound is None else f", lower bound {percent(shown.lower_bound)}"
    word = "certified" if shown.is_certified else "best"
    return [
        chart(
            f"Observed quality from {percent(quality[0]['y'])} with nothing escalated to "
            f"{percent(quality[-1]['y'])} with everything; {word} at {percent(shown.escalated)} "
            f"escalated, {percent(shown.estimate)}{bound}; bar {percent(floor)}.{_region(shown)}",
            _HEIGHT,
            _layers(
                shown,
                quality,
                {"x": at, "y": shown.estimate, "low": shown.lower_bound},
                {"y": floor, "label": f"bar {percent(floor)}"},
                axis("Quality", tickCount=4, grid=True, **PERCENT_AXIS),
            ),
        ),
        chart(
            f"Cost from {money(cost[0]['y'])} to {money(cost[-1]['y'])} per 1,000 requests; "
            f"{money(usd)} at the {word} threshold; {shown.strong} alone {money(ends[2])}.",
            _HEIGHT,
            _layers(
                shown,
                cost,
                {"x": at, "y": usd, "low": None},
                {"y": ends[2], "label": label(f"{shown.strong} alone")},
                axis("Dollars per 1,000", tickCount=4, grid=True, format="$~g"),
            ),
        ),
    ]


def _region(shown: ShownPair) -> str:
    if shown.certified_from is None:
        return ""
    return f" Thresholds are certified from {percent(shown.certified_from)} escalated upward."


Ends = tuple[tuple[float, float], tuple[float, float], float]


def _curve(calibration: Calibration, shown: ShownPair) -> tuple[Cascade | None, Ends]:
    """Return the pair at all thresholds, with both ends of each curve and the cost of `strong`."""
    first, second = (
        {(t.case.id, t.repeat): t for t in calibration.trials.get(model, ())}
        for model in (shown.cheap, shown.strong)
    )
    both = [key for key in first if key in second and key[0] not in shown.fitted_on]
    pair = [[found[key] for key in both] for found in (first, second)]
    is_rate = calibration.task.workflow.bar.measure == "pass_rate"
    scores = np.array([[float(passes(t)) if is_rate else t.score for t in row] for row in pair])
    costs = np.array([[float(t.cost_usd) for t in row] for row in pair])
    signal = [signal_seen(trial, shown.signal, shown.score) for trial in pair[0]]
    signals = np.array([signal, [math.nan] * len(both)])
    if not both:
        return None, ((0.0, 0.0), (0.0, 0.0), 0.0)
    curve = next((c for c in cascades(scores, signals, costs) if c.cheap == 0 and len(c)), None)
    (cheap, strong), (low, high) = 1000 * costs.mean(axis=1), scores.mean(axis=1)
    return curve, ((float(low), float(high)), (float(cheap), float(cheap + strong)), float(strong))


def _points(shares: Any, values: Any, ends: tuple[float, float]) -> list[Point]:
    """Return a curve from nothing escalated to everything."""
    inner = sorted(zip(shares.tolist(), values.tolist(), strict=True))
    path = [(0.0, ends[0]), *inner, (1.0, ends[1])]
    every = math.ceil(len(path) / _MOST_POINTS)
    return [{"x": 100 * x, "y": y} for x, y in (*path[:-1:every], path[-1])]


def _layers(
    shown: ShownPair,
    curve: Sequence[Point],
    chosen: Mapping[str, float | None],
    line: dict[str, Any],
    height: dict[str, Any],
) -> list[dict[str, Any]]:
    x = {
        "field": "x",
        "type": "quantitative",
        "scale": {"domain": [0, 100], "nice": False},
        "axis": axis("Requests escalated", tickCount=5, labelExpr="datum.value + ' %'"),
    }
    scale = {"zero": False, "nice": False, "padding": 8}
    y = {"field": "y", "type": "quantitative", "scale": scale, "axis": height}
    layers: list[dict[str, Any]] = []
    if shown.certified_from is not None:
        region = {"x": 100 * shown.certified_from, "end": 100}
        layers.append(
            {
                "data": {"values": [region]},
                "mark": {"type": "rect", "color": "var(--clears)"},
                "encoding": {"x": x, "x2": {"field": "end"}},
            }
        )
    layers += [
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
    ]
    shape = "good" if shown.is_certified else "open"
    data = {"values": [chosen]}
    if chosen["low"] is not None:
        bound = {"type": "rule", "color": COLOURS[shape], "strokeWidth": 2}
        ends = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "y"}}
        layers.append({"data": data, "mark": bound, "encoding": ends})
    layers.append({"data": data, "mark": mark_of(shape), "encoding": {"x": x, "y": y}})
    return layers
