from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from calibrate.report import drawing, write_reports
from calibrate.report.chart import chart
from calibrate.report.drawing import Drawings
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
    svg = Drawings().drawn(spec_of("small"))
    assert set(re.findall(r"<(\w+)", svg)) <= {"svg", "g", "path", "line", "rect", "text"}
    names = set(re.findall(r" ([\w:-]+)=\"", svg))
    assert names <= {*drawing._ATTRIBUTES, "aria-hidden"}
    assert svg.startswith('<svg viewBox="0 0 ')
    assert ">small</text>" in svg


def test_hostile_text_in_a_drawing_is_text() -> None:
    svg = Drawings().drawn(spec_of(HOSTILE))
    assert "<script" not in svg
    assert svg.count("</svg>") == 1
    assert "&lt;/svg&gt;&lt;/text&gt;&lt;script&gt;" in svg
    assert " onload=" not in re.sub(r">[^<]*<", "><", svg)


def test_colours_are_the_pages_own_so_that_both_themes_have_theirs() -> None:
    svg = Drawings().drawn(spec_of("small"))
    colours = set(re.findall(r' (?:fill|stroke)="([^"]+)"', svg))
    assert "var(--ink)" in colours
    assert all(c.startswith("var(--") or c in ("none", "transparent") for c in colours)


def test_another_process_draws_the_same_bytes(certified: Any) -> None:
    program = (
        "import json, sys; from calibrate.report.drawing import Drawings; "
        "sys.stdout.write(Drawings().drawn(json.load(sys.stdin)))"
    )
    spec = build_page(certified.calibration, certified.project).frontier.chart.spec  # type: ignore[union-attr]
    found = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(spec), capture_output=True, text=True
    )
    assert found.stdout == Drawings().drawn(spec)
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
    svg = Drawings().drawn(chart("", 40, [layer]).spec)
    assert "clipPath" not in svg
    assert " id=" not in svg


def kept(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_chart_of_the_run_before_is_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "drawings" / "a.json"
    first = Drawings(path)
    svg = first.drawn(spec_of("kept"))
    first.keep()
    drawing._drawn.cache_clear()
    monkeypatch.setitem(sys.modules, "vl_convert", None)  # whoever draws now gets nothing
    assert Drawings(path).drawn(spec_of("kept")) == svg
    assert Drawings(path).drawn(spec_of("another")) == ""
    drawing._drawn.cache_clear()


def test_only_the_charts_of_the_last_run_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for names in (("one", "two"), ("two", "three")):
        drawings = Drawings(path)
        for name in names:
            drawings.drawn(spec_of(name))
        drawings.keep()
    found = list(kept(path)["drawings"].values())
    assert [name in "".join(found) for name in ("one<", "two<", "three<")] == [False, True, True]


def test_what_is_kept_already_is_not_written_again(tmp_path: Path) -> None:
    path, files = tmp_path / "a.json", set()
    for _ in range(2):
        drawings = Drawings(path)
        drawings.drawn(spec_of("same"))
        drawings.keep()
        files.add(path.stat().st_ino)  # a file that is replaced is another one
    assert len(files) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.update(library="another version"),
        lambda kept: kept.update(drawings=[]),
        lambda kept: kept.update(drawings=dict.fromkeys(kept["drawings"], 1)),
        lambda kept: kept.update(drawings=dict.fromkeys(kept["drawings"], "<svg")),
        lambda kept: kept.update(drawings=dict.fromkeys(kept["drawings"], "<!DOCTYPE svg><svg/>")),
        lambda kept: kept.clear(),
    ],
)
def test_a_file_that_another_version_wrote_or_that_is_damaged_is_drawn_anew(
    change: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    first = Drawings(path)
    svg = first.drawn(spec_of("kept"))
    first.keep()
    found = kept(path)
    change(found)
    path.write_text(json.dumps(found))
    again = Drawings(path)
    assert again.drawn(spec_of("kept")) == svg
    again.keep()
    assert list(kept(path)["drawings"].values()) == list(first._used.values())


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_file_that_is_no_json_is_drawn_anew(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert ">kept</text>" in Drawings(path).drawn(spec_of("kept"))


def test_what_somebody_wrote_into_the_file_goes_through_the_same_filter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    first = Drawings(path)
    first.drawn(spec_of("kept"))
    first.keep()
    found = kept(path)
    hostile = '<svg onload="x()"><script>alert(1)</script><text fill="red">shown</text></svg>'
    found["drawings"] = dict.fromkeys(found["drawings"], hostile)
    path.write_text(json.dumps(found))
    assert Drawings(path).drawn(spec_of("kept")) == (
        '<svg aria-hidden="true"><text fill="red">shown</text></svg>'
    )


def test_without_the_library_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    drawing._drawn.cache_clear()
    drawings = Drawings(path)
    assert drawings.drawn(spec_of("none")) == ""
    drawings.keep()
    assert not path.exists()
    drawing._drawn.cache_clear()


def test_a_library_that_is_gone_draws_nothing_though_drawings_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    first = Drawings(path)
    first.drawn(spec_of("kept"))
    first.keep()

    def nowhere(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", nowhere)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    drawing._drawn.cache_clear()
    assert Drawings(path).drawn(spec_of("kept")) == ""
    drawing._drawn.cache_clear()


def test_a_place_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    drawings = Drawings(tmp_path / "file" / "a.json")
    assert ">kept</text>" in drawings.drawn(spec_of("kept"))
    drawings.keep()


def test_the_pages_of_a_rerun_are_the_same_bytes(certified: Any, tmp_path: Path) -> None:
    project = replace(certified.project, root=tmp_path)
    pages = []
    for _ in range(2):
        (path,) = write_reports(
            [certified.calibration], project, certified.policy, tmp_path / "reports"
        )
        pages.append(path.read_bytes())
    assert pages[0] == pages[1]
    assert pages[0].count(b"<svg viewBox=") == len(
        kept(tmp_path / ".calibrate/drawings/tickets.json")["drawings"]
    )
