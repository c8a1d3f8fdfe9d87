"""A chart as SVG that a page can take in: shapes and text of known kinds, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup, escape

__all__ = ["drawn"]

_TAGS = ("svg", "g", "path", "line", "rect", "text", "tspan")
_ATTRIBUTES = (
    *("d", "transform", "x", "y", "dx", "dy", "x1", "x2", "y1", "y2", "width", "height"),
    *("viewBox", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray"),
    *("stroke-linecap", "opacity", "text-anchor", "font-size", "font-weight"),
)
_SHAPES = ("path", "rect")
_NO_MOVE = "translate(0,0)"


def drawn(spec: Mapping[str, Any]) -> Markup:
    """Return a Vega-Lite specification as inline SVG; empty where vl-convert is not installed.

    The same specification gives the same bytes on every machine: its font comes with the library,
    so that no text is measured with one of the system's. Its elements and attributes are taken
    in by name; styles, links, identifiers and what could run are not among them.
    """
    return _drawn(json.dumps(spec, ensure_ascii=False))


@lru_cache(maxsize=256)
def _drawn(spec: str) -> Markup:
    try:
        import vl_convert  # only where there is something to draw: it starts a whole V8
    except ImportError:
        return Markup("")
    svg = vl_convert.vegalite_to_svg(spec, vl_version="5.21")
    root = ElementTree.fromstring(svg)  # noqa: S314 - the library wrote it, and it has no DTD
    root.attrib.pop("width")
    root.attrib.pop("height")
    return Markup(_taken_in(root))  # noqa: S704 - every part is escaped


def _taken_in(element: ElementTree.Element) -> str:
    """Return an element with what is in it; nothing for one that is not known or not seen."""
    tag = element.tag.rpartition("}")[2]
    if tag not in _TAGS or _is_unseen(tag, element.attrib):
        return ""
    inside = [str(escape(element.text or "")), *map(_taken_in, element)]
    content = "".join(inside)
    attributes = "".join(
        f' {name}="{escape(element.attrib[name])}"'
        for name in _ATTRIBUTES
        if element.attrib.get(name, _NO_MOVE) != _NO_MOVE
    )
    if tag == "g" and not attributes:
        return content
    if tag == "svg":
        attributes += ' aria-hidden="true"'
    return f"<{tag}{attributes}>{content}</{tag}>" if content else f"<{tag}{attributes}/>"


def _is_unseen(tag: str, attributes: Mapping[str, str]) -> bool:
    is_bare = "fill" not in attributes and "stroke" not in attributes
    return attributes.get("display") == "none" or (tag in _SHAPES and is_bare)
