"""Answers already paid for: recordings that are committed, and a live cache that survives a crash.

Recordings are real models' answers, one JSON line each, gzipped, read-only during a run. The live
cache is one SQLite file in WAL mode; every answer is committed as it arrives, so that killing the
process loses nothing that had been paid for.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from calibrate.completion import (
    MALFORMED_REPLY,
    Reply,
    Request,
    reply_from_json,
    reply_to_json,
)
from calibrate.errors import CacheError
from calibrate.files import replace_file
from calibrate.fingerprint import canonical_bytes

__all__ = ["Cache", "Recorded", "Recordings", "write_recordings"]

WAL_ATTEMPTS, WAL_WAIT_S = 600, 0.05
_SCHEMA_VERSION = 1
_HEAD, _MIDDLE = '{"v":1,"request":', ',"response":'
_VERSION = re.compile(rb'\{"v":(\d{1,9}),')
_CREATE = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    base_url TEXT NOT NULL,
    request TEXT NOT NULL,
    reply TEXT NOT NULL,
    asked_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request with the answer it got."""

    request: Request
    reply: Reply

    def to_line(self) -> bytes:
        """Return the line of a recording; its request is written in the key's own bytes."""
        request = canonical_bytes(self.request.to_json())
        response = json.dumps(
            reply_to_json(self.reply), separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return _HEAD.encode() + request + _MIDDLE.encode() + response.encode() + b"}"


class Recordings:
    """Every recorded answer of a workflow, by the request's key."""

    def __init__(self, path: Path | None, place: str = "") -> None:
        self._answers: dict[str, tuple[bytes, str]] = {}
        self.place = place
        if path is not None and path.is_file():
            for number, line in enumerate(_lines(path, place), start=1):
                where = f"{place}:{number}"
                self._answers[_key_of(line, where)] = (line, where)

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, request: Request) -> Reply | None:
        """Return the recorded reply, parsed only now: a run needs few of many."""
        found = self._answers.get(request.key)
        return None if found is None else _parsed(*found).reply

    def all(self) -> Iterable[Recorded]:
        return (_parsed(line, where) for line, where in self._answers.values())


def write_recordings(path: Path, answers: Iterable[Recorded]) -> int:
    """Write recordings, sorted, as one deterministic gzip file; return how many there are."""
    lines = sorted({answer.to_line() for answer in answers})
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as packed:
        packed.write(b"".join(line + b"\n" for line in lines))
    replace_file(path, buffer.getvalue())
    return len(lines)


class Cache:
    """The live answers of a project, in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        if path.exists():
            self._connection = self._connect()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def get(self, request: Request, base_url: str) -> Reply | None:
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(
                "SELECT reply FROM answers WHERE key = ?", (_live_key(request, base_url),)
            ).fetchone()
            return None if row is None else reply_from_json(json.loads(row[0]))
        except (sqlite3.Error, *MALFORMED_REPLY) as error:
            raise self._broken(error) from error

    def put(self, request: Request, base_url: str, reply: Reply) -> None:
        """Keep an answer: once this returns, killing the process does not lose it."""
        asked = canonical_bytes(request.to_json()).decode()
        answer = json.dumps(reply_to_json(reply), separators=(",", ":"), ensure_ascii=False)
        if self._connection is None:  # made only when there is something to keep
            self._connection = self._connect()
        try:
            self._connection.execute(
                "INSERT OR REPLACE INTO answers (key, base_url, request, reply) "
                "VALUES (?, ?, ?, ?)",
                (_live_key(request, base_url), base_url, asked, answer),
            )
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise self._broken(error) from error
        try:
            self._prepare(connection)
        except sqlite3.Error as error:
            connection.close()
            raise self._broken(error) from error
        except CacheError:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > _SCHEMA_VERSION:
            raise CacheError(
                f"{self._path}: written by a newer calibrate (format {found}); upgrade calibrate"
            )
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        if found < _SCHEMA_VERSION:  # a new file
            connection.execute(_CREATE)
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _broken(self, error: Exception) -> CacheError:
        return CacheError(
            f"{self._path}: the answer cache cannot be used: {error}; if it is corrupt, move it "
            "away (its answers are then asked, and paid for, again)"
        )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; where two runs make the file at once, SQLite will not wait."""
    for _ in range(WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(WAL_WAIT_S)
        else:
            return
    raise sqlite3.OperationalError("database is locked")


def _live_key(request: Request, base_url: str) -> str:
    """The live cache tells servers apart: two may serve different weights under one name."""
    return hashlib.sha256(f"{base_url}\n{request.key}".encode()).hexdigest()


def _lines(path: Path, place: str) -> list[bytes]:
    try:
        with gzip.open(path, "rb") as file:
            return file.read().splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise CacheError(
            f"{place}: this recording cannot be unpacked: {error}; restore it from version control"
        ) from error


def _key_of(line: bytes, where: str) -> str:
    """Return a line's key: its request is stored as the very bytes that the key is made of."""
    version = _VERSION.match(line)
    if version is not None and int(version[1]) > 1:
        raise CacheError(f"{where}: recorded by a newer calibrate; upgrade calibrate")
    try:
        text = line.decode()
        _, end = json.JSONDecoder().raw_decode(text, len(_HEAD))
    except (ValueError, RecursionError) as error:
        raise _not_a_recording(where, str(error)) from error
    if not text.startswith(_HEAD) or not text.startswith(_MIDDLE, end):
        raise _not_a_recording(where, "not in the form in which recordings are written")
    return hashlib.sha256(text[len(_HEAD) : end].encode()).hexdigest()


def _not_a_recording(where: str, why: str) -> CacheError:
    return CacheError(
        f"{where}: not a recorded answer ({why}); restore the file from version control, "
        "recordings are never edited"
    )


def _parsed(line: bytes, where: str) -> Recorded:
    try:
        row: Mapping[str, Any] = json.loads(line)
        return Recorded(Request.from_json(row["request"]), reply_from_json(row["response"]))
    except MALFORMED_REPLY as error:
        raise _not_a_recording(where, str(error)) from error
