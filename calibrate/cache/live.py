"""The live cache: what was asked and answered, kept as it arrives, in one SQLite file.

An answer counts while its model is served under the name that gave it. Where another name
answers, the model behind the alias has moved: what the old one said stays in the file and is
not given any more.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import orjson

from calibrate.cache.database import broken, model_number, open_database
from calibrate.cache.writing import NO_NAME, Row, count_names, write_rows
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

_SELECT = (
    "SELECT key, reply FROM answers JOIN served "
    "ON served.model = answers.model AND served.name = answers.served_model WHERE key IN ({})"
)
_SERVED = (
    "SELECT served.name FROM models JOIN served ON served.model = models.id "
    "WHERE models.base_url = ? AND models.kind = ? AND models.name = ?"
)
_NOTHING: tuple[float, dict[bytes, str | None]] = (0.0, {})
_FRESH_S = 0.05  # how long the file is taken to be as it was read; another run may change it


class ModelId(NamedTuple):
    """A model as it is asked: two servers may serve different weights under one name."""

    base_url: str
    kind: str
    name: str


class _Added(NamedTuple):
    """An answer on its way into the file."""

    model: ModelId
    served_model: str | None
    request: str
    reply: Reply
    name_counts: bool

    @property
    def is_given(self) -> bool:
        return self.name_counts or self.served_model is None


class Cache:
    """The live answers of a project. The file is made when there is something to keep."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_database(path) if path.exists() else None
        self._numbers: dict[ModelId, int] = {}
        self._added: dict[bytes, _Added] = {}
        self._served: dict[ModelId, frozenset[str]] = {}  # as read a moment ago
        self._read_at = 0.0
        # By server: when it was read, and the replies, or that there were none.
        self._ahead: dict[str, tuple[float, dict[bytes, str | None]]] = {}

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

    def look_ahead(self, requests: Sequence[Request], base_url: str) -> None:
        """Read together what `get` is asked for next: one by one that takes far longer."""
        now, keys = time.monotonic(), [_key(request, base_url) for request in requests]
        # What was added will be there before it is asked for.
        found = dict.fromkeys(key for key in keys if key not in self._added)
        self._ahead[base_url] = now, {**found, **self._read(list(found))}

    def get(self, request: Request, base_url: str) -> Reply | None:
        """Return the answer that counts, or None; one that cannot be read is an error."""
        key = _key(request, base_url)
        added = self._added.get(key)
        if added is not None and added.is_given:
            return added.reply
        read_at, ahead = self._ahead.get(base_url, _NOTHING)
        if key in ahead and time.monotonic() - read_at <= _FRESH_S:
            reply = ahead.pop(key)
        else:
            reply = self._read([key]).get(key)
        try:
            return None if reply is None else reply_from_json(orjson.loads(reply))
        except MALFORMED_REPLY as error:
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
        key, model = _key(request, base_url), ModelId(base_url, request.kind, request.name)
        self._added[key] = _Added(model, served, request.canonical, reply, name_counts)
        if base_url in self._ahead:
            self._ahead[base_url][1].pop(key, None)

    def commit(self) -> None:
        """Write what was added; what cannot be written stays added."""
        if not self._added:
            return
        connection = self._opened()
        try:
            rows = [self._row(connection, key, added) for key, added in self._added.items()]
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                write_rows(connection, rows)
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
                self._served[model] = frozenset(row[0] for row in rows) - {NO_NAME}
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
                count_names(connection, number, names)
            self._served.clear()
            self._ahead.clear()
        except sqlite3.Error as error:
            raise broken(self._path, error) from error

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return the replies that count, by their keys."""
        connection = self._opened_if_there()
        if connection is None:
            return {}
        try:
            return dict(connection.execute(_SELECT.format(", ".join("?" * len(keys))), keys))
        except sqlite3.Error as error:
            raise broken(self._path, error) from error

    def _row(self, connection: sqlite3.Connection, key: bytes, added: _Added) -> tuple[Row, bool]:
        reply = json_bytes(reply_to_json(added.reply)).decode()
        number = self._number(connection, added.model)
        return Row(key, number, added.served_model, added.request, reply), added.name_counts

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


def _key(request: Request, base_url: str) -> bytes:
    return _digest(base_url, request.key)


@lru_cache(maxsize=1024)  # a key is looked up, read and written
def _digest(base_url: str, key: str) -> bytes:
    return hashlib.sha256(f"{base_url}\n{key}".encode()).digest()
