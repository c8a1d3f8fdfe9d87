"""One YAML document that still knows the line of every value."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrate.document import dotted, load_document, read_text
from calibrate.errors import ConfigError, DatasetError


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_document("f.yaml", text)
    return caught.value.problems


def test_a_value_knows_its_line() -> None:
    document = load_document("f.yaml", "a: 1\nb:\n  - x\n  - c: 2\n")
    assert document.value == {"a": 1, "b": ["x", {"c": 2}]}
    assert [document.line(path) for path in ((), ("a",), ("b",), ("b", 0), ("b", 1, "c"))] == [
        *(1, 1, 2, 3, 4)
    ]


def test_a_place_that_is_not_there_gets_the_line_of_the_nearest_that_is() -> None:
    document = load_document("f.yaml", "a: 1\nb:\n  c: 2\n")
    assert document.at(("b", "x", 0), "is missing") == "f.yaml:2: b.x[0]: is missing"
    assert document.at((), "is wrong") == "f.yaml:1: is wrong"


def test_an_empty_document_is_nothing() -> None:
    document = load_document("f.yaml", "# only a comment\n")
    assert (document.value, document.line(("a",))) == (None, None)
    assert document.at(("a",), "is missing") == "f.yaml: a: is missing"


def test_a_path_is_written_with_dots_and_brackets() -> None:
    assert dotted(("models", "small", 0, "x")) == "models.small[0].x: "
    assert dotted((0, "x")) == "[0].x: "


def test_every_duplicate_key_names_both_lines() -> None:
    assert problems_of("a: 1\nb: {c: 1, c: 2}\na: 2\n") == (
        "f.yaml:3: key 'a' was given on line 1 already",
        "f.yaml:2: key 'c' was given on line 2 already",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n\t- b", "f.yaml:2: not YAML: found character that cannot start any token"),
        ("a: 'open", "f.yaml:1: not YAML: found unexpected end of stream"),
        ("a: *nowhere", "f.yaml:1: not YAML: found undefined alias"),
        ("a: 1\n---\nb: 2", "f.yaml:2: not YAML: but found another document"),
        ("a: 1\nb: \x00", "f.yaml:2: not YAML: control characters are not allowed"),
        ("? [1, 2]\n: x", "f.yaml:1: a key must be plain text"),
        ("a: &a [*a]", "f.yaml:1: an alias that contains itself"),
    ],
)
def test_what_is_not_yaml_names_its_line(text: str, problem: str) -> None:
    assert problems_of(text) == (problem,)


@pytest.mark.parametrize(
    "tag", ["python/object/apply:os.system ['true']", "python/name:os.system x", "foo x"]
)
def test_a_tag_that_would_make_an_object_is_refused(tag: str) -> None:
    (problem,) = problems_of(f"ok: 1\na: !!{tag}")
    assert problem == (
        "f.yaml:2: could not determine a constructor for the tag "
        f"'tag:yaml.org,2002:{tag.split()[0]}'"
    )


@pytest.mark.parametrize(
    "value",
    ["!!timestamp abc", "!!bool maybe", "!!int ''", "!!float x", "2026-13-45", "9" * 5000],
)
def test_a_value_that_does_not_fit_its_type_is_a_message(value: str) -> None:
    (problem,) = problems_of(f"a: {value}")
    assert problem.startswith("f.yaml: a value does not fit its YAML type: ")


def test_an_anchor_bomb_is_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    assert problems_of("\n".join(lines)) == (
        "f.yaml: more than 500,000 values once its aliases are expanded",
    )


@pytest.mark.parametrize("text", ["[" * 300_000, "- " * 300_000, "{a: " * 300_000])
def test_deep_nesting_is_refused_and_does_not_end_the_process(text: str) -> None:
    assert problems_of(text) == ("f.yaml:1: nested more than 100 levels deep",)


def test_anchors_and_merge_keys_work() -> None:
    document = load_document("f.yaml", "a: &a {x: 1}\nb: {<<: *a, y: 2}\n")
    assert document.value == {"a": {"x": 1}, "b": {"x": 1, "y": 2}}


def test_a_text_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_text(path) == "a: 1\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: 1\nb: \xff\n", "f.yaml:2: not UTF-8; save the file as UTF-8"),
        (b"x" * (8 * 1024 * 1024 + 1), "f.yaml: over 8,388,608 bytes"),
        (None, "f.yaml: no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_message(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "f.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        read_text(path, DatasetError, "f.yaml")
    assert caught.value.problems == (problem,)


def test_a_folder_is_no_text_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path)
    assert caught.value.problems == (f"{tmp_path}: cannot be read: Is a directory",)
