"""The live cache: what was asked and answered, kept as it arrives, in one SQLite file.

An answer counts while its model is served under the name that gave it. Where another name
answers, the model behind the alias has moved: what the old one said stays in the file and is
not given any more.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import orjson

from calibrate.cache.database import broken, model_number, open_database
from calibrate.completion import (
    MALFORMED_REPLY,
    Completion,
    Reply,
    Request,
    reply_from_json,
    reply_to_json,
)
from calibrate.errors import CacheError
from calibrate.providers.base import json_bytes

__all__ = ["Cache", "ModelId"]

_NO_NAME = ""  # of failures before a model's first answer
_KEEP = (
    "INSERT OR REPLACE INTO answers (key, model, served_model, request, reply) "
    "VALUES (?1, ?2, ?3, ?4, ?5)"
)
_KEEP_IF_IT_COUNTS = (
    "INSERT OR REPLACE INTO answers (key, model, served_model, request, reply) "
    "SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM served WHERE model = ?2 AND name = ?3)"
)
_SELECT = (
    "SELECT reply FROM answers JOIN served "
    "ON served.model = answers.model AND served.name = answers.served_model WHERE key = ?"
)
_SERVED = (
    "SELECT served.name FROM models JOIN served ON served.model = models.id "
    "WHERE models.base_url = ? AND models.kind = ? AND models.name = ?"
)
_FRESH_S = 0.05  # how long names are taken to be as they were; another run may change them


class ModelId(NamedTuple):
    """A model as it is asked: two servers may serve different weights under one name."""

    base_url: str
    kind: str
    name: str


class _Added(NamedTuple):
    """An answer on its way into the file: its model, and its key, name, request and reply."""

    model: ModelId
    row: tuple[bytes, str | None, str, str]
    name_counts: bool


class Cache:
    """The live answers of a project. The file is made when there is something to keep."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_database(path) if path.exists() else None
        self._numbers: dict[ModelId, int] = {}
        self._added: list[_Added] = []
        self._served: dict[ModelId, frozenset[str]] = {}  # as read a moment ago
        self._read_at = 0.0

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(CacheError):  # it was raised when this was tried first
            self.commit()
        if self._connection is not None:
            self._connection.close()

    def get(self, request: Request, base_url: str) -> Reply | None:
        """Return the answer that counts, or None; one that cannot be read is an error."""
        connection = self._opened_if_there()
        if connection is None:
            return None
        try:
            row = connection.execute(_SELECT, (_key(request, base_url),)).fetchone()
            return None if row is None else reply_from_json(orjson.loads(row[0]))
        except (sqlite3.Error, *MALFORMED_REPLY) as error:
            raise broken(self._path, error) from error

    def put(
        self, request: Request, base_url: str, reply: Reply, *, name_counts: bool = True
    ) -> None:
        """Keep an answer: once this returns, killing the process does not lose it.

        A name that is new for the model takes the place of those that counted, unless it is said
        not to count: then the answer is kept as evidence and not given.
        """
        self.add(request, base_url, reply, name_counts=name_counts)
        self.commit()

    def add(
        self, request: Request, base_url: str, reply: Reply, *, name_counts: bool = True
    ) -> None:
        """Keep an answer as `put` does, once `commit` returns: several together cost far less."""
        served = reply.served_model if isinstance(reply, Completion) else None
        asked, answer = json_bytes(request.to_json()), json_bytes(reply_to_json(reply))
        self._added.append(
            _Added(
                ModelId(base_url, request.kind, request.name),
                (_key(request, base_url), served, asked.decode(), answer.decode()),
                name_counts,
            )
        )

    def commit(self) -> None:
        """Write what was added; what cannot be written stays added."""
        if not self._added:
            return
        connection = self._opened()
        try:
            numbered = [(self._number(connection, added.model), added) for added in self._added]
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for number, added in numbered:
                    _write(connection, number, added)
        except sqlite3.Error as error:
            raise broken(self._path, error) from error
        self._added.clear()
        self._served.clear()

    def served_names(self, model: ModelId) -> frozenset[str]:
        """Return the names whose answers count for a model; none where nothing is known of it."""
        connection = self._opened_if_there()
        if connection is None:
            return frozenset()
        try:
            now = time.monotonic()
            if now - self._read_at > _FRESH_S:
                self._read_at = now
                self._served.clear()
            if model not in self._served:
                rows = connection.execute(_SERVED, model).fetchall()
                self._served[model] = frozenset(row[0] for row in rows) - {_NO_NAME}
        except sqlite3.Error as error:
            raise broken(self._path, error) from error
        return self._served[model]

    def count_names(self, model: ModelId, names: AbstractSet[str]) -> None:
        """Let the answers of these names count for a model, and no others."""
        self.commit()  # what was added before counts by the names before
        connection = self._opened()
        try:
            number = self._number(connection, model)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                _count(connection, number, names)
            self._served.clear()
        except sqlite3.Error as error:
            raise broken(self._path, error) from error

    def _opened_if_there(self) -> sqlite3.Connection | None:
        """Return a connection; None while the file is not there: another run may make it yet."""
        is_there = self._connection is not None or self._path.exists()
        return self._opened() if is_there else None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_database(self._path)
        return self._connection

    def _number(self, connection: sqlite3.Connection, model: ModelId) -> int:
        if model not in self._numbers:
            self._numbers[model] = model_number(connection, *model)
        return self._numbers[model]


def _names(connection: sqlite3.Connection, model: int) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM served WHERE model=?", (model,))}


def _count(connection: sqlite3.Connection, model: int, names: AbstractSet[str]) -> None:
    before = _names(connection, model)
    is_move = bool(before - names - {_NO_NAME})
    names = names if is_move else names | before
    connection.executemany(
        "DELETE FROM served WHERE model = ? AND name = ?",
        [(model, name) for name in before - names],
    )
    connection.executemany(
        "INSERT INTO served VALUES (?, ?)", [(model, name) for name in names - before]
    )


def _write(connection: sqlite3.Connection, number: int, added: _Added) -> None:
    key, served, asked, answer = added.row
    row = key, number, served, asked, answer
    # Nearly every answer is of a name that counts: that takes one statement.
    if served is None or not connection.execute(_KEEP_IF_IT_COUNTS, row).rowcount:
        _keep_and_count(connection, row, added.name_counts)


def _keep_and_count(
    connection: sqlite3.Connection,
    row: tuple[bytes, int, str | None, str, str],
    name_counts: bool,
) -> None:
    """Keep a failure, or an answer whose name does not count so far.

    A failure has no name: it counts as long as those that counted when it came. Before a model's
    first answer that is no name, which goes with whatever that answer's is.
    """
    key, model, served, asked, answer = row
    counting = _names(connection, model)
    counts = counting
    if served is None:
        served = min(counting, default=_NO_NAME)
        counts = counting or {_NO_NAME}
    elif name_counts:
        counts = {served}
    if counts != counting:
        _count(connection, model, counts)
    connection.execute(_KEEP, (key, model, served, asked, answer))


def _key(request: Request, base_url: str) -> bytes:
    return hashlib.sha256(f"{base_url}\n{request.key}".encode()).digest()
