"""The SQLite file of the live cache: opened, made, brought up to date, and its errors in words."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

from calibrate.errors import CacheError

__all__ = ["broken", "model_number", "open_database"]

BUSY_S = 30.0
WAL_ATTEMPTS, WAL_WAIT_S = 600, 0.05
VERSION = 2

# `synchronous=NORMAL`: every answer is handed to the operating system before the next thing is
# done, so a killed process loses nothing. Only a power cut may lose the last seconds, which are
# then asked again; waiting for the disk (`FULL`) would cost milliseconds an answer.
_SETTINGS = (
    "PRAGMA synchronous=NORMAL",
    "PRAGMA wal_autocheckpoint=4000",  # pages: 16 MB; small logs are copied too often
    "PRAGMA cache_size=-4000",  # KiB: with 100,000 answers a larger one is no faster
)

# Rows of `models` are never removed: a run that is under way holds their numbers.
_TABLES = (
    """
    CREATE TABLE models (
        id INTEGER PRIMARY KEY,
        base_url TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        UNIQUE (base_url, kind, name)
    )
    """,
    # The names under which a model is served now. Answers of other names do not count.
    """
    CREATE TABLE served (
        model INTEGER NOT NULL REFERENCES models,
        name TEXT NOT NULL,
        PRIMARY KEY (model, name)
    ) WITHOUT ROWID
    """,
    # Not WITHOUT ROWID: rows are long, and appending them costs half of putting them in order.
    # `served_model` of a failure is the name that counted when it came; '' before there was one.
    """
    CREATE TABLE answers (
        id INTEGER PRIMARY KEY, -- rises in the order of arrival, whatever the clock does
        key BLOB NOT NULL UNIQUE,
        model INTEGER NOT NULL REFERENCES models,
        served_model TEXT NOT NULL,
        request TEXT NOT NULL,
        reply TEXT NOT NULL,
        asked_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
    )
    """,
)

_REMEDIES = {
    sqlite3.SQLITE_BUSY: f"another program has held it for {BUSY_S:.0f} s; end that and run again",
    sqlite3.SQLITE_FULL: "make room and run again; every answer before this one is kept",
    sqlite3.SQLITE_IOERR: "mend the disk (is it full?) and run again; every answer before is kept",
    sqlite3.SQLITE_READONLY: "it and its folder must be writable",
    sqlite3.SQLITE_CANTOPEN: "it must be a file, and it and its folder writable",
}
_OTHERWISE = "if it is corrupt, move it away (its answers are then asked, and paid for, again)"


def open_database(path: Path) -> sqlite3.Connection:
    """Return a connection to the cache file, made or migrated where needed.

    Raises `CacheError` where it is corrupt, locked, not writable, or of a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    except (sqlite3.Error, OSError) as error:
        raise broken(path, error) from error
    try:
        _prepare(connection, path)
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        connection.close()
        raise broken(path, error) from error
    except CacheError:
        connection.close()
        raise
    return connection


def broken(path: Path, error: Exception) -> CacheError:
    """Return the error that says what is wrong with the file, and what to do about it."""
    if isinstance(error, OSError):
        why, code = str(error.strerror), sqlite3.SQLITE_CANTOPEN
    else:  # the low byte of SQLite's codes is the kind of error
        why, code = str(error), getattr(error, "sqlite_errorcode", 0) & 0xFF
    remedy = _REMEDIES.get(code, _OTHERWISE)
    return CacheError(f"{path}: the answer cache cannot be used: {why}; {remedy}")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    found = _version(connection, path)
    use_wal(connection)
    for setting in _SETTINGS:
        connection.execute(setting)
    if found == VERSION:
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection, path) < VERSION:  # else another run was faster
            _bring_up_to_date(connection)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise CacheError(
            f"{path}: written by a newer calibrate (format {found}); upgrade calibrate"
        )
    return found


def use_wal(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; where two runs make the file at once, SQLite will not wait."""
    for _ in range(WAL_ATTEMPTS - 1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(WAL_WAIT_S)
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL")


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Make the tables; rows of the first version, which had one table, are taken over."""
    is_first_version = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name = 'answers'"
    ).fetchone()[0]
    if is_first_version:
        connection.execute("ALTER TABLE answers RENAME TO answers_1")
    for table in _TABLES:
        connection.execute(table)
    if is_first_version:
        _take_over(connection)
        connection.execute("DROP TABLE answers_1")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _take_over(connection: sqlite3.Connection) -> None:
    served: dict[int, str] = {}
    for key, base_url, request, reply, asked_at in connection.execute(
        "SELECT key, base_url, request, reply, asked_at FROM answers_1 ORDER BY asked_at, key"
    ):
        asked = json.loads(request)
        model = model_number(connection, base_url, asked["kind"], asked["name"])
        name = _served_model(reply)
        if name is not None:
            served[model] = name  # in the end, the latest one's
        connection.execute(
            "INSERT INTO answers (key, model, served_model, request, reply, asked_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (bytes.fromhex(key), model, name or served.get(model, ""), request, reply, asked_at),
        )
    connection.executemany("INSERT INTO served VALUES (?, ?)", served.items())
    connection.execute(
        "INSERT OR IGNORE INTO served SELECT model, '' FROM answers WHERE served_model = ''"
    )


def _served_model(reply: str) -> str | None:
    """Return the name in a reply's JSON; None in a failure, and where reading it would fail."""
    try:
        name = json.loads(reply)["served_model"]
    except (ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def model_number(connection: sqlite3.Connection, base_url: str, kind: str, name: str) -> int:
    """Return the number by which answers name a model at an address."""
    model = (base_url, kind, name)
    connection.execute(
        "INSERT OR IGNORE INTO models (base_url, kind, name) VALUES (?, ?, ?)", model
    )
    row = connection.execute(
        "SELECT id FROM models WHERE base_url = ? AND kind = ? AND name = ?", model
    ).fetchone()
    return int(row[0])
