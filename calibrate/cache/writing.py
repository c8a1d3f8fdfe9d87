"""Rows of the live cache: answers written together, and the names that count because of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

__all__ = ["NO_NAME", "Row", "count_names", "write_rows"]

NO_NAME = ""  # of failures before a model's first answer
_KEEP = (
    "INSERT OR REPLACE INTO answers (key, model, served_model, request, reply) "
    "VALUES (?, ?, ?, ?, ?)"
)


class Row(NamedTuple):
    """An answer as it stands in the file; a failure has no name as yet."""

    key: bytes
    model: int
    served_model: str | None
    request: str
    reply: str


def write_rows(connection: sqlite3.Connection, rows: Sequence[tuple[Row, bool]]) -> None:
    """Keep answers in their order, each with whether its name shall count where it is new."""
    counting: dict[int, set[str]] = {}
    plain: list[Row] = []  # of names that count: nearly all, and one statement keeps many
    for row, name_counts in rows:
        if row.model not in counting:
            counting[row.model] = _names(connection, row.model)
        if row.served_model in counting[row.model]:
            plain.append(row)
            continue
        connection.executemany(_KEEP, plain)
        plain.clear()
        _keep_and_count(connection, row, name_counts)
        del counting[row.model]
    connection.executemany(_KEEP, plain)


def count_names(connection: sqlite3.Connection, model: int, names: AbstractSet[str]) -> None:
    """Let the answers of these names count for a model, and no others."""
    before = _names(connection, model)
    is_move = bool(before - names - {NO_NAME})
    names = names if is_move else names | before
    connection.executemany(
        "DELETE FROM served WHERE model = ? AND name = ?",
        [(model, name) for name in before - names],
    )
    connection.executemany(
        "INSERT INTO served VALUES (?, ?)", [(model, name) for name in names - before]
    )


def _keep_and_count(connection: sqlite3.Connection, row: Row, name_counts: bool) -> None:
    """Keep a failure, or an answer whose name does not count so far.

    A failure has no name: it counts as long as those that counted when it came. Before a model's
    first answer that is no name, which goes with whatever that answer's is.
    """
    counting = _names(connection, row.model)
    counts, served = counting, row.served_model
    if served is None:
        served = min(counting, default=NO_NAME)
        counts = counting or {NO_NAME}
    elif name_counts:
        counts = {served}
    if counts != counting:
        count_names(connection, row.model, counts)
    connection.execute(_KEEP, row._replace(served_model=served))


def _names(connection: sqlite3.Connection, model: int) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM served WHERE model=?", (model,))}
