"""A table of outcomes that already exist, read as one matrix of scores for each task.

The table has one row an item and model: `item_id`, `task`, `model`, `score` in [0, 1], and where
known `cost_usd` and `group`, and for cascades `confidence` and `latency_s`; other columns are not
read. Only the items that every model of a task has count, so that models are compared on the same
items.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calibrate.errors import DatasetError, did_you_mean
from calibrate.outcomes import TaskOutcomes

__all__ = ["load_outcomes"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

REQUIRED = ("item_id", "task", "model", "score")
KNOWN = (*REQUIRED, "cost_usd", "group")
SERVED = ("confidence", "latency_s")  # what is seen at serve time; only cascades use it
SHOWN = 20  # problems of one kind; more of the same say nothing new
_MEASURES = (
    ("cost_usd", 0.0, "an amount of dollars"),
    ("confidence", -np.inf, "a finite number"),
    ("latency_s", 0.0, "a number of seconds"),
)


def load_outcomes(path: Path, *, with_signals: bool = False) -> tuple[TaskOutcomes, ...]:
    """Return every task of a table by name; raises `DatasetError` with all that is wrong.

    What is seen at serve time is read, and checked, only `with_signals`.
    """
    place = str(path)
    frame = _read(path, place, (*KNOWN, *SERVED) if with_signals else KNOWN)
    rows = _Rows(frame)
    problems = [*_cell_problems(frame, rows), *_pair_problems(rows)]
    if not problems:
        tasks = tuple(rows.tasks())
        problems += [
            f"task {t.task!r}: its models have no item in common" for t in tasks if not t.items
        ]
    if problems:
        raise DatasetError(f"{place}: {problem}" for problem in problems)
    return tasks


class _Rows:
    """The cells as numbers, in the order task, model, item; -1 is an empty text."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.names: dict[str, list[str]] = {}
        codes: dict[str, Codes] = {}
        for column in ("task", "model", "item_id", "group"):
            if column in frame:
                self.names[column], codes[column] = _coded(frame[column])
        order = np.lexsort((codes["item_id"], codes["model"], codes["task"]))
        self.number = order + 1  # as a reader counts the rows below the header
        self.task, self.model, self.item = (codes[c][order] for c in ("task", "model", "item_id"))
        self.group = codes["group"][order] if "group" in codes else None
        self.score = _numbers(frame["score"])[order]
        self.cost, self.signal, self.latency = (
            _numbers(frame[column])[order] if column in frame else None
            for column in ("cost_usd", *SERVED)
        )
        pair = self.task * len(self.names["item_id"]) + self.item
        _, self.first, self.pair, self.count = np.unique(
            pair, return_index=True, return_inverse=True, return_counts=True
        )

    def tasks(self) -> Iterator[TaskOutcomes]:
        """Yield the tasks; no problem may be left, since a matrix has no hole."""
        edges = np.searchsorted(self.task, np.arange(len(self.names["task"]) + 1))
        for code, (start, end) in enumerate(pairwise(edges)):
            models = np.unique(self.model[start:end])
            pairs = np.unique(self.pair[start:end])
            common = start + np.flatnonzero(self.count[self.pair[start:end]] == len(models))
            yield self._task(code, models, common, len(pairs) - len(common) // len(models))

    def _task(self, code: int, models: Codes, rows: Codes, left_out: int) -> TaskOutcomes:
        shape = (len(models), len(rows) // len(models))
        costs, signals, latencies = (
            None if column is None else column[rows].reshape(shape)
            for column in (self.cost, self.signal, self.latency)
        )
        first = rows[: shape[1]]
        return TaskOutcomes(
            task=self.names["task"][code],
            models=tuple(self.names["model"][at] for at in models),
            items=tuple(self.names["item_id"][at] for at in self.item[first]),
            scores=self.score[rows].reshape(shape),
            costs_usd=None if costs is None or np.isnan(costs).any() else costs,
            groups=None if self.group is None else _clusters(self.group[first]),
            left_out=left_out,
            signals=None if signals is None or np.isnan(signals).all() else signals,
            latencies_s=None if latencies is None or np.isnan(latencies).any() else latencies,
        )


def _clusters(groups: Codes) -> Codes | None:
    """Return a number for each item's cluster; None where every item is by itself."""
    alone = groups < 0
    own = np.where(alone, groups.max(initial=0) + 1 + np.arange(len(groups)), groups)
    found = np.unique(own, return_inverse=True)[1]
    return None if len(np.unique(found)) == len(groups) else found.astype(np.int64)


def _cell_problems(frame: pd.DataFrame, rows: _Rows) -> Iterator[str]:
    """Yield each cell that is empty or holds no such value."""
    for column in ("item_id", "task", "model"):
        empty = np.flatnonzero(frame[column].isna().to_numpy())
        yield from _shown(f"row {at + 1}: `{column}` is empty" for at in empty)
    score = _numbers(frame["score"])
    bad = np.flatnonzero(~((score >= 0) & (score <= 1)))  # true for NaN as well
    yield from _shown(
        f"row {at + 1}: `score` must be a number in [0, 1], {_said(cell)}"
        for at, cell in zip(bad, frame["score"].iloc[bad], strict=True)
    )
    for column, low, what in _MEASURES:
        if column in frame:
            found, given = _numbers(frame[column]), _is_given(frame[column])
            bad = np.flatnonzero(given & ~((found >= low) & np.isfinite(found)))
            yield from _shown(
                f"row {at + 1}: `{column}` must be {what}, {_said(cell)}"
                for at, cell in zip(bad, frame[column].iloc[bad], strict=True)
            )


def _pair_problems(rows: _Rows) -> Iterator[str]:
    """Yield what several rows say together and cannot mean."""
    named = (rows.task >= 0) & (rows.model >= 0) & (rows.item >= 0)
    again = named[1:] & (np.diff(rows.task) == 0) & (np.diff(rows.model) == 0)
    twice = np.flatnonzero(again & (np.diff(rows.item) == 0)) + 1
    yield from _shown(
        f"row {rows.number[at]}: item {rows.names['item_id'][rows.item[at]]!r} of task "
        f"{rows.names['task'][rows.task[at]]!r} has a score of model "
        f"{rows.names['model'][rows.model[at]]!r} at row {rows.number[at - 1]} already"
        for at in twice
    )
    if rows.group is not None:
        other = rows.first[rows.pair]
        odd = np.flatnonzero(named & (rows.group != rows.group[other]))
        yield from _shown(
            f"row {rows.number[at]}: item {rows.names['item_id'][rows.item[at]]!r} is in another "
            f"group at row {rows.number[other[at]]}"
            for at in odd
        )


def _is_given(column: pd.Series) -> NDArray[np.bool_]:
    """Return which cells hold something; a signal or latency that is `nan` is a missing one."""
    given = column.notna().to_numpy()
    if column.name in SERVED and not pd.api.types.is_numeric_dtype(column):
        given = given & (column.astype(str).str.lower() != "nan").to_numpy()
    return np.asarray(given, dtype=bool)


def _said(cell: object) -> str:
    return "but it is empty" if pd.isna(cell) else f"got {str(cell)[:40]!r}"  # type: ignore[call-overload]


def _shown(problems: Iterable[str]) -> Iterator[str]:
    """Yield the first of many problems of one kind, and how many more there are."""
    hidden = 0
    for count, problem in enumerate(problems, 1):
        if count <= SHOWN:
            yield problem
        else:
            hidden += 1
    if hidden:
        yield f"and {hidden:,} more rows like that"


def _coded(column: pd.Series) -> tuple[list[str], Codes]:
    """Return the sorted texts of a column, and the place of each cell's among them."""
    texts = column.astype("category").cat.rename_categories(str)
    names = sorted(texts.cat.categories)
    return names, texts.cat.set_categories(names).cat.codes.to_numpy().astype(np.int64)


def _numbers(column: pd.Series) -> Floats:
    return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)


def _read(path: Path, place: str, known: tuple[str, ...]) -> pd.DataFrame:
    readers = {".csv": _read_csv, ".csv.gz": _read_csv, ".parquet": _read_parquet}
    reader = next((readers[end] for end in readers if path.name.endswith(end)), None)
    if reader is None:
        raise DatasetError(f"{place}: unknown format; known: {', '.join(readers)}")
    if not path.is_file():
        raise DatasetError(f"{place}: no such file")
    try:
        frame = reader(path, place, known)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DatasetError(f"{place}: cannot be read: {error}") from error
    if frame.empty:
        raise DatasetError(f"{place}: no rows; one an item and model is needed")
    return frame


def _checked_header(place: str, names: list[str], known: tuple[str, ...]) -> list[str]:
    """Return the columns to read; raises for those that are missing or stand there twice."""
    problems = [
        f"{place}: no column is called `{column}`{did_you_mean(column, set(names) - set(known))}"
        for column in REQUIRED
        if column not in names
    ]
    problems += [f"{place}: column `{c}` was given twice" for c in known if names.count(c) > 1]
    if problems:
        raise DatasetError(problems)
    return [name for name in names if name in known]


def _read_csv(path: Path, place: str, known: tuple[str, ...]) -> pd.DataFrame:
    texts = dict.fromkeys(("item_id", "task", "model", "group"), "category")
    try:
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, encoding="utf-8-sig")
        columns = _checked_header(place, [str(name) for name in header.iloc[0]], known)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells that would be dropped
            # All columns are read: with `usecols` a row of too many cells would go unseen.
            frame = pd.read_csv(
                path,
                dtype=texts,
                index_col=False,
                keep_default_na=False,  # a model may be called `NA`
                na_values=[""],
                low_memory=False,
                encoding="utf-8-sig",
            )
            return frame[columns]
    except pd.errors.EmptyDataError:
        raise DatasetError(f"{place}: empty; a header and rows are needed") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DatasetError(f"{place}: not CSV: {error}") from error


def _read_parquet(path: Path, place: str, known: tuple[str, ...]) -> pd.DataFrame:
    try:
        import pyarrow.parquet
    except ImportError:
        raise DatasetError(
            f"{place}: reading Parquet needs pyarrow; `pip install 'calibrate-llm[parquet]'`"
        ) from None
    try:
        names = pyarrow.parquet.read_schema(path).names
        table = pyarrow.parquet.read_table(path, columns=_checked_header(place, names, known))
        nested = [field.name for field in table.schema if pyarrow.types.is_nested(field.type)]
        if nested:
            raise DatasetError(f"{place}: column `{c}` must hold plain values" for c in nested)
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
        return frame
    except (pyarrow.ArrowException, ValueError) as error:
        raise DatasetError(f"{place}: not usable Parquet: {error}") from error
