"""Configuration as text."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator

import pytest
import yaml
from exporters.golden import golden_file

from calibrate.exporters import EXPORTERS, rendering
from calibrate.exporters.base import Note


@pytest.fixture
def without_libyaml(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delattr(yaml, "CSafeDumper")
    importlib.reload(rendering)
    yield
    monkeypatch.undo()
    importlib.reload(rendering)


@pytest.mark.parametrize("gateway", [name for name in EXPORTERS if name != "json"])
def test_a_python_without_libyaml_writes_the_same_bytes(
    gateway: str, without_libyaml: None
) -> None:
    text = golden_file(gateway).read_text(encoding="utf-8")
    documents = list(yaml.safe_load_all(text))
    body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    if golden_file(gateway).suffix == ".json":
        assert rendering.json_text(json.loads(text)) == text
    else:
        assert rendering.yaml_text((), *documents) == body


def test_no_text_of_a_comment_can_end_it() -> None:
    notes = [Note("a\nx: 1", "b\r\n\u2028\u0085y: 2")]
    text = rendering.yaml_text(notes, {"z": 3}, header=["one", ""])
    assert yaml.safe_load(text) == {"z": 3}
    assert text == (
        "# one\n#\n#\n# Not as the policy has it:\n"
        "# - a\\u000ax: 1: b\\u000d\\u000a\\u2028\\u0085y: 2\nz: 3\n"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1e3", '"1e3"'),
        ("0o17", '"0o17"'),
        ("-", '"-"'),
        (".inf", '".inf"'),
        ("no", "'no'"),
        ("null", "'null'"),
        ("plain", "plain"),
        ("é", r'"\xE9"'),
        ("a\tb\n", r'"a\tb\n"'),
        ("", '""'),
    ],
)
def test_a_text_is_a_text_in_every_version_of_yaml(text: str, written: str) -> None:
    assert rendering.yaml_text((), {"t": text}) == f"t: {written}\n"


def test_a_script_is_written_in_lines() -> None:
    assert rendering.yaml_text((), {"t": "if x then\n  y\nend\n"}) == (
        "t: |\n  if x then\n    y\n  end\n"
    )


def test_a_value_that_stands_twice_is_written_twice() -> None:
    same = {"a": 1}
    assert rendering.yaml_text((), {"x": same, "y": same}) == "x:\n  a: 1\ny:\n  a: 1\n"
