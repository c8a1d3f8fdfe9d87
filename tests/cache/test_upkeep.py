"""The cache's file in its user's hands."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calibrate.cache import Cache, ModelId, Recorded
from calibrate.cache.upkeep import (
    CacheInfo,
    Kept,
    ModelAnswers,
    Selection,
    describe,
    kept_answers,
    prune,
)
from calibrate.completion import ChatMessage, Completion, Failure, FailureReason, Request, Usage
from calibrate.errors import CacheError, UsageError

URL, OTHER = "http://127.0.0.1:8081/v1", "http://127.0.0.1:8082/v1"
OLD, NEW = "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"


def ask(name: str, text: str) -> Request:
    return Request("openai", name, messages=(ChatMessage("user", text),))


def by(served: str, text: str = "x") -> Completion:
    return Completion(text=text, usage=Usage(10, 2), served_model=served, latency_s=0.1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A cache of two models; of `m`, one answer is set aside, one call failed, one is new."""
    path = tmp_path / "cache.sqlite"
    with Cache(path) as cache:
        cache.put(ask("m", "a"), URL, by("m-2025"))
        cache.put(ask("m", "b"), URL, by("m-2026"))
        cache.put(ask("m", "c"), URL, Failure(FailureReason.REJECTED, "no"))
        cache.put(ask("m", "d"), URL, by("m-2026"))
        cache.put(ask("n", "a"), OTHER, by("n"))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE answers SET asked_at = ?", (OLD,))
        connection.execute("UPDATE answers SET asked_at = ? WHERE id = 4", (NEW,))
    connection.close()
    return path


M = ModelAnswers(
    model=ModelId(URL, "openai", "m"),
    served=("m-2026",),
    answers=4,
    failures=1,
    set_aside=1,
    input_tokens=30,
    output_tokens=6,
    oldest=OLD,
    newest=NEW,
)
N = ModelAnswers(ModelId(OTHER, "openai", "n"), ("n",), 1, 0, 0, 10, 2, OLD, OLD)


def left(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT name || ' ' || answers.id FROM answers JOIN models ON models.id = model"
    ).fetchall()
    connection.close()
    return sorted(row[0] for row in rows)


def test_a_cache_is_described_by_model_and_address(path: Path) -> None:
    assert describe(path) == CacheInfo(path.stat().st_size, (M, N))


def test_what_is_not_there_has_nothing_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none" / "cache.sqlite"
    assert describe(path) == CacheInfo(0, ())
    assert prune(path, Selection(failed=True)) == []
    assert list(kept_answers(path)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("selection", "stays"),
    [
        (Selection(before=datetime(2026, 2, 1, tzinfo=UTC)), ["m 4"]),
        (Selection(before=datetime(2025, 2, 1, tzinfo=UTC)), ["m 1", "m 2", "m 3", "m 4", "n 5"]),
        (Selection(model="m"), ["n 5"]),
        (Selection(failed=True), ["m 1", "m 2", "m 4", "n 5"]),
        (Selection(set_aside=True), ["m 2", "m 3", "m 4", "n 5"]),
        (
            Selection(before=datetime(2026, 2, 1, tzinfo=UTC), model="m", failed=True),
            ["m 1", "m 2", "m 4", "n 5"],
        ),
        (Selection(failed=True, set_aside=True), ["m 1", "m 2", "m 3", "m 4", "n 5"]),
    ],
)
def test_what_is_selected_is_removed_and_told(
    path: Path, selection: Selection, stays: list[str]
) -> None:
    told = prune(path, selection, dry_run=True)
    assert left(path) == ["m 1", "m 2", "m 3", "m 4", "n 5"]
    assert prune(path, selection) == told
    assert left(path) == stays
    assert sum(row.answers for row in told) == 5 - len(stays)
    assert prune(path, selection) == [] if selection.model is None else True


def test_what_is_told_is_what_was_removed(path: Path) -> None:
    assert prune(path, Selection(failed=True)) == [
        ModelAnswers(M.model, ("m-2026",), 1, 1, 0, 0, 0, OLD, OLD)
    ]


def test_a_model_without_answers_may_come_back_under_any_name(path: Path) -> None:
    prune(path, Selection(model="m"))
    with Cache(path) as cache:
        assert cache.served_names(M.model) == set()
        assert cache.served_names(N.model) == {"n"}


def test_a_run_that_is_under_way_goes_on_after_a_prune(path: Path) -> None:
    with Cache(path) as cache:
        cache.put(ask("m", "e"), URL, by("m-2026"))
        prune(path, Selection(model="m"))
        assert cache.get(ask("m", "b"), URL) is None
        cache.put(ask("m", "f"), URL, by("m-2027"))
        assert cache.get(ask("m", "f"), URL) == by("m-2027")


def test_a_name_that_is_not_there_gets_a_hint(path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prune(path, Selection(model="nn"))
    assert str(caught.value) == (
        "nothing is stored of a model 'nn'; did you mean 'n'? (known: m, n)"
    )
    prune(path, Selection(before=datetime(2027, 1, 1, tzinfo=UTC)))
    with pytest.raises(UsageError, match=r"of a model 'n' \(known: none\)"):
        prune(path, Selection(model="n"))


def test_room_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with Cache(path) as cache:
        for number in range(300):
            cache.put(ask("m", str(number)), URL, by("m", "x" * 1000))
        cache.put(ask("n", "a"), URL, by("n"))
    before = path.stat().st_size
    prune(path, Selection(model="m"))
    assert path.stat().st_size < before / 5


def test_answers_that_count_are_taken_along_in_the_order_of_arrival(path: Path) -> None:
    assert list(kept_answers(path)) == [
        Kept(URL, Recorded(ask("m", "b"), by("m-2026"))),
        Kept(URL, Recorded(ask("m", "c"), Failure(FailureReason.REJECTED, "no"))),
        Kept(URL, Recorded(ask("m", "d"), by("m-2026"))),
        Kept(OTHER, Recorded(ask("n", "a"), by("n"))),
    ]


@pytest.mark.parametrize("column", ["reply", "request"])
def test_a_damaged_row_is_an_error(path: Path, column: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"UPDATE answers SET {column} = 'not JSON'")  # noqa: S608
    connection.close()
    with pytest.raises(CacheError, match="the answer cache cannot be used"):
        list(kept_answers(path))
    if column == "reply":
        with pytest.raises(CacheError, match="malformed JSON"):
            describe(path)
        with pytest.raises(CacheError, match="malformed JSON"):
            prune(path, Selection(failed=True))
