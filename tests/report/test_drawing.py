from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from calibrate.report import drawing
from calibrate.report.chart import chart
from calibrate.report.render import render_page
from calibrate.report.view import build_page

Make = Callable[..., Any]

HOSTILE = "</svg></text><script>alert(1)</script>\"' onload=x & \u202e {{ 7 * 7 }} ${1}"


def spec_of(text: str) -> Any:
    layer = {
        "data": {"values": [{"x": 1, "name": text}]},
        "mark": {"type": "text", "color": "var(--ink)"},
        "encoding": {"text": {"field": "name"}, "y": {"field": "name", "type": "nominal"}},
    }
    return chart("", 40, [layer]).spec


def test_a_drawing_is_shapes_and_text_of_known_kinds() -> None:
    svg = drawing.drawn(spec_of("small"))
    assert set(re.findall(r"<(\w+)", svg)) <= {"svg", "g", "path", "line", "rect", "text"}
    names = set(re.findall(r" ([\w:-]+)=\"", svg))
    assert names <= {*drawing._ATTRIBUTES, "aria-hidden"}
    assert svg.startswith('<svg viewBox="0 0 ')
    assert ">small</text>" in svg


def test_hostile_text_in_a_drawing_is_text() -> None:
    svg = drawing.drawn(spec_of(HOSTILE))
    assert "<script" not in svg
    assert svg.count("</svg>") == 1
    assert "&lt;/svg&gt;&lt;/text&gt;&lt;script&gt;" in svg
    assert " onload=" not in re.sub(r">[^<]*<", "><", svg)


def test_colours_are_the_pages_own_so_that_both_themes_have_theirs() -> None:
    svg = drawing.drawn(spec_of("small"))
    colours = set(re.findall(r' (?:fill|stroke)="([^"]+)"', svg))
    assert "var(--ink)" in colours
    assert all(c.startswith("var(--") or c in ("none", "transparent") for c in colours)


def test_another_process_draws_the_same_bytes(certified: Any) -> None:
    program = (
        "import json, sys; from calibrate.report.drawing import drawn; "
        "sys.stdout.write(drawn(json.load(sys.stdin)))"
    )
    spec = build_page(certified.calibration, certified.project).frontier.chart.spec  # type: ignore[union-attr]
    found = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(spec), capture_output=True, text=True
    )
    assert found.stdout == drawing.drawn(spec)
    assert len(found.stdout) > 1_000


def test_without_the_library_a_page_says_in_words_what_a_chart_shows(
    certified: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    drawing._drawn.cache_clear()
    text = render_page(build_page(certified.calibration, certified.project))
    drawing._drawn.cache_clear()
    assert '<div class="chart"' not in text
    assert "medium: 95.3 %, from 82.9 % to 99.6 %" in text
    assert "<code>pip install 'calibrate-llm[charts]'</code>" in text


def test_the_library_is_not_loaded_before_something_is_drawn() -> None:
    program = "import sys, calibrate.report; sys.exit('vl_convert' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_an_element_of_another_kind_is_left_out() -> None:
    layer = {
        "data": {"values": [{"x": 1}, {"x": 2}]},
        "mark": {"type": "line", "clip": True, "color": "var(--ink)"},  # by a `clipPath` with an id
        "encoding": {"x": {"field": "x", "type": "quantitative"}},
    }
    svg = drawing.drawn(chart("", 40, [layer]).spec)
    assert "clipPath" not in svg
    assert " id=" not in svg
