"""One YAML document to one frozen record, or all that is wrong with it and where."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from calibrate.document import load_document
from calibrate.errors import ConfigError, GraderError
from calibrate.record import Money, Record, build, parse_document, secret_in


class Part(Record):
    size: int = Field(1, ge=1, le=9)
    colour: Literal["red", "green"] = "red"


class Whole(Record):
    version: Literal[1] = 1
    name: str
    price: Money | None = Field(None, examples=[1.5])
    must: Money = Field(Decimal(0))
    parts: dict[str, Part] = Field(default_factory=dict)
    rows: list[str] = Field(default_factory=list)
    rate: float = 0.5


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_document(Whole, load_document("f.yaml", text))
    return caught.value.problems


def parsed(text: str) -> Whole:
    return parse_document(Whole, load_document("f.yaml", text))


def test_a_record_is_read() -> None:
    assert parsed("name: x\nparts: {a: {size: 2}}\n") == Whole(name="x", parts={"a": Part(size=2)})


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Part().size = 2  # type: ignore[misc]


def test_money_is_read_by_its_written_digits() -> None:
    assert parsed("name: x\nprice: 0.1").price == Decimal("0.1")
    assert parsed("name: x\nprice: 3").price == Decimal(3)


def test_every_problem_of_a_file_is_told_at_once_with_its_line() -> None:
    text = "nam: x\nprice: -1\nparts:\n  a: {size: 10, colour: blue, colr: red}\n  b: 5\nrows: x\n"
    assert problems_of(text) == (
        "f.yaml:1: name: is missing",
        "f.yaml:2: price: expected greater than or equal to 0, got -1",
        "f.yaml:4: parts.a.size: expected less than or equal to 9, got 10",
        "f.yaml:4: parts.a.colour: expected 'red' or 'green', got 'blue'",
        "f.yaml:4: parts.a.colr: unknown key; did you mean 'colour'?",
        "f.yaml:5: parts.b: expected a mapping of keys, got 5",
        "f.yaml:6: rows: expected list, got 'x'",
        "f.yaml:1: nam: unknown key; did you mean 'name'?",
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("rate: '1'", "rate: expected number, got '1'"),
        ("rate: true", "rate: expected number, got True"),
        ("price: nope", "price: expected a number, got 'nope'"),
        ("price: true", "price: expected a number, got True"),
        ("price: .nan", "price: expected a finite number, got NaN"),
        ("price: .inf", "price: expected a finite number, got Infinity"),
        ("parts:", "parts: expected a mapping of keys, got None"),
        ("parts: {a: {size: 1.5}}", "parts.a.size: expected integer, got 1.5"),
        ("parts: {1: {}}", "parts.1: a key must be a text; put it in quotes"),
        ("version: 2", "version: is 2, and this calibrate reads 1; upgrade it"),
        ("version: '1'", "version: expected 1, got '1'"),
        ("rows: [no]", "rows[0]: expected string, got False; put it in quotes"),
        ("rows: [2026-01-31]", "rows[0]: expected string, got 2026-01-31; put it in quotes"),
        (f"rows: {'x' * 80}", f"rows: expected list, got '{'x' * 56}..."),
        ("2: x", "2: a key must be a text; put it in quotes"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_in_our_own_words(line: str, problem: str) -> None:
    assert problems_of(f"name: x\n{line}") == (f"f.yaml:2: {problem}",)


@pytest.mark.parametrize("text", ["", "- a", "just words", "5"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert problems_of(text) == ("f.yaml: expected a mapping of keys, got an empty or other file",)


KEY = "sk-abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    "line",
    [
        f"name: {KEY}",
        f"nam: {KEY}",
        f"rows: [[{KEY}]]",
        f"rate: {KEY}",
        f"parts: {{a: {{colour: {KEY}}}}}",
        f"{KEY}: 1",
        f"parts: {{a: {{{KEY}: 1}}}}",
        f"rows: {'x' * 40}{KEY[:1]}-{KEY}",
    ],
)
def test_a_pasted_key_is_refused_and_never_shown(line: str) -> None:
    problems = problems_of(line)
    assert any(
        problem.endswith("this looks like a key; name the environment variable that holds it")
        for problem in problems
    )
    assert "abcdefgh" not in "\n".join(problems)


def test_where_keys_stand_is_found_in_lists_and_names() -> None:
    assert list(secret_in({"a": [1, {"b": KEY}], KEY: None})) == [("a", 1, "b"), (KEY,)]


def test_build_raises_the_error_and_the_words_that_its_caller_gives() -> None:
    with pytest.raises(GraderError) as caught:
        build(Part, {"size": 0}, lambda path, text: f"here {path}: {text}", GraderError)
    assert caught.value.problems == ("here ('size',): expected greater than or equal to 1, got 0",)


class Priced(Record):
    price: Money = Field(examples=["auto", {"a": 1}])


def test_a_missing_key_with_examples_shows_how_to_write_it() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_document(Priced, load_document("f.yaml", "{}"))
    assert caught.value.problems == (
        'f.yaml:1: price: is missing; write `price: auto` or `price: {"a": 1}`',
    )
