"""The rows of a file, bounded: JSON Lines, CSV, YAML or Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrate.document import load_document, read_text
from calibrate.errors import DatasetError, did_you_mean

__all__ = ["Row", "rows_of"]

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_FILE_BYTES = 1024 * 1024 * 1024
MAX_DIGITS = 1000
MAX_PROBLEMS = 200  # told of one file; after so many it is the wrong file


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file as an object, and where it stands."""

    place: str
    value: dict[str, Any]


def rows_of(path: Path, place: str, known: Sequence[str], problems: list[str]) -> Iterator[Row]:
    """Yield a file's rows; what cannot be a row is added to `problems`."""
    ending = next((end for end in _READERS if path.name.endswith(end)), None)
    if ending is None:
        problems.append(f"{place}: unknown format; known: {', '.join(_READERS)}")
        return
    try:
        if not path.is_file():
            problems.append(f"{place}: no such file")
            return
        if path.stat().st_size > MAX_FILE_BYTES:
            problems.append(f"{place}: over {MAX_FILE_BYTES:,} bytes")
            return
        for row in _READERS[ending](path, place, known):
            if isinstance(row, Row):
                yield row
            else:
                problems.append(row)
            if len(problems) > MAX_PROBLEMS:
                problems.append(f"{place}: and so on; it was read no further")
                return
    except DatasetError as error:
        problems += error.problems
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        problems.append(f"{place}: cannot be read: {why}")


# A reader yields each row, or in its place what is wrong with it.


def _row(place: str, value: Any) -> Row | str:
    if isinstance(value, dict):
        return Row(place, value)
    return f"{place}: expected an object, got {json.dumps(value, default=str)[:60]}"


def _jsonl_rows(path: Path, place: str, known: Sequence[str]) -> Iterator[Row | str]:
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as file:
        for number, line in enumerate(_bounded_lines(file, place), start=1):
            where = f"{place}:{number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    yield _row(where, _json(text.rstrip("\r\n")))
            except UnicodeDecodeError:
                yield f"{where}: not UTF-8"
            except json.JSONDecodeError as error:
                yield f"{where}: not JSON: {error.msg} at column {error.colno}"
            except RecursionError:
                yield f"{where}: nested too deep"
            except ValueError as error:
                yield f"{where}: {error}"


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_int=_bounded_int)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = {sys.intern(name): item for name, item in pairs}  # every row has the same few names
    if len(value) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"key {twice!r} was given twice")
    return value


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of more than {MAX_DIGITS:,} digits")
    return int(digits)


def _bounded_lines(file: io.BufferedIOBase, place: str) -> Iterator[bytes]:
    """Yield lines without ever holding an over-long one; the whole file is bounded too."""
    read = 0
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        read += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise DatasetError(f"{place}:{number}: a line of over {MAX_LINE_BYTES:,} bytes")
        if read > MAX_FILE_BYTES:
            raise DatasetError(f"{place}: over {MAX_FILE_BYTES:,} bytes once unpacked")
        yield line


def _csv_rows(path: Path, place: str, known: Sequence[str]) -> Iterator[Row | str]:
    """Columns `id`, `expected`, `critical`, `group`, `input` or `input.<name>`, `tags.<name>`.

    An empty cell is an empty text in `input`, and nothing anywhere else.
    """
    with path.open("rb") as file:
        reader = csv.reader(_text_lines(file, place), strict=True)
        try:
            header = next(reader, [])
            yield from _header_problems(f"{place}:1", header, known)
            for cells in reader:
                where = f"{place}:{reader.line_num}"
                if len(cells) not in (0, len(header)):
                    yield f"{where}: {len(cells)} columns where the header has {len(header)}"
                elif cells:
                    row = {
                        name: None if cell == "" and not name.startswith("input") else cell
                        for name, cell in zip(header, cells, strict=True)
                    }
                    yield Row(where, _unflattened(row, known))
        except csv.Error as error:
            yield f"{place}:{reader.line_num}: not CSV: {error}"


def _text_lines(file: io.BufferedIOBase, place: str) -> Iterator[str]:
    for number, line in enumerate(_bounded_lines(file, place), start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(f"{place}:{number}: not UTF-8") from error


def _header_problems(place: str, names: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a table's columns, once and not in every row."""
    counts = Counter(names)
    for name in counts:
        outer = name.partition(".")[0]
        if outer not in known:
            yield f"{place}: unknown column {name!r}{did_you_mean(outer, known)}"
        elif counts[name] > 1:
            yield f"{place}: column {name!r} was given twice"
        elif name != outer and outer in counts:
            yield f"{place}: columns {outer!r} and {name!r} exclude each other"


def _unflattened(row: dict[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Return a table's row as an object; `input.x` is `x` in `input`, None is not there."""
    value: dict[str, Any] = {}
    for key, cell in row.items():
        outer, dot, inner = key.partition(".")
        if outer not in known:
            continue  # the header's problem
        if dot:
            inside = value.setdefault(outer, {})
            if cell is not None and isinstance(inside, dict):
                inside[inner] = cell
        elif outer == "critical" and isinstance(cell, str):
            value[outer] = {"true": True, "false": False}.get(cell.lower(), cell)
        elif outer == "tags" and isinstance(cell, dict):
            value[outer] = {tag: text for tag, text in cell.items() if text is not None}
        elif cell is not None or outer == "expected":
            value[outer] = cell
    return value


def _yaml_rows(path: Path, place: str, known: Sequence[str]) -> Iterator[Row | str]:
    document = load_document(place, read_text(path, DatasetError, place), DatasetError)
    if not isinstance(document.value, list | None):
        yield f"{place}: expected a list, got {type(document.value).__name__}"
        return
    for index, value in enumerate(document.value or []):
        yield _row(f"{place}:{document.line((index,))}", value)


def _parquet_rows(path: Path, place: str, known: Sequence[str]) -> Iterator[Row | str]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise DatasetError(
            f"{place}: reading Parquet needs pyarrow; `pip install 'calibrate-llm[parquet]'`"
        ) from None
    try:
        table = pyarrow.parquet.read_table(path)
        yield from _header_problems(place, table.column_names, known)
        rows = table.to_pylist(maps_as_pydicts="strict")
    except (pyarrow.ArrowException, ValueError) as error:
        raise DatasetError(f"{place}: not usable Parquet: {error}") from error
    for index, row in enumerate(rows, start=1):
        yield Row(f"{place}: row {index}", _unflattened(row, known))


_READERS: dict[str, Callable[[Path, str, Sequence[str]], Iterator[Row | str]]] = {
    ".jsonl": _jsonl_rows,
    ".jsonl.gz": _jsonl_rows,
    ".csv": _csv_rows,
    ".yaml": _yaml_rows,
    ".yml": _yaml_rows,
    ".parquet": _parquet_rows,
}
