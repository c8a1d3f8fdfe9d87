"""Which batches are out, and what is in them: written down before anything is handed in.

Whenever the process ends, whatever may have been paid for is in this file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from calibrate.batches.prices import price_from_json
from calibrate.cache.database import use_wal
from calibrate.completion import Request
from calibrate.errors import CacheError
from calibrate.policy.records import plain
from calibrate.pricing import Price, policy_price

__all__ = ["Batch", "Item", "Journal"]

_BUSY_S = 30.0
_VERSION = 1
_TABLES = (
    # Until it settles, what was sent may be on its way. `remote` is the server's own name of it,
    # once that is known, or guessed after a crash.
    """
    CREATE TABLE batches (
        tag TEXT PRIMARY KEY,
        endpoint TEXT NOT NULL,
        base_url TEXT NOT NULL,
        kind TEXT NOT NULL,
        model TEXT NOT NULL,
        price TEXT NOT NULL,
        requests INTEGER NOT NULL,
        intended_at REAL NOT NULL,
        settles_at REAL NOT NULL,
        remote TEXT,
        is_guess INTEGER NOT NULL DEFAULT 0,
        ruled_out TEXT NOT NULL DEFAULT '[]'
    )
    """,
    # A request is in one batch at a time; in none where its last batch gave no answer to it.
    """
    CREATE TABLE requests (
        base_url TEXT NOT NULL,
        key TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        batch TEXT REFERENCES batches,
        number INTEGER,
        request TEXT NOT NULL,
        PRIMARY KEY (base_url, key)
    ) WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX in_batch ON requests (batch, number) WHERE batch IS NOT NULL",
)
_COLUMNS = "tag, endpoint, base_url, kind, model, price, requests, intended_at, settles_at"


@dataclass(frozen=True, slots=True)
class Batch:
    """Some requests to one model that are handed in together."""

    tag: str
    endpoint: str
    base_url: str
    kind: str
    model: str
    price: Price
    requests: int
    intended_at: float  # in seconds since 1970
    settles_at: float  # from then on it is to be seen at its server, or never arrived
    remote: str | None = None
    is_guess: bool = False
    ruled_out: frozenset[str] = frozenset()  # the server's names of batches that are not this one


@dataclass(frozen=True, slots=True)
class Item:
    """A request in a batch, and how often it has been handed in."""

    request: Request
    attempts: int


