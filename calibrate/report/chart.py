"""What all charts of a page share: their look, and how a reader who cannot see one is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibrate.report.excerpt import visible

__all__ = [
    "COLOURS",
    "LANES",
    "PERCENT_AXIS",
    "WIDTH",
    "Chart",
    "axis",
    "chart",
    "label",
    "mark_of",
]

WIDTH = 340  # of the plane, in pixels; the drawing is scaled to the page
COLOURS = {shape: f"var(--{shape})" for shape in ("good", "bad", "open")}
_MARKS = {"good": "circle", "bad": "square", "open": "diamond"}
_LONGEST_LABEL = 40
PERCENT_AXIS = {"labelExpr": "format(100 * datum.value, '.3~g') + ' %'"}

LANES = {  # one a model, in the order given
    "field": "model",
    "type": "nominal",
    "sort": None,
    "axis": {"title": None, "grid": False, "ticks": False},
}

_LOOK = {
    # Comes with the library, so that text is measured alike everywhere; the page has its own.
    "font": "Roboto",
    "background": None,
    "view": {"stroke": None, "continuousWidth": WIDTH},
    "axis": {
        "domainColor": "var(--rule)",
        "tickColor": "var(--rule)",
        "gridColor": "var(--rule)",
        "labelColor": "var(--quiet)",
        "titleColor": "var(--quiet)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 150,
    },
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 12, "title": None, "orient": "top"},
    "text": {"fontSize": 12, "color": "var(--ink)"},
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A Vega-Lite specification, and what it shows in words."""

    title: str
    spec: Mapping[str, Any]


def chart(title: str, height: int, layers: Sequence[Mapping[str, Any]]) -> Chart:
    """Return a chart of some layers that lie on one plane."""
    return Chart(title, {"width": WIDTH, "height": height, "config": _LOOK, "layer": list(layers)})


def label(text: str) -> str:
    """Return a name as a label: bounded, and nothing unseen."""
    shown = visible(text)
    return shown if len(shown) <= _LONGEST_LABEL else shown[: _LONGEST_LABEL - 1] + "…"


def axis(title: str | None, **more: Any) -> dict[str, Any]:
    """Return an axis without a grid unless it is asked for."""
    return {"title": title, "grid": False, **more}


def mark_of(shape: str) -> dict[str, Any]:
    """Return the point mark of a state: a colour with a shape."""
    mark = {"type": "point", "filled": True, "size": 90, "opacity": 1}
    return {**mark, "shape": _MARKS[shape], "color": COLOURS[shape]}
