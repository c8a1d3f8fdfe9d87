"""The journal of what is out: whole steps, two runs at once, and a file that is broken."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from calibrate.batches import Batch, Journal
from calibrate.completion import ChatMessage, Request
from calibrate.errors import CacheError
from calibrate.pricing import TokenPrice

PRICE = TokenPrice(Decimal(1), Decimal(2))


def batch(tag: str, requests: int = 2) -> Batch:
    return Batch(tag, "e", "http://a/v1", "openai", "gpt", PRICE, requests, 5.0, 6.0)


def request(text: str) -> Request:
    return Request("openai", "gpt", (ChatMessage("user", text),))


def attempts(journal: Journal, of: Batch) -> dict[int, tuple[Request, int]]:
    return {number: (item.request, item.attempts) for number, item in journal.items(of).items()}


def test_nothing_is_written_before_there_is_something_to_write(tmp_path: Path) -> None:
    with Journal(tmp_path / "folder" / "j.sqlite") as journal:
        assert (journal.batches(), journal.holding("http://a/v1")) == ([], {})
    assert list(tmp_path.iterdir()) == []


def test_what_is_claimed_is_there_in_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "j.sqlite"
    first, second = request("a"), request("b")
    with Journal(path) as journal:
        assert journal.claim(batch("t"), [first, second])
        journal.confirm(batch("t"), "batch_1", is_guess=True)
    with Journal(path) as journal:
        (found,) = journal.batches()
        assert (found.remote, found.is_guess, found.price) == ("batch_1", True, PRICE)
        assert attempts(journal, found) == {0: (first, 1), 1: (second, 1)}
        assert journal.holding("http://a/v1") == {first.key: "t", second.key: "t"}
        assert journal.holding("http://b/v1") == {}


def test_a_request_that_is_out_is_claimed_by_no_other_run(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with Journal(path) as one, Journal(path) as two:
        assert one.claim(batch("t"), [request("a"), request("b")])
        assert not two.claim(batch("u"), [request("c"), request("b")])
        assert [found.tag for found in two.batches()] == ["t"]
        assert request("c").key not in two.holding("http://a/v1")


def test_what_was_not_answered_counts_as_an_attempt_and_the_rest_is_forgotten(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.claim(batch("t"), [request("a"), request("b")])
        journal.close(batch("t"), [1])
        assert (journal.batches(), journal.holding("http://a/v1")) == ([], {})
        journal.claim(batch("u"), [request("a"), request("b")])
        assert attempts(journal, batch("u")) == {0: (request("a"), 1), 1: (request("b"), 2)}


def test_what_was_never_asked_is_no_attempt(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.claim(batch("t"), [request("a")])
        journal.close(batch("t"), [0])
        journal.claim(batch("u"), [request("a"), request("b")])
        journal.drop(batch("u"))
        assert journal.batches() == []
        journal.claim(batch("v"), [request("a"), request("b")])
        assert attempts(journal, batch("v")) == {0: (request("a"), 2), 1: (request("b"), 1)}


def test_a_guess_takes_no_known_names_place_but_the_other_way_round(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.claim(batch("t"), [request("a")])
        for name, is_guess, known in (("g", True, "g"), ("k", False, "k"), ("h", True, "k")):
            journal.confirm(batch("t"), name, is_guess=is_guess)
            assert [found.remote for found in journal.batches()] == [known]


def test_what_is_sent_again_settles_later_unless_it_was_struck_out(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.claim(batch("t"), [request("a")])
        assert journal.renew(batch("t"), 90.0)
        (found,) = journal.batches()
        assert (found.intended_at, found.settles_at) == (5.0, 90.0)
        journal.drop(found)
        assert not journal.renew(found, 99.0)


def test_what_is_ruled_out_is_remembered(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.claim(batch("t"), [request("a")])
        journal.confirm(batch("t"), "not-ours", is_guess=True)
        (found,) = journal.batches()
        journal.rule_out(found, "not-ours")
        (found,) = journal.batches()
        assert (found.remote, found.ruled_out) == (None, {"not-ours"})


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
def test_a_file_that_cannot_be_used_is_an_error_that_says_what_to_do(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "j.sqlite"
    path.mkdir() if content is None else path.write_bytes(content)
    with Journal(path) as journal, pytest.raises(CacheError, match="mend the disk, or move"):
        journal.batches()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 2")
    database.close()
    with Journal(path) as journal, pytest.raises(CacheError, match="upgrade calibrate"):
        journal.claim(batch("t"), [request("a")])
