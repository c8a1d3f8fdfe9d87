"""A view as one self-contained HTML file: no arithmetic, nothing that loads, one script of ours.

A page that is served while a run goes on says so in a line of its own; a file never has it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from io import StringIO
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from calibrate.report.badges import Badge
from calibrate.report.cases import CasePage
from calibrate.report.drawing import Drawings
from calibrate.report.excerpt import visible
from calibrate.report.index import Index, case_file
from calibrate.report.live import Live
from calibrate.report.view import Page

__all__ = ["render_cases", "render_index", "render_page", "render_problems", "security_policy"]


def render_page(page: Page, live: Live | None = None, *, drawings: Drawings | None = None) -> str:
    """Return a workflow's page; its charts are drawn, or taken from those that are kept."""
    return _render("page.html", page=page, live=live, drawings=drawings or Drawings())


def render_cases(page: Page, cases: CasePage, live: Live | None = None) -> str:
    """Return a page of the cases that have no room on their workflow's page."""
    return _render("cases.html", page=page, cases=cases, live=live)


def render_index(index: Index, live: Live | None = None) -> str:
    """Return the page that lists every workflow."""
    return _render("index.html", index=index, live=live)


def render_problems(problems: Sequence[str], live: Live) -> str:
    """Return a page that says why there is none."""
    return _render("problems.html", problems=problems, live=live)


def security_policy() -> str:
    """Return what a server that serves any of the pages says in its Content-Security-Policy.

    It is that of the pages, which stands in each of them, and forbids to frame them as well: that
    a page cannot say itself.
    """
    style, script = _digest(_asset("style.css")), _digest(_asset("cases.js"))
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _render(template: str, **views: Any) -> str:
    # The policy names the one style sheet and the one script by their digests: hostile text that
    # got past the escaping could still neither run, nor load, nor dress itself up.
    style, script = _asset("style.css"), _asset("cases.js")
    shared = {
        "style": Markup(style),  # noqa: S704 - ours
        "style_digest": _digest(style),
        "script": Markup(script),  # noqa: S704 - ours
        "script_digest": _digest(script),
    }
    text = StringIO()  # a page is of thousands of pieces, which take more room than it
    for piece in _environment().get_template(template).generate(views, **shared):
        text.write(piece)
    return text.getvalue()


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("calibrate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"case_file": case_file, "answered_by": _answered_by}
    return environment


@lru_cache(maxsize=1024)
def _answered_by(model: str, badge: Badge) -> Markup:
    """Return how an answer begins, of which a page has many that are alike."""
    macros: Any = _environment().get_template("macros.html").module
    return Markup(macros.answered(model, badge))  # noqa: S704 - the macro's own


@cache
def _asset(name: str) -> str:
    return files("calibrate.report").joinpath("templates", name).read_text(encoding="utf-8")


def _finalize(value: Any) -> Any:
    """Make every text safe to show; the one place through which all of them pass."""
    if type(value) is str and value.isprintable():  # nearly always, and far quicker
        return value
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
