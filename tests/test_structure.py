"""One parsed document to one tree of plain dataclasses, or every problem in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from calibrate.document import load_document
from calibrate.structure import read_structure


@dataclass(frozen=True)
class Leaf:
    size: int
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Tree:
    name: str
    rate: float | None = None
    flag: bool = False
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    by_name: dict[str, Leaf] = field(default_factory=dict)
    anything: dict[str, Any] = field(default_factory=dict)


def read(text: str) -> tuple[Tree | None, list[str]]:
    problems: list[str] = []
    return read_structure(Tree, load_document("f.yaml", text), problems), problems


def test_a_tree_is_read() -> None:
    text = """\
name: x
rate: 1
flag: true
leaf: {size: 1, kind: b}
leaves: [{size: 2}]
by_name: {l: {size: 3}}
anything: {a: [1, {b: null}]}
"""
    assert read(text) == (
        Tree("x", 1.0, True, Leaf(1, "b"), (Leaf(2),), {"l": Leaf(3)}, {"a": [1, {"b": None}]}),
        [],
    )


def test_what_may_be_nothing_may_be_null_or_left_out() -> None:
    assert read("name: x\nleaf: null\nrate: null\n") == (Tree("x"), [])


def test_every_problem_is_told_at_once_with_its_line() -> None:
    text = """\
nam: x
rate: fast
flag: 1
leaf: {size: 1.5, kind: c, colour: red}
leaves: {a: 1}
by_name:
  l: 5
  2: {size: 1}
anything: x
"""
    assert read(text) == (
        None,
        [
            "f.yaml:1: nam: unknown key; did you mean 'name'?",
            "f.yaml:1: name: is missing",
            "f.yaml:2: rate: expected a number, got 'fast'",
            "f.yaml:3: flag: expected true or false, got 1",
            "f.yaml:4: leaf.colour: unknown key",
            "f.yaml:4: leaf.size: expected a whole number, got 1.5",
            "f.yaml:4: leaf.kind: expected one of 'a', 'b', got 'c'",
            "f.yaml:5: leaves: expected a list, got {'a': 1}",
            "f.yaml:8: by_name.2: a key must be a text; put it in quotes",
            "f.yaml:7: by_name.l: expected an object, got 5",
            "f.yaml:9: anything: expected an object, got 'x'",
        ],
    )


@pytest.mark.parametrize("number", [".nan", ".inf", "true", "'1'", "9" * 400])
def test_what_is_no_usable_number_is_refused(number: str) -> None:
    _, (problem,) = read(f"name: x\nrate: {number}\n")
    assert problem.startswith("f.yaml:2: rate: expected a number, got ")
    assert len(problem) < 120


@pytest.mark.parametrize("text", ["", "- a", "5"])
def test_what_is_no_object_is_refused(text: str) -> None:
    _, (problem,) = read(text)
    assert "expected an object, got " in problem
