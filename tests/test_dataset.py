"""Golden cases, few-shot examples, and the seeded order."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from calibrate.dataset import Case, Example, load_cases, load_examples, seeded_order
from calibrate.errors import DatasetError

TWO = (
    Case("a", {"x": "one", "y": "zwei ü"}, "yes", {"language": "de"}, True, "g-1"),
    Case("b", {"x": "two", "y": ""}, "no"),
)
LINES = (
    '{"id": "a", "input": {"x": "one", "y": "zwei ü"}, "expected": "yes", '
    '"tags": {"language": "de"}, "critical": true, "group": "g-1"}\n'
    '{"id": "b", "input": {"x": "two", "y": ""}, "expected": "no"}\n'
)
ROWS = """\
id,input.x,input.y,expected,tags.language,critical,group
a,one,zwei ü,yes,de,TRUE,g-1
b,two,,no,,,
"""
YAML = """\
- {id: a, input: {x: one, y: zwei ü}, expected: 'yes', tags: {language: de}, critical: true,
   group: g-1}
- id: b
  input: {x: two, y: ''}
  expected: 'no'
"""


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(tmp_path: Path, name: str, content: str | bytes) -> tuple[Case, ...]:
    return load_cases(write(tmp_path, name, content), name)


def problems_of(tmp_path: Path, name: str, content: str | bytes) -> tuple[str, ...]:
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, name, content)
    return caught.value.problems


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.jsonl", LINES),
        ("d.jsonl", "\ufeff" + LINES),
        ("d.jsonl", "\n" + LINES.replace("\n", "\r\n\r\n  \r\n")),
        ("d.jsonl", LINES.rstrip("\n")),
        ("d.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("d.csv", ROWS),
        ("d.csv", "\ufeff" + ROWS.replace("\n", "\r\n")),
        ("d.csv", ROWS + "\n\n"),
        ("d.yaml", YAML),
        ("d.yml", "\ufeff" + YAML),
    ],
)
def test_every_format_gives_the_same_cases(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert load(tmp_path, name, content) == TWO


def test_parquet_with_columns_gives_the_same_cases(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "id": ["a", "b"],
            "input.x": ["one", "two"],
            "input.y": ["zwei ü", ""],
            "expected": ["yes", "no"],
            "tags.language": ["de", None],
            "critical": [True, None],
            "group": ["g-1", None],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    assert load_cases(tmp_path / "d.parquet", "d.parquet") == TWO


def test_parquet_with_structs_and_maps_gives_the_same_cases(tmp_path: Path) -> None:
    texts = pyarrow.map_(pyarrow.string(), pyarrow.string())
    table = pyarrow.table(
        {
            "id": ["a", "b"],
            "input": [{"x": "one", "y": "zwei ü"}, {"x": "two", "y": ""}],
            "expected": ["yes", "no"],
            "tags": pyarrow.array([[("language", "de")], []], texts),
            "critical": [True, False],
            "group": ["g-1", None],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    assert load_cases(tmp_path / "d.parquet", "d.parquet") == TWO


def test_a_parquet_value_that_is_not_json_is_refused(tmp_path: Path) -> None:
    table = pyarrow.table({"id": ["a"], "input": ["x"], "expected": [b"raw"], "colour": ["red"]})
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    with pytest.raises(DatasetError) as caught:
        load_cases(tmp_path / "d.parquet", "d.parquet")
    assert caught.value.problems == (
        "d.parquet: unknown column 'colour'",
        "d.parquet: row 1: expected: a bytes is not plain JSON; put it in quotes",
    )


def test_what_is_not_parquet_is_a_message(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "d.parquet", b"not parquet at all")
    assert problem.startswith("d.parquet: not usable Parquet: ")


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    lines = [
        b'{"id": "a", "input": "x", "expected": 1}',
        b"{not json}",
        b'{"id": "a", "input": "y", "expected": 1}',
        b'{"id": "b", "input": "x", "expected": 2}',
        b'{"id": "c", "input": "\xff", "expected": 2}',
        b"null",
        b"[1, 2]",
        b'{"id": 5, "inputt": "z"}',
        b'{"id": "d", "input": "", "expected": 1, "critical": "yes", "group": 5, "tags": {"a": 1}}',
        b'{"id": "e", "input": "w", "input": "v", "expected": 1}',
        b'{"id": "f\\n", "input": {}, "expected": NaN}',
    ]
    assert problems_of(tmp_path, "d.jsonl", b"\n".join(lines)) == (
        "d.jsonl:2: not JSON: Expecting property name enclosed in double quotes at column 2",
        "d.jsonl:3: id 'a' was given at d.jsonl:1 already",
        "d.jsonl:4: the same input has another answer at d.jsonl:1",
        "d.jsonl:5: not UTF-8",
        "d.jsonl:6: expected an object, got null",
        "d.jsonl:7: expected an object, got [1, 2]",
        "d.jsonl:8: unknown key 'inputt'; did you mean 'input'?",
        "d.jsonl:8: `input` must be a text or an object, and not empty",
        "d.jsonl:8: `expected` is missing (null where there is no golden answer)",
        "d.jsonl:8: `id` must be a text of 1 to 200 characters",
        "d.jsonl:9: `input` must be a text or an object, and not empty",
        "d.jsonl:9: `critical` must be true or false",
        "d.jsonl:9: `group` must be a text",
        "d.jsonl:9: `tags` must be an object of texts",
        "d.jsonl:10: key 'input' was given twice",
        "d.jsonl:11: `input` must be a text or an object, and not empty",
        "d.jsonl:11: expected: not a finite number",
        "d.jsonl:11: `id` 'f\\n' has characters that cannot be printed",
    )


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ("1e999", "expected: not a finite number"),
        ("-Infinity", "expected: not a finite number"),
        (r'"\ud800"', "expected: not Unicode text: it holds half of a surrogate pair"),
        ("1" * 5000, "a number of more than 1,000 digits"),
        ("[" * 200 + "]" * 200, "nested more than 100 levels deep"),
        ("[" * 200_000, "nested too deep"),
    ],
)
def test_json_that_no_digest_can_be_made_of_is_refused(
    tmp_path: Path, expected: str, problem: str
) -> None:
    line = f'{{"id": "a", "input": "x", "expected": {expected}}}'
    assert problems_of(tmp_path, "d.jsonl", line) == (f"d.jsonl:1: {problem}",)


def test_true_and_one_are_different_answers_to_the_same_input(tmp_path: Path) -> None:
    lines = (
        '{"id": "a", "input": "x", "expected": 1}\n{"id": "b", "input": "x", "expected": true}\n'
        '{"id": "c", "input": "x", "expected": 1.0}\n'
    )
    assert problems_of(tmp_path, "d.jsonl", lines) == (
        "d.jsonl:2: the same input has another answer at d.jsonl:1",
    )


def test_reading_stops_after_many_problems(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "d.jsonl", "x\n" * 1000)
    assert (len(problems), problems[-1]) == (202, "d.jsonl: and so on; it was read no further")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("d.jsonl", "", "d.jsonl: no cases; a golden data set needs at least one"),
        ("d.jsonl", "\n \n", "d.jsonl: no cases; a golden data set needs at least one"),
        ("d.csv", "", "d.csv: no cases; a golden data set needs at least one"),
        ("d.csv", "id,input,expected\n", "d.csv: no cases; a golden data set needs at least one"),
        ("d.yaml", "", "d.yaml: no cases; a golden data set needs at least one"),
        ("d.yaml", "[]", "d.yaml: no cases; a golden data set needs at least one"),
        ("d.yaml", "5", "d.yaml: expected a list, got int"),
        ("d.yaml", "words", "d.yaml: expected a list, got str"),
        ("d.yaml", "cases: []", "d.yaml: expected a list, got dict"),
        ("d.yaml", "- 5", "d.yaml:1: expected an object, got 5"),
        ("d.yaml", b"- \xff", "d.yaml:1: not UTF-8; save the file as UTF-8"),
        ("d.yaml", "- a: 1\n  a: 2", "d.yaml:2: key 'a' was given on line 1 already"),
        (
            "d.yaml",
            "- {id: a, input: x, expected: 2026-01-31}",
            "d.yaml:1: expected: a date is not plain JSON; put it in quotes",
        ),
        (
            "d.yaml",
            "- {id: a, input: {1: x}, expected: y}",
            "d.yaml:1: input: a key must be a text; put it in quotes",
        ),
        (
            "d.yaml",
            "- !!python/object/apply:os.system ['true']",
            "d.yaml:1: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("d.csv", "id,input,expected\na,x\n", "d.csv:2: 2 columns where the header has 3"),
        ("d.csv", 'id,input,expected\na,"x', "d.csv:2: not CSV: unexpected end of data"),
        ("d.csv", b"id,input,expected\na,\xff,b\n", "d.csv:2: not UTF-8"),
        ("d.csv", "id,input,expected,id\na,x,b,c\n", "d.csv:1: column 'id' was given twice"),
        (
            "d.csv",
            "id,input,input.x,expected\na,x,y,b\n",
            "d.csv:1: columns 'input' and 'input.x' exclude each other",
        ),
        (
            "d.csv",
            "id,input,expected,grup\na,x,b,c\n",
            "d.csv:1: unknown column 'grup'; did you mean 'group'?",
        ),
        (
            "d.csv",
            "id,input,expected,critical\na,x,b,perhaps\n",
            "d.csv:2: `critical` must be true or false",
        ),
        (
            "d.txt",
            "x",
            "d.txt: unknown format; known: .jsonl, .jsonl.gz, .csv, .yaml, .yml, .parquet",
        ),
        (
            "d.jsonl.gz",
            gzip.compress(LINES.encode(), mtime=0)[:-12],
            "d.jsonl.gz: cannot be read: Compressed file ended before the end-of-stream marker "
            "was reached",
        ),
        (
            "d.jsonl.gz",
            gzip.compress(LINES.encode(), mtime=0)[:10] + b"\x07" * 20,
            "d.jsonl.gz: cannot be read: Error -3 while decompressing data: invalid block type",
        ),
        (
            "d.jsonl.gz",
            b"plain",
            "d.jsonl.gz: cannot be read: Not a gzipped file (b'pl')",
        ),
    ],
)
def test_a_file_that_holds_no_cases_is_one_message(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    assert problems_of(tmp_path, name, content) == (problem,)


@pytest.mark.parametrize("name", ["gone.jsonl", "folder.jsonl", "a\0b.jsonl"])
def test_a_file_that_is_not_there_is_a_message(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DatasetError) as caught:
        load_cases(tmp_path / name, "d.jsonl")
    assert caught.value.problems == ("d.jsonl: no such file",)


def test_a_name_that_no_file_can_have_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_cases(tmp_path / ("x" * 300 + ".jsonl"), "d.jsonl")
    assert caught.value.problems == ("d.jsonl: cannot be read: File name too long",)


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.jsonl.gz", "d.yaml"])
def test_a_line_of_100_megabytes_is_refused_without_being_held(tmp_path: Path, name: str) -> None:
    size = 100 * 1024 * 1024
    if name.endswith(".gz"):
        with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
            file.writelines(bytes(1024 * 1024) for _ in range(100))
    else:
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    tracemalloc.start()
    with pytest.raises(DatasetError) as caught:
        load_cases(tmp_path / name, name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    limit = "over 8,388,608 bytes" if name == "d.yaml" else "a line of over 4,194,304 bytes"
    place = name if name == "d.yaml" else f"{name}:1"
    assert caught.value.problems == (f"{place}: {limit}",)
    assert peak < 40 * 1024 * 1024


def test_a_file_of_over_a_gigabyte_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "d.parquet").open("wb") as file:
        file.truncate(1024**3 + 1)
    with pytest.raises(DatasetError) as caught:
        load_cases(tmp_path / "d.parquet", "d.parquet")
    assert caught.value.problems == ("d.parquet: over 1,073,741,824 bytes",)


def test_a_file_that_unpacks_to_more_than_is_allowed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrate.dataset.rows.MAX_FILE_BYTES", 1000)
    packed = gzip.compress(b"\n" * 1_000_000)[:900]
    assert problems_of(tmp_path, "d.jsonl.gz", packed) == (
        "d.jsonl.gz: over 1,000 bytes once unpacked",
    )


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert problems_of(tmp_path, "d.parquet", b"") == (
        "d.parquet: reading Parquet needs pyarrow; `pip install 'calibrate-llm[parquet]'`",
    )


def test_examples_are_read_with_every_problem(tmp_path: Path) -> None:
    cases = (Case("a", "golden", "yes"),)
    good = write(tmp_path, "good.jsonl", '{"input": {"x": 1}, "expected": "no"}\n')
    assert load_examples(good, "good.jsonl", cases) == (Example({"x": 1}, "no"),)
    bad = write(
        tmp_path,
        "bad.jsonl",
        '{"input": "golden", "expected": "yes"}\n{"input": "x"}\n'
        '{"id": "b", "input": "y", "expected": null}\n{"input": 5, "expected": "no"}\n',
    )
    with pytest.raises(DatasetError) as caught:
        load_examples(bad, "bad.jsonl", cases)
    assert caught.value.problems == (
        "bad.jsonl:1: is the golden case 'a'; examples must be others",
        "bad.jsonl:2: `expected` is missing (null where there is no golden answer)",
        "bad.jsonl:3: unknown key 'id'",
        "bad.jsonl:4: `input` must be a text or an object, and not empty",
    )


def test_no_examples_are_a_problem(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_examples(write(tmp_path, "e.jsonl", ""), "e.jsonl", ())
    assert caught.value.problems == ("e.jsonl: no examples",)


def test_the_seeded_order_depends_on_seed_and_ids_alone() -> None:
    cases = [Case(f"case-{number}", "x", "y") for number in range(8)]
    changed = [Case(f"case-{number}", "changed", "z") for number in reversed(range(8))]
    order = ["case-4", "case-1", "case-6", "case-7", "case-0", "case-3", "case-2", "case-5"]
    assert [case.id for case in seeded_order(cases, 7)] == order
    assert [case.id for case in seeded_order(changed, 7)] == order
    # A case that is taken out leaves the order of the others as it is.
    assert [case.id for case in seeded_order(cases[1:], 7)] == [
        identifier for identifier in order if identifier != "case-0"
    ]
    assert [case.id for case in seeded_order(cases, 8)] != order


def test_a_case_as_json_has_every_key() -> None:
    assert TWO[1].to_json() == {
        "id": "b",
        "input": {"x": "two", "y": ""},
        "expected": "no",
        "tags": {},
        "critical": False,
        "group": None,
    }


def test_a_line_that_ends_too_early_is_told_at_its_end(tmp_path: Path) -> None:
    cut = b'{"id": "a", "input":\n{"id": "b", "input": "x", "expected": 1}\n'
    assert problems_of(tmp_path, "d.jsonl", cut) == (
        "d.jsonl:1: not JSON: Expecting value at column 21",
    )
