"""How long calls took, held against the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calibrate.decide import Calibration
from calibrate.report.breakdown import measured
from calibrate.report.chart import LANES, Chart, axis, chart, label
from calibrate.summaries import latency_quantile
from calibrate.words import p95, seconds

__all__ = [
    "LatencyRow",
    "ModelLatency",
    "latency_chart",
    "latency_rows",
    "model_latencies",
]

_QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "longest": 1.0}
_LEAST_S = 1e-4
_LANE = 26  # pixels a model


@dataclass(frozen=True, slots=True)
class ModelLatency:
    """How long a model's calls took, in seconds; None where none was measured."""

    model: str
    calls: int  # all that were asked, but for those in batches
    p50_s: float | None
    p95_s: float | None
    longest_s: float | None
    late: int | None  # calls over the target; None without one


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """How long a model's calls took, as text."""

    model: str
    calls: str  # on how many the row rests
    p50: str
    p95: str
    longest: str
    late: str


def model_latencies(calibration: Calibration) -> tuple[ModelLatency, ...]:
    """Return how long the calls of each measured model took."""
    target = calibration.task.workflow.bar.latency_p95_s
    found = []
    for verdict, trials in measured(calibration):
        times = [trial.latency_s for trial in trials if trial.latency_s is not None]
        found.append(
            ModelLatency(
                model=verdict.model,
                calls=len(times),
                p50_s=latency_quantile(trials, 0.5),
                p95_s=latency_quantile(trials, 0.95),
                longest_s=latency_quantile(trials, 1.0),
                late=None if target is None else sum(time > target for time in times),
            )
        )
    return tuple(found)


def latency_rows(calibration: Calibration) -> tuple[LatencyRow, ...]:
    """Return a row a measured model."""
    return tuple(
        LatencyRow(
            model=found.model,
            calls=f"{found.calls:,}",
            p50=seconds(found.p50_s),
            p95=p95(found.p95_s, found.calls),
            longest=seconds(found.longest_s),
            late="–" if found.late is None else f"{found.late:,} of {found.calls:,}",
        )
        for found in model_latencies(calibration)
    )


def latency_chart(calibration: Calibration) -> Chart | None:
    """Return the distribution of each measured model as a lane; None where nothing took time."""
    lanes: list[dict[str, Any]] = []
    for verdict, trials in measured(calibration):
        found = {name: latency_quantile(trials, q) for name, q in _QUANTILES.items()}
        # Zero has no place on the scale.
        shown = {name: max(value, _LEAST_S) for name, value in found.items() if value is not None}
        if shown:
            lanes.append({"model": label(verdict.model), **shown})
    if all(lane["longest"] == _LEAST_S for lane in lanes):
        return None
    target = calibration.task.workflow.bar.latency_p95_s
    title = "; ".join(_title(row) for row in latency_rows(calibration))
    if target is not None:
        title += f"; the target is a p95 of {seconds(target)}"
    return chart(f"{title}.", _LANE * len(lanes), _layers(lanes, target))


def _title(row: LatencyRow) -> str:
    return f"{row.model}: half of the calls within {row.p50}, the longest {row.longest}"


def _layers(lanes: Sequence[dict[str, Any]], target: float | None) -> list[dict[str, Any]]:
    x = {
        "type": "quantitative",
        "scale": {"type": "log", "nice": False},
        "axis": axis("Seconds", tickCount=4, format="~g"),
    }
    data = {"values": list(lanes)}
    ink, money = "var(--ink)", "var(--money)"
    spans = [("p5", "p95", 2, ink), ("p25", "p75", 9, money)]
    layers: list[dict[str, Any]] = [
        {
            "data": data,
            "mark": {"type": "rule", "strokeWidth": width, "color": colour},
            "encoding": {"y": LANES, "x": {**x, "field": low}, "x2": {"field": high}},
        }
        for low, high, width, colour in spans
    ]
    tick = {"type": "tick", "orient": "vertical", "color": ink}
    for name, size in (("p50", 16), ("p95", 10), ("longest", 4)):
        layers.append(
            {
                "data": data,
                "mark": {**tick, "size": size, "thickness": 2},
                "encoding": {"y": LANES, "x": {**x, "field": name}},
            }
        )
    if target is not None:
        layers.append(
            {
                "data": {"values": [{"target": target}]},
                "mark": {"type": "rule", "color": "var(--bad)", "strokeDash": [5, 3]},
                "encoding": {"x": {**x, "field": "target"}},
            }
        )
    return layers
