"""Which stored answers count: those of the name under which their model is served now."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrate.cache import (
    Cache,
    ModelId,
    Move,
    Recorded,
    Recordings,
    StoredAnswers,
    write_recordings,
)
from calibrate.completion import ChatMessage, Completion, Failure, FailureReason, Request, Usage

URL = "http://127.0.0.1:8081/v1"
M = ModelId(URL, "openai", "m")
FAILURE = Failure(FailureReason.REJECTED, "no")


def ask(text: str) -> Request:
    return Request("openai", "m", messages=(ChatMessage("user", text),))


def by(name: str) -> Completion:
    return Completion(text="x", usage=Usage(1, 1), served_model=name, latency_s=0.1)


def recordings(tmp_path: Path, **answers: Completion | Failure) -> Recordings:
    path = tmp_path / "r.jsonl.gz"
    write_recordings(path, [Recorded(ask(text), reply) for text, reply in answers.items()])
    return Recordings(path)


def names(stored: StoredAnswers, texts: str) -> list[str]:
    """Return who gave each question's stored answer: R for recorded, C for cached, and the name."""
    stored.commit()
    found = []
    for text in texts:
        answer = stored.get(ask(text), URL)
        assert stored.has(ask(text), URL) is (answer is not None)
        if answer is None:
            found.append("-")
        else:
            served = getattr(answer.reply, "served_model", "failure")
            found.append(f"{'R' if answer.is_recorded else 'C'}:{served}")
    return found


@pytest.fixture(params=["cache", "no cache"])
def cache(request: pytest.FixtureRequest, tmp_path: Path):
    """A live cache, or none: the rule is the same."""
    if request.param == "no cache":
        yield None
    else:
        with Cache(tmp_path / "c.sqlite") as opened:
            yield opened


