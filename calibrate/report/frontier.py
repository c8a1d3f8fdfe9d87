"""Quality against cost: where each model lies, how well that is known, and the bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from calibrate.certificate import cost_of
from calibrate.decide import Calibration
from calibrate.gate import Reason, Verdict
from calibrate.report.badges import verdict_badge
from calibrate.report.chart import COLOURS, PERCENT_AXIS, WIDTH, Chart, axis, chart, label, mark_of
from calibrate.words import money, percent

__all__ = ["Frontier", "frontier_of"]

_HEIGHT = 230  # pixels
_CHARACTER, _LINE = 6.5, 14  # pixels that a name takes, about
_WIDE = 8.0  # from this ratio of the costs on, their scale is logarithmic


@dataclass(frozen=True, slots=True)
class Frontier:
    """The chart, and the models that have no place in it, with the reason."""

    chart: Chart | None  # None where no model has a rate
    without: tuple[str, ...]
    numbered: bool = False  # models are numbers in it, since there are too many for names


def frontier_of(calibration: Calibration) -> Frontier:
    """Return the chart of a calibration's candidates."""
    pairs = list(zip(calibration.task.field.candidates, calibration.verdicts, strict=True))
    points = [
        {
            "cost": cost_of(candidate, verdict).usd_per_1k,
            "rate": verdict.estimate,
            "low": verdict.lower_bound,
            "high": verdict.upper_bound,
            "shape": verdict_badge(verdict, was_asked=True).shape,
            "label": label(verdict.model),
            "number": str(place),
        }
        for place, (candidate, verdict) in enumerate(pairs, start=1)
        if verdict.estimate is not None
    ]
    without = tuple(
        f"{verdict.model} ({_why_without(verdict, calibration)})"
        for _, verdict in pairs
        if verdict.estimate is None
    )
    if not points:
        return Frontier(None, without)
    floor = calibration.task.workflow.bar.floor
    plane = _Plane.of(points, floor)
    is_numbered = not plane.has_room(points)
    if is_numbered:
        points = [{**point, "label": point["number"]} for point in points]
    measure = calibration.task.workflow.bar.measure.replace("_", " ")
    layers = _layers(points, floor, measure.capitalize(), plane)
    title = "; ".join(
        _title(verdict, cost_of(candidate, verdict).usd_per_1k)
        for candidate, verdict in pairs
        if verdict.estimate is not None
    )
    return Frontier(chart(f"Bar {percent(floor)}. {title}.", _HEIGHT, layers), without, is_numbered)


def _why_without(verdict: Verdict, calibration: Calibration) -> str:
    if verdict.reason is Reason.NOT_ASKED:
        return verdict_badge(verdict, bool(calibration.trials.get(verdict.model))).text
    return "critical cases give no rate" if verdict.cases_used else "no case yet"


def _title(verdict: Verdict, usd_per_1k: float) -> str:
    return (
        f"{verdict.model}: {percent(verdict.estimate)}, from {percent(verdict.lower_bound)} to "
        f"{percent(verdict.upper_bound)}, at {money(usd_per_1k)} per 1,000 requests"
    )


@dataclass(frozen=True, slots=True)
class _Plane:
    """The scales of the chart."""

    bottom: float
    left: float
    right: float
    is_log: bool

    @classmethod
    def of(cls, points: Sequence[Mapping[str, Any]], floor: float) -> _Plane:
        costs = [point["cost"] for point in points]
        least, most = min(costs), max(costs)
        bottom = max(min([floor, *(point["low"] for point in points)]) - 0.02, 0.0)
        if least > 0 and most >= _WIDE * least:
            return cls(bottom, least / 1.5, most * 1.5, True)
        return cls(bottom, 0.0, 1.1 * most or 1.0, False)

    def x(self, cost: float) -> float:
        """Return a place as a share of the width."""
        if self.is_log:
            return math.log(cost / self.left) / math.log(self.right / self.left)
        return cost / self.right

    def is_right(self, cost: float) -> bool:
        return self.x(cost) > 0.5

    def has_room(self, points: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether no name lies on another."""
        boxes = []
        for point in points:
            x, width = WIDTH * self.x(point["cost"]), 8 + _CHARACTER * len(point["label"])
            y = _HEIGHT * (1 - point["rate"]) / (1 - self.bottom)
            boxes.append((x - width, x, y) if self.is_right(point["cost"]) else (x, x + width, y))
        return not any(
            one[0] < two[1] and two[0] < one[1] and abs(one[2] - two[2]) < _LINE
            for one, two in combinations(boxes, 2)
        )


def _layers(
    points: Sequence[Mapping[str, Any]], floor: float, measure: str, plane: _Plane
) -> list[dict[str, Any]]:
    rate = {"type": "quantitative", "scale": {"domain": [plane.bottom, 1], "nice": False}}
    y = {**rate, "axis": axis(measure, tickCount=5, grid=True, **PERCENT_AXIS)}
    scale = {"domain": [plane.left, plane.right], "nice": False}
    x = {
        "field": "cost",
        "type": "quantitative",
        "scale": {**scale, "type": "log"} if plane.is_log else scale,
        "axis": axis("US dollars per 1,000 requests", format="$~g", tickCount=4),
    }
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": [{"low": floor, "high": 1}]},
            "mark": {"type": "rect", "color": "var(--clears)"},
            "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "data": {"values": [{"low": floor, "label": f"bar {percent(floor)}"}]},
            "encoding": {"y": {**y, "field": "low"}},
            "layer": [
                {"mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 1.5}},
                {
                    "mark": {"type": "text", "align": "left", "dx": 4},
                    "encoding": {"text": {"field": "label"}, "x": {"value": WIDTH}},
                },
            ],
        },
    ]
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    for shape, colour in COLOURS.items():
        found = [point for point in points if point["shape"] == shape]
        if found:
            span = {"type": "rule", "color": colour, "strokeWidth": 2}
            cap = {"type": "tick", "color": colour, "thickness": 2, "size": 9}
            cap["orient"] = "horizontal"
            layers.append(
                {
                    "data": {"values": found},
                    "encoding": {"x": x},
                    "layer": [
                        {"mark": span, "encoding": ends},
                        {"mark": cap, "encoding": {"y": {**y, "field": "low"}}},
                        {"mark": cap, "encoding": {"y": {**y, "field": "high"}}},
                        {"mark": mark_of(shape), "encoding": {"y": {**y, "field": "rate"}}},
                    ],
                }
            )
    for side, offset in (("left", 8), ("right", -8)):
        found = [p for p in points if plane.is_right(p["cost"]) == (side == "right")]
        text = {"type": "text", "align": side, "dx": offset, "dy": -8}
        places = {"x": x, "y": {**y, "field": "rate"}, "text": {"field": "label"}}
        halo = {"stroke": "var(--paper)", "strokeWidth": 4, "color": "var(--paper)"}
        if found:
            layers += [
                {"data": {"values": found}, "mark": {**text, **halo}, "encoding": places},
                {"data": {"values": found}, "mark": text, "encoding": places},
            ]
    return layers
