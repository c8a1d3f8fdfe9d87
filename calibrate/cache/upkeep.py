"""The cache's file in its user's hands: what is in it, thin it out, take its answers along."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from calibrate.cache.database import broken, open_database
from calibrate.cache.live import ModelId
from calibrate.cache.recordings import Recorded
from calibrate.completion import MALFORMED_REPLY, Request, reply_from_json
from calibrate.errors import UsageError, did_you_mean

__all__ = ["CacheInfo", "Kept", "ModelAnswers", "Selection", "describe", "kept_answers", "prune"]

_COUNTS = "EXISTS (SELECT 1 FROM served s WHERE s.model = a.model AND s.name = a.served_model)"
_FAILED = "json_type(a.reply, '$.error') IS NOT NULL"
# The parts in braces are constants of this module, here and below; values are always bound.
_DESCRIBE = f"""
    SELECT m.base_url, m.kind, m.name,
           (SELECT json_group_array(name) FROM
               (SELECT name FROM served WHERE model = m.id AND name <> '' ORDER BY name)),
           min(a.asked_at), max(a.asked_at),
           count(*), sum({_FAILED}), sum(NOT {_COUNTS}),
           total(json_extract(a.reply, '$.usage.input_tokens')),
           total(json_extract(a.reply, '$.usage.output_tokens'))
    FROM answers a JOIN models m ON m.id = a.model WHERE {{}}
    GROUP BY m.id ORDER BY m.base_url, m.name, m.kind
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """What is stored of one model. `set_aside` answers are of names it is not served under now."""

    model: ModelId
    served: tuple[str, ...]
    answers: int
    failures: int
    set_aside: int
    input_tokens: int
    output_tokens: int
    oldest: str  # UTC, ISO 8601, by the clock of the machine that asked
    newest: str


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What is in a cache, and how many bytes its file has."""

    size: int
    models: tuple[ModelAnswers, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored answer that counts, and where it was asked."""

    base_url: str
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Selection:
    """Which answers to remove: those for which everything that is given holds."""

    before: datetime | None = None
    model: str | None = None  # as it is asked
    failed: bool = False
    set_aside: bool = False


def describe(path: Path) -> CacheInfo:
    """Return what is in a cache, counting every answer; nothing where there is no file."""
    if not path.exists():
        return CacheInfo(0, ())
    with _opened(path) as connection:
        models = tuple(_models(connection, "true", ()))
    return CacheInfo(path.stat().st_size, models)


def prune(path: Path, selection: Selection, *, dry_run: bool = False) -> list[ModelAnswers]:
    """Remove the selected answers and give their room back; return what each model loses.

    A model that has no answers left is served under whatever name it answers next. Raises
    `UsageError` for a model of which nothing is stored.
    """
    if not path.exists():
        return []
    where, values = _condition(selection)
    with _opened(path) as connection:
        if selection.model is not None:
            _require_model(connection, selection.model)
        with connection:
            connection.execute("BEGIN" if dry_run else "BEGIN IMMEDIATE")
            lost = list(_models(connection, where, values))
            if dry_run or not lost:
                return lost
            connection.execute(
                "DELETE FROM answers WHERE id IN "  # noqa: S608
                f"(SELECT a.id FROM answers a JOIN models m ON m.id = a.model WHERE {where})",
                values,
            )
            connection.execute("DELETE FROM served WHERE model NOT IN (SELECT model FROM answers)")
        with suppress(sqlite3.OperationalError):  # a run that is under way, or a full disk
            connection.execute("VACUUM")
    return lost


def kept_answers(path: Path) -> Iterator[Kept]:
    """Yield every answer that counts, in the order in which they came."""
    if not path.exists():
        return
    with _opened(path) as connection:
        for base_url, request, reply in connection.execute(
            "SELECT m.base_url, a.request, a.reply FROM answers a "  # noqa: S608
            f"JOIN models m ON m.id = a.model WHERE {_COUNTS} ORDER BY a.id"
        ):
            asked = Request.from_json(json.loads(request))
            yield Kept(base_url, Recorded(asked, reply_from_json(json.loads(reply))))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(open_database(path)) as connection:
            yield connection
    except (sqlite3.Error, *MALFORMED_REPLY) as error:
        raise broken(path, error) from error


def _models(
    connection: sqlite3.Connection, where: str, values: Sequence[str]
) -> Iterator[ModelAnswers]:
    for row in connection.execute(_DESCRIBE.format(where), values):
        base_url, kind, name, served, oldest, newest, *counts = row
        answers, failures, set_aside, input_tokens, output_tokens = map(int, counts)
        yield ModelAnswers(
            model=ModelId(base_url, kind, name),
            served=tuple(json.loads(served)),
            answers=answers,
            failures=failures,
            set_aside=set_aside,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            oldest=oldest,
            newest=newest,
        )


def _condition(selection: Selection) -> tuple[str, list[str]]:
    """Return the rows that are selected, as SQL with its values."""
    parts, values = ["true"], []
    if selection.before is not None:
        parts.append("a.asked_at < ?")
        values.append(selection.before.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if selection.model is not None:
        parts.append("m.name = ?")
        values.append(selection.model)
    if selection.failed:
        parts.append(_FAILED)
    if selection.set_aside:
        parts.append(f"NOT {_COUNTS}")
    return " AND ".join(parts), values


def _require_model(connection: sqlite3.Connection, name: str) -> None:
    known = [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT name FROM models WHERE id IN (SELECT model FROM answers) ORDER BY name"
        )
    ]
    if name not in known:
        raise UsageError(
            f"nothing is stored of a model {name!r}{did_you_mean(name, known)} "
            f"(known: {', '.join(known) or 'none'})"
        )
