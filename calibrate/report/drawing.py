"""A chart as SVG that a page can take in: shapes and text of known kinds, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup, escape

from calibrate.errors import OutputError
from calibrate.files import replace_file

__all__ = ["Drawings"]

VEGA_LITE = "5.21"

_TAGS = ("svg", "g", "path", "line", "rect", "text", "tspan")
_ATTRIBUTES = (
    *("d", "transform", "x", "y", "dx", "dy", "x1", "x2", "y1", "y2", "width", "height"),
    *("viewBox", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray"),
    *("stroke-linecap", "opacity", "text-anchor", "font-size", "font-weight"),
)
_SHAPES = ("path", "rect")
_NO_MOVE = "translate(0,0)"


class Drawings:
    """The charts of a page, each drawn once; those of an earlier run are read from a file.

    To draw takes an engine that is slow to start and large, and most charts of a rerun are those
    of the run before. The file has what the library gave: it goes through the same filter.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._earlier = {} if path is None else _read(path)
        self._used: dict[str, str] = {}

    def drawn(self, spec: Mapping[str, Any]) -> Markup:
        """Return a Vega-Lite specification as inline SVG; empty without vl-convert.

        The same specification gives the same bytes on every machine: its font comes with the
        library, so that no text is measured with one of the system's. Its elements and attributes
        are taken in by name; styles, links, identifiers and what could run are not among them.
        """
        text = json.dumps(spec, ensure_ascii=False)
        key = hashlib.sha256(text.encode()).hexdigest()
        if key in self._earlier:
            with suppress(ElementTree.ParseError):
                found = _filtered(self._earlier[key])
                self._used[key] = self._earlier[key]
                return found
        self._used[key] = _drawn(text)
        return _filtered(self._used[key])

    def keep(self) -> None:
        """Write what this page has for the next run, where that is not what is kept already."""
        if self._path is None or self._used == self._earlier or "" in self._used.values():
            return
        kept = {"library": _library(), "drawings": self._used}
        with suppress(OutputError):  # it can be drawn again
            replace_file(self._path, json.dumps(kept, ensure_ascii=False).encode())


def _read(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    library, drawings = _library(), kept.get("drawings") if isinstance(kept, dict) else None
    if library is None or not isinstance(drawings, dict) or kept["library"] != library:
        return {}
    # The library writes no DTD, which alone could make of a short text a long one.
    return {key: svg for key, svg in drawings.items() if isinstance(svg, str) and "<!" not in svg}


def _library() -> str | None:
    """Return the version of what draws; None where nothing does."""
    try:
        return f"{metadata.version('vl-convert-python')}, {VEGA_LITE}"
    except metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=256)
def _drawn(spec: str) -> str:
    try:
        import vl_convert  # only where there is something to draw: it starts a whole V8
    except ImportError:
        return ""
    return vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)


def _filtered(svg: str) -> Markup:
    if not svg:
        return Markup("")
    root = ElementTree.fromstring(svg)  # noqa: S314 - it has no DTD
    root.attrib.pop("width", None)
    root.attrib.pop("height", None)
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
