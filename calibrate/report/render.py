"""A view as one self-contained HTML file; no arithmetic, and nothing that could run or load."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from calibrate.report.excerpt import visible
from calibrate.report.index import Index
from calibrate.report.view import Page

__all__ = ["render_index", "render_page"]


def render_page(page: Page) -> str:
    """Return a workflow's page."""
    return _render("page.html", page=page)


def render_index(index: Index) -> str:
    """Return the page that lists every workflow."""
    return _render("index.html", index=index)


def _render(template: str, **views: Any) -> str:
    style = _style()
    # The policy names the one style sheet by its digest: hostile text that got past the escaping
    # could still neither run, nor load, nor dress itself up.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(views, style=Markup(style), style_digest=digest)  # noqa: S704
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("calibrate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _style() -> str:
    return files("calibrate.report").joinpath("templates/style.css").read_text(encoding="utf-8")


def _finalize(value: Any) -> Any:
    """Make every text safe to show; the one place through which all of them pass."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