class Journal:
    """The file of the batches that are out. It is made when there is something to write down."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            self._opened.close()

    def batches(self) -> list[Batch]:
        """Return every batch that is out, oldest first."""
        if self._opened is None and not self._path.exists():
            return []
        with self._writing() as database:
            rows = database.execute(
                f"SELECT {_COLUMNS}, remote, is_guess, ruled_out FROM batches "  # noqa: S608
                "ORDER BY intended_at, tag"
            )
            return [_batch(*row) for row in rows.fetchall()]

    def holding(self, base_url: str) -> dict[str, str]:
        """Return the tags of the batches that requests to an address are in, by their keys."""
        if self._opened is None and not self._path.exists():
            return {}
        with self._writing() as database:
            rows = database.execute(
                "SELECT key, batch FROM requests WHERE base_url = ? AND batch IS NOT NULL",
                (base_url,),
            )
            return dict(rows.fetchall())

    def claim(self, batch: Batch, requests: Sequence[Request]) -> bool:
        """Write down that requests are about to be handed in, in this order.

        False, and nothing is written, where another batch holds one of them by now.
        """
        with self._writing() as database:
            for request in requests:
                found = database.execute(
                    "SELECT 1 FROM requests WHERE base_url = ? AND key = ? AND batch IS NOT NULL",
                    (batch.base_url, request.key),
                ).fetchone()
                if found is not None:
                    return False
            database.execute(
                f"INSERT INTO batches ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (
                    *(batch.tag, batch.endpoint, batch.base_url, batch.kind, batch.model),
                    *(
                        json.dumps(plain(policy_price(batch.price))),
                        batch.requests,
                        batch.intended_at,
                        batch.settles_at,
                    ),
                ),
            )
            database.executemany(
                "INSERT INTO requests VALUES (?1, ?2, 1, ?3, ?4, ?5) ON CONFLICT DO UPDATE "
                "SET attempts = attempts + 1, batch = ?3, number = ?4",
                [
                    (batch.base_url, request.key, batch.tag, number, json.dumps(request.to_json()))
                    for number, request in enumerate(requests)
                ],
            )
            return True

    def items(self, batch: Batch) -> dict[int, Item]:
        """Return what is in a batch, by the numbers in its custom ids."""
        with self._writing() as database:
            rows = database.execute(
                "SELECT number, attempts, request FROM requests WHERE batch = ?", (batch.tag,)
            )
            return {
                number: Item(Request.from_json(json.loads(request)), attempts)
                for number, attempts, request in rows
            }

    def renew(self, batch: Batch, settles_at: float) -> bool:
        """Write down that a batch is sent again; False where it has been struck out meanwhile."""
        with self._writing() as database:
            changed = database.execute(
                "UPDATE batches SET settles_at = ? WHERE tag = ?", (settles_at, batch.tag)
            )
            return changed.rowcount == 1

    def confirm(self, batch: Batch, remote: str, *, is_guess: bool = False) -> None:
        """Write down under which name the server has a batch, or seems to have it."""
        with self._writing() as database:
            database.execute(
                "UPDATE batches SET remote = ?1, is_guess = ?2 "
                "WHERE tag = ?3 AND (remote IS NULL OR NOT ?2)",  # what is known stays known
                (remote, is_guess, batch.tag),
            )

    def rule_out(self, batch: Batch, remote: str) -> None:
        """Write down that what the server has under a name is not this batch after all."""
        names = json.dumps(sorted(batch.ruled_out | {remote}))
        with self._writing() as database:
            database.execute(
                "UPDATE batches SET remote = NULL, ruled_out = ? WHERE tag = ?", (names, batch.tag)
            )

    def close(self, batch: Batch, unanswered: Iterable[int] = ()) -> None:
        """Strike a batch out; of its requests only those without an answer are remembered."""
        with self._writing() as database:
            database.executemany(
                "UPDATE requests SET batch = NULL, number = NULL WHERE batch = ? AND number = ?",
                [(batch.tag, number) for number in unanswered],
            )
            database.execute("DELETE FROM requests WHERE batch = ?", (batch.tag,))
            database.execute("DELETE FROM batches WHERE tag = ?", (batch.tag,))

    def drop(self, batch: Batch) -> None:
        """Strike a batch out that was never asked: it counts as no attempt."""
        with self._writing() as database:
            database.execute("DELETE FROM requests WHERE batch = ? AND attempts = 1", (batch.tag,))
            database.execute(
                "UPDATE requests SET batch = NULL, number = NULL, attempts = attempts - 1 "
                "WHERE batch = ?",
                (batch.tag,),
            )
            database.execute("DELETE FROM batches WHERE tag = ?", (batch.tag,))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the database for one step that happens whole or not at all."""
        try:
            if self._opened is None:
                self._opened = _open(self._path)
            with self._opened:
                self._opened.execute("BEGIN IMMEDIATE")
                yield self._opened
        except (sqlite3.Error, OSError, ValueError, KeyError) as error:
            raise CacheError(
                f"{self._path}: the journal of the batches cannot be used: {error}; mend the disk, "
                "or move the file away (what is in its batches is then asked, and paid for, again)"
            ) from error


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        use_wal(database)
        # What is written here goes before money: each step waits for the disk.
        database.execute("PRAGMA synchronous=FULL")
        with database:
            database.execute("BEGIN IMMEDIATE")
            found = database.execute("PRAGMA user_version").fetchone()[0]
            if found > _VERSION:
                raise ValueError("it was written by a newer calibrate; upgrade calibrate")
            if not found:
                for statement in _TABLES:
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _batch(
    tag: str,
    endpoint: str,
    base_url: str,
    kind: str,
    model: str,
    price: str,
    requests: int,
    intended_at: float,
    settles_at: float,
    remote: str | None,
    is_guess: int,
    ruled_out: str,
) -> Batch:
    return Batch(
        tag=tag,
        endpoint=endpoint,
        base_url=base_url,
        kind=kind,
        model=model,
        price=price_from_json(json.loads(price)),
        requests=requests,
        intended_at=intended_at,
        settles_at=settles_at,
        remote=remote,
        is_guess=bool(is_guess),
        ruled_out=frozenset(json.loads(ruled_out)),
    )