def test_a_recorded_answer_is_given_before_a_cached_one(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        cache.put(ask("a"), URL, by("A"))
        cache.put(ask("b"), URL, by("A"))
        stored = StoredAnswers(recordings(tmp_path, a=by("A")), cache)
        assert names(stored, "abc") == ["R:A", "C:A", "-"]
        assert stored.notes() == []


def test_the_same_name_is_no_move(tmp_path: Path, cache: Cache | None) -> None:
    stored = StoredAnswers(recordings(tmp_path, a=by("A")), cache)
    assert names(stored, "a") == ["R:A"]
    assert stored.put(ask("b"), URL, by("A")) is None
    assert stored.put(ask("c"), URL, FAILURE) is None
    assert names(stored, "a") == ["R:A"]
    assert stored.notes() == []


def test_a_first_answer_under_another_name_than_the_recorded_spoils_what_was_given(
    tmp_path: Path, cache: Cache | None
) -> None:
    stored = StoredAnswers(recordings(tmp_path, a=by("A"), f=FAILURE), cache)
    assert names(stored, "af") == ["R:A", "R:failure"]
    move = stored.put(ask("b"), URL, by("B"))
    assert move == Move(M, ("A",), ("B",), is_spoiling=True)
    assert stored.start_over() == {M}
    assert stored.start_over() == set()
    assert names(stored, "afa") == ["-", "-", "-"]
    assert stored.notes() == [
        f"m at {URL} is served as 'B' now, and was as 'A': what that answered does not count any "
        "more",
        f"2 recorded answers of m do not count: {URL} serves it as 'B' now; record them again, or "
        "forget that with `calibrate cache prune --model m`",
    ]


def test_recordings_that_a_move_overtook_stay_overtaken_in_the_next_run(tmp_path: Path) -> None:
    recorded = recordings(tmp_path, a=by("A"), b=by("B"), f=FAILURE)
    with Cache(tmp_path / "c.sqlite") as cache:
        cache.put(ask("z"), URL, by("C"))
        assert names(StoredAnswers(recorded, cache), "abf") == ["-", "-", "-"]
        cache.put(ask("z"), URL, by("B"))
        stored = StoredAnswers(recorded, cache)
        assert names(stored, "abf") == ["-", "R:B", "R:failure"]
        assert len(stored.notes()) == 1


def test_recorded_failures_alone_tell_no_name_and_count(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        cache.put(ask("z"), URL, by("C"))
        assert names(StoredAnswers(recordings(tmp_path, f=FAILURE), cache), "f") == ["R:failure"]


def test_names_that_were_recorded_together_count_together(
    tmp_path: Path, cache: Cache | None
) -> None:
    stored = StoredAnswers(recordings(tmp_path, a=by("A"), b=by("B")), cache)
    assert stored.put(ask("c"), URL, by("A")) is None
    assert names(stored, "ab") == ["R:A", "R:B"]


def test_a_move_before_anything_was_given_spoils_nothing(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        cache.put(ask("a"), URL, by("A"))
        stored = StoredAnswers(Recordings(None), cache)
        assert stored.put(ask("b"), URL, by("B")) == Move(M, ("A",), ("B",), is_spoiling=False)
        assert stored.put(ask("c"), URL, by("B")) is None
        assert names(stored, "abc") == ["-", "C:B", "C:B"]


def test_until_the_start_over_every_answer_tells_of_the_move(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        stored = StoredAnswers(Recordings(None), cache)
        stored.put(ask("a"), URL, by("A"))
        move = stored.put(ask("b"), URL, by("B"))
        assert move == Move(M, ("A",), ("B",), is_spoiling=True)
        late = [stored.put(ask("c"), URL, by("A")), stored.put(ask("d"), URL, FAILURE)]
        assert [*late, stored.put(ask("e"), URL, by("B"))] == [move, move, move]
        assert names(stored, "abcde") == ["-", "C:B", "-", "C:failure", "C:B"]
        stored.start_over()
        assert stored.put(ask("a"), URL, by("B")) is None
        assert names(stored, "a") == ["C:B"]


def test_a_name_that_returns_is_served_by_turns_and_all_of_it_counts(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        stored = StoredAnswers(Recordings(None), cache)
        stored.put(ask("a"), URL, by("A"))
        stored.put(ask("b"), URL, by("B"))
        stored.start_over()
        move = stored.put(ask("c"), URL, by("A"))
        assert move == Move(M, ("B",), ("A", "B"), is_spoiling=False)
        assert stored.put(ask("d"), URL, by("B")) is None
        assert names(stored, "abcd") == ["C:A", "C:B", "C:A", "C:B"]
        assert stored.notes()[-1] == (
            f"m at {URL} answers by turns as 'A', 'B': all of them count, and a verdict is that "
            "of the mixture; ask for one of them by its full name"
        )
    with Cache(tmp_path / "c.sqlite") as cache:
        assert names(StoredAnswers(Recordings(None), cache), "ab") == ["C:A", "C:B"]


def test_ever_new_names_end_in_a_mixture_and_not_in_an_endless_run(
    tmp_path: Path, cache: Cache | None
) -> None:
    stored = StoredAnswers(Recordings(None), cache)
    spoiling = []
    for number in range(50):
        move = stored.put(ask(str(number)), URL, by(f"m-{number:02}"))
        if move is not None and move.is_spoiling:
            spoiling.append(number)
            stored.start_over()
    assert spoiling == [1, 3]  # after a new start nothing is given yet that a move could spoil
    first, last = stored.notes()
    assert "is served as 'm-03' now, and was as 'm-02'" in first
    assert "by turns as 'm-03', 'm-04', 'm-05', 'm-06' and 43 more: all" in last


def test_failures_are_asked_again_when_told_to(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        cache.put(ask("c"), URL, FAILURE)
        recorded = recordings(tmp_path, r=FAILURE, a=by("A"))
        assert names(StoredAnswers(recorded, cache), "cra") == ["C:failure", "R:failure", "R:A"]
        stored = StoredAnswers(recorded, cache, give_failures=False)
        assert names(stored, "cra") == ["-", "-", "R:A"]
        assert stored.notes() == []


def test_a_servers_name_is_shown_on_one_line(tmp_path: Path) -> None:
    stored = StoredAnswers(Recordings(None), None)
    stored.put(ask("a"), URL, by("A"))
    stored.put(ask("b"), URL, by("\x1b[2J\n" + "B" * 5000))
    (note,) = stored.notes()
    assert note.isprintable()
    assert len(note) < 1000


def test_a_move_that_another_run_on_the_cache_heard_of_is_heard_of_here(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache, Cache(tmp_path / "c.sqlite") as theirs:
        mine, other = (
            StoredAnswers(Recordings(None), cache),
            StoredAnswers(Recordings(None), theirs),
        )
        for stored, text in ((mine, "a"), (other, "b")):
            stored.put(ask(text), URL, by("A"))
            stored.commit()
        moved = other.put(ask("c"), URL, by("B"))
        other.commit()
        assert moved == Move(M, ("A",), ("B",), is_spoiling=True)
        cache._served.clear()  # a moment passes
        assert mine.put(ask("d"), URL, by("B")) == moved
        assert mine.start_over() == {M}
        assert mine.put(ask("a"), URL, by("B")) is None


def test_a_move_is_heard_of_from_a_stored_answer_of_another_run(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache, Cache(tmp_path / "c.sqlite") as theirs:
        mine, other = (
            StoredAnswers(Recordings(None), cache),
            StoredAnswers(Recordings(None), theirs),
        )
        mine.put(ask("a"), URL, by("A"))
        mine.commit()
        other.put(ask("b"), URL, by("B"))
        other.commit()
        cache._served.clear()  # a moment passes
        assert mine.spoilt(ask("b"), URL) is None
        assert mine.get(ask("b"), URL) is not None
        assert mine.spoilt(ask("b"), URL) == Move(M, ("A",), ("B",), is_spoiling=True)
