"""The live cache: nothing that arrived is lost, and nothing damaged reads as a miss."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from calibrate.cache import Cache, ModelId
from calibrate.cache import database as database_module
from calibrate.cache import live as live_module
from calibrate.completion import (
    ChatMessage,
    Completion,
    Failure,
    FailureReason,
    Reply,
    Request,
    TokenLogprob,
    Usage,
    as_float16,
)
from calibrate.errors import CacheError

URL = "http://127.0.0.1:8081/v1"
CHAT = Request("openai", "small", messages=(ChatMessage("user", "Où ?"),))
EMBED = Request("openai", "mini", input="Where?")
FAILED = Request("openai", "small", messages=(ChatMessage("user", "Why?"),))
FAILURE = Failure(FailureReason.TIMEOUT, "no answer within 10 s", 10.0)
ANSWERS: list[tuple[Request, Reply]] = [
    (
        CHAT,
        Completion(
            text="shipping — \N{GRINNING FACE}",
            logprobs=(TokenLogprob("ship", -0.25, (("bill", -2.5),)),),
            usage=Usage(12, 3, 8),
            served_model="small-2026",
            latency_s=0.5,
        ),
    ),
    (
        EMBED,
        Completion(
            embedding=as_float16([0.1, -2.0, 0.0]),
            finish="embedding",
            usage=Usage(5, 0, is_estimated=True),
            served_model="mini",
            latency_s=0.01,
        ),
    ),
    (FAILED, FAILURE),
]


def answer(text: str) -> Completion:
    return Completion(text=text, usage=Usage(1, 1), served_model="m", latency_s=0.1)


def ask(text: str) -> Request:
    return Request("openai", "m", messages=(ChatMessage("user", text),))


def served_as(name: str, text: str = "x") -> Completion:
    return Completion(text=text, usage=Usage(1, 1), served_model=name, latency_s=0.1)


def database(tmp_path: Path) -> Path:
    return tmp_path / ".calibrate" / "cache.sqlite"


@pytest.mark.parametrize(("request_", "reply"), ANSWERS)
def test_every_kind_of_reply_is_cached_and_read_back(
    tmp_path: Path, request_: Request, reply: Reply
) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(request_, URL, reply)
        assert cache.get(request_, URL) == reply
    with Cache(database(tmp_path)) as cache:
        assert cache.get(request_, URL) == reply


def test_another_server_has_other_answers(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(CHAT, URL, answer("a"))
        assert cache.get(CHAT, "http://127.0.0.1:8082/v1") is None


def test_a_later_answer_replaces_the_earlier(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(CHAT, URL, answer("a"))
        cache.put(CHAT, URL, answer("b"))
        assert cache.get(CHAT, URL) == answer("b")


def test_a_cache_that_is_only_read_makes_no_file(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        assert cache.get(CHAT, URL) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"this is no database" * 1000, b"SQLite format 3\x00" + b"\xff" * 8000]
)
def test_a_corrupt_file_is_an_error_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    database(tmp_path).parent.mkdir()
    database(tmp_path).write_bytes(content)
    with pytest.raises(CacheError) as caught:
        Cache(database(tmp_path))
    assert str(caught.value).startswith(f"{database(tmp_path)}: the answer cache cannot be used: ")
    assert str(caught.value).endswith(
        "; if it is corrupt, move it away (its answers are then asked, and paid for, again)"
    )
    assert database(tmp_path).read_bytes() == content


def test_a_damaged_page_is_an_error_not_a_miss(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        for number in range(500):
            cache.put(ask(str(number)), URL, answer("x" * 100))
    content = database(tmp_path).read_bytes()
    damaged = content[:4096] + b"\x99" * (len(content) - 4096)
    database(tmp_path).write_bytes(damaged)
    with (
        Cache(database(tmp_path)) as cache,
        pytest.raises(CacheError, match="the answer cache cannot be used"),
    ):
        cache.get(ask("7"), URL)


@pytest.mark.parametrize("reply", ["not JSON", "[]", "{}", '{"text": 5}'])
def test_a_damaged_answer_is_an_error_not_a_miss(tmp_path: Path, reply: str) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(CHAT, URL, answer("a"))
    connection = sqlite3.connect(database(tmp_path))
    with connection:
        connection.execute("UPDATE answers SET reply = ?", (reply,))
    connection.close()
    with (
        Cache(database(tmp_path)) as cache,
        pytest.raises(CacheError, match="the answer cache cannot be used"),
    ):
        cache.get(CHAT, URL)


def test_a_cache_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(CHAT, URL, answer("a"))
    connection = sqlite3.connect(database(tmp_path))
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(CacheError) as caught:
        Cache(database(tmp_path))
    assert str(caught.value) == (
        f"{database(tmp_path)}: written by a newer calibrate (format 3); upgrade calibrate"
    )


def test_a_cache_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".calibrate").write_text("a file where the folder should be")
    with (
        Cache(database(tmp_path)) as cache,
        pytest.raises(CacheError, match="the answer cache cannot be used"),
    ):
        cache.put(CHAT, URL, answer("a"))


def test_a_cache_whose_place_is_a_folder_is_an_error(tmp_path: Path) -> None:
    database(tmp_path).mkdir(parents=True)
    with pytest.raises(CacheError, match="unable to open database file"):
        Cache(database(tmp_path))


def test_an_answer_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(CHAT, URL, answer("a"))
        other = sqlite3.connect(database(tmp_path))
        other.execute("DROP TABLE answers")
        other.close()
        with pytest.raises(CacheError, match="no such table: answers"):
            cache.put(CHAT, URL, answer("b"))


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_file_that_another_run_holds_for_good_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    monkeypatch.setattr(database_module, "WAL_ATTEMPTS", attempts)
    monkeypatch.setattr(database_module, "WAL_WAIT_S", 0)
    path = tmp_path / "cache.sqlite"
    other, mine = sqlite3.connect(path), sqlite3.connect(path, timeout=0)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        database_module.use_wal(mine)
    other.rollback()
    database_module.use_wal(mine)
    assert mine.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    mine.close()


def test_a_file_that_may_not_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    mine = sqlite3.connect(path)
    mine.execute("CREATE TABLE other (a)")
    mine.close()
    mine = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database_module.use_wal(mine)
    mine.close()


def texts(cache: Cache, *names: str) -> list[str | None]:
    """Return what is stored of some questions; `failed` for a failure."""
    replies = [cache.get(ask(name), URL) for name in names]
    return [
        reply.text if isinstance(reply, Completion) else reply and "failed" for reply in replies
    ]


M = ModelId(URL, "openai", "m")


def test_another_served_name_takes_the_place_of_the_one_that_counted(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        assert cache.served_names(M) == set()
        cache.put(ask("a"), URL, served_as("m-2025", "old"))
        cache.put(ask("b"), URL, served_as("m-2025", "old"))
        assert (cache.served_names(M), texts(cache, "a", "b")) == ({"m-2025"}, ["old", "old"])
        cache.put(ask("b"), URL, served_as("m-2026", "new"))
        assert (cache.served_names(M), texts(cache, "a", "b")) == ({"m-2026"}, [None, "new"])
    with Cache(database(tmp_path)) as cache:
        assert (cache.served_names(M), texts(cache, "a", "b")) == ({"m-2026"}, [None, "new"])
        cache.put(ask("c"), URL, served_as("m-2025", "back"))
        assert texts(cache, "a", "b", "c") == ["old", None, "back"]


def test_a_name_moves_one_model_at_one_address_only(tmp_path: Path) -> None:
    other, url = Request("anthropic", "m", messages=ask("a").messages), "http://127.0.0.1:2/v1"
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("a"), URL, served_as("A"))
        cache.put(ask("a"), url, served_as("A"))
        cache.put(other, URL, served_as("A"))
        cache.put(ask("b"), URL, served_as("B"))
        assert cache.get(ask("a"), URL) is None
        assert cache.get(ask("a"), url) == cache.get(other, URL) == served_as("A")


def test_a_name_that_is_said_not_to_count_is_kept_and_not_given(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("a"), URL, served_as("A"))
        cache.put(ask("b"), URL, served_as("B"), name_counts=False)
        assert texts(cache, "a", "b") == ["x", None]
        cache.count_names(M, {"A", "B"})
        assert texts(cache, "a", "b") == ["x", "x"]
        cache.count_names(M, {"B"})
        assert texts(cache, "a", "b") == [None, "x"]


def test_a_failure_counts_as_long_as_the_name_that_counted_when_it_came(tmp_path: Path) -> None:
    failure = Failure(FailureReason.REJECTED, "no")
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("before"), URL, failure)
        assert (texts(cache, "before"), cache.served_names(M)) == (["failed"], set())
        cache.put(ask("a"), URL, served_as("A"))
        cache.put(ask("after"), URL, failure)
        assert texts(cache, "before", "a", "after") == ["failed", "x", "failed"]
        cache.count_names(M, {"A", "B"})
        assert texts(cache, "before", "a", "after") == ["failed", "x", "failed"]
        cache.put(ask("c"), URL, served_as("C"))
        assert texts(cache, "before", "a", "after", "c") == [None, None, None, "x"]


def test_a_move_that_another_run_saw_holds_for_both(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as mine:
        mine.put(ask("a"), URL, served_as("A"))
        with Cache(database(tmp_path)) as other:
            assert texts(other, "a") == ["x"]
            other.put(ask("b"), URL, served_as("B"))
        assert (texts(mine, "a", "b"), mine.served_names(M)) == ([None, "x"], {"B"})


FIRST_VERSION = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    base_url TEXT NOT NULL,
    request TEXT NOT NULL,
    reply TEXT NOT NULL,
    asked_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
) WITHOUT ROWID
"""
FIRST_VERSION_REPLY = (
    '{"text":"%s","finish":"stop","logprobs":[],"usage":{"input_tokens":1,"output_tokens":1,'
    '"cached_input_tokens":0},"served_model":"%s","latency_s":0.1,"status":200}'
)
FIRST_VERSION_FAILURE = '{"error":{"reason":"rejected","message":"no"},"latency_s":0,"status":400}'


def first_version(path: Path, rows: list[tuple[str, str, str]]) -> None:
    """Write a cache as the first version did: question, reply and minute of each row."""
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(FIRST_VERSION)
    for text, reply, minute in rows:
        request = (
            f'{{"kind":"openai","logprobs":false,"messages":[{{"content":"{text}","role":"user"}}],'
            '"name":"m","parameters":{},"repeat":0}'
        )
        inner = hashlib.sha256(request.encode()).hexdigest()
        key = hashlib.sha256(f"{URL}\n{inner}".encode()).hexdigest()
        asked_at = f"2026-01-01T00:{minute}:00Z"
        connection.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?)", (key, URL, request, reply, asked_at)
        )
    connection.execute("PRAGMA user_version = 1")
    connection.close()


def test_a_cache_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    rows = [
        ("a", FIRST_VERSION_REPLY % ("old", "m-2025"), "30"),
        ("b", FIRST_VERSION_REPLY % ("new", "m-2026"), "45"),
        ("early", FIRST_VERSION_FAILURE, "31"),
        ("late", FIRST_VERSION_FAILURE, "59"),
    ]
    first_version(database(tmp_path), rows)
    for _ in range(2):
        with Cache(database(tmp_path)) as cache:
            assert texts(cache, "a", "b", "early", "late") == [None, "new", None, "failed"]
            assert cache.served_names(M) == {"m-2026"}
    connection = sqlite3.connect(database(tmp_path))
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    asked_at = [row[0] for row in connection.execute("SELECT asked_at FROM answers ORDER BY id")]
    connection.close()
    assert asked_at == [f"2026-01-01T00:{minute}:00Z" for minute in (30, 31, 45, 59)]


def test_failures_before_any_answer_are_taken_over(tmp_path: Path) -> None:
    first_version(database(tmp_path), [("a", FIRST_VERSION_FAILURE, "30")])
    with Cache(database(tmp_path)) as cache:
        assert texts(cache, "a") == ["failed"]
        cache.put(ask("b"), URL, served_as("A"))
        assert texts(cache, "a", "b") == ["failed", "x"]


@pytest.mark.parametrize("reply", ["not JSON", "[]", '{"served_model": 5}'])
def test_what_was_damaged_in_the_first_version_stays_an_error(tmp_path: Path, reply: str) -> None:
    first_version(
        database(tmp_path), [("a", reply, "30"), ("b", FIRST_VERSION_REPLY % ("x", "A"), "31")]
    )
    with Cache(database(tmp_path)) as cache:
        assert texts(cache, "b") == ["x"]
        with pytest.raises(CacheError, match="the answer cache cannot be used"):
            cache.get(ask("a"), URL)


def test_a_first_version_that_cannot_be_taken_over_is_left_as_it_is(tmp_path: Path) -> None:
    first_version(database(tmp_path), [("a", FIRST_VERSION_REPLY % ("x", "A"), "30")])
    connection = sqlite3.connect(database(tmp_path))
    with connection:
        connection.execute("UPDATE answers SET request = 'not JSON'")
    with pytest.raises(CacheError, match="the answer cache cannot be used"):
        Cache(database(tmp_path))
    assert connection.execute("SELECT request FROM answers").fetchall() == [("not JSON",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_a_clock_that_steps_back_changes_no_answer_and_no_order(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("a"), URL, served_as("A"))
        connection = sqlite3.connect(database(tmp_path))
        with connection:
            connection.execute("UPDATE answers SET asked_at = '2999-01-01T00:00:00Z'")
        connection.close()
        cache.put(ask("b"), URL, served_as("B"))
        assert texts(cache, "a", "b") == [None, "x"]


def test_a_cache_that_another_program_holds_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_S", 0.0)
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("a"), URL, answer("kept"))
        other = sqlite3.connect(database(tmp_path), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for write in (
            lambda: cache.put(ask("b"), URL, answer("lost")),
            lambda: cache.put(ask("b"), URL, served_as("other")),
            lambda: cache.count_names(M, {"other"}),
        ):
            with pytest.raises(CacheError) as caught:
                write()
            assert str(caught.value) == (
                f"{database(tmp_path)}: the answer cache cannot be used: database is locked; "
                "another program has held it for 30 s; end that and run again"
            )
        assert texts(cache, "a", "b") == ["kept", "x"]  # it has arrived: it is not asked again
        with Cache(database(tmp_path)) as another:
            assert texts(another, "a", "b") == ["kept", None]
        other.rollback()
        cache.put(ask("b"), URL, answer("kept"))
        assert texts(cache, "a", "b") == ["kept", "kept"]
        other.close()


def test_what_was_added_is_given_before_it_is_written(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache, Cache(database(tmp_path)) as another:
        cache.add(ask("a"), URL, answer("a"))
        cache.add(ask("failed"), URL, FAILURE, name_counts=False)
        cache.add(ask("late"), URL, served_as("old"), name_counts=False)
        assert texts(cache, "a", "failed", "late") == ["a", "failed", None]
        assert texts(another, "a", "failed", "late") == [None, None, None]
        cache.commit()
        assert texts(cache, "a", "failed", "late") == ["a", "failed", None]
        assert texts(another, "a", "failed", "late") == ["a", "failed", None]


def test_a_look_ahead_gives_what_single_looks_would(tmp_path: Path) -> None:
    asked = [ask(name) for name in "abc"]
    with Cache(database(tmp_path)) as cache:
        cache.look_ahead(asked, URL)  # of a file that is not there
        assert texts(cache, "a") == [None]
        cache.put(ask("a"), URL, answer("a"))
        cache.put(ask("b"), URL, served_as("other"), name_counts=False)
        cache.look_ahead(asked, URL)
        assert texts(cache, "a", "b", "c") == ["a", None, None]
        assert texts(cache, "a", "b", "c") == ["a", None, None]


def test_a_look_ahead_misses_no_answer_that_arrives_after_it(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("a"), URL, answer("old"))
        cache.look_ahead([ask("a"), ask("b")], URL)
        cache.put(ask("a"), URL, answer("new"))
        cache.put(ask("b"), URL, answer("new"))
        assert texts(cache, "a", "b") == ["new", "new"]


def test_what_was_added_before_a_look_ahead_is_not_taken_to_be_missing(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.add(ask("a"), URL, answer("a"))
        cache.look_ahead([ask("a"), ask("b")], URL)
        cache.commit()
        assert texts(cache, "a", "b") == ["a", None]


def test_each_server_has_a_look_ahead_of_its_own(tmp_path: Path) -> None:
    other = "http://127.0.0.1:2/v1"
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("a"), URL, answer("a"))
        cache.look_ahead([ask("a")], URL)
        cache.look_ahead([ask("a")], other)
        assert (texts(cache, "a"), cache.get(ask("a"), other)) == (["a"], None)


def test_a_look_ahead_gives_nothing_of_a_model_that_moved_after_it(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("a"), URL, served_as("old"))
        cache.look_ahead([ask("a")], URL)
        cache.count_names(M, {"new"})
        assert texts(cache, "a") == [None]


def test_what_another_run_keeps_is_seen_a_moment_after_a_look_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "_FRESH_S", 0.0)
    with Cache(database(tmp_path)) as cache, Cache(database(tmp_path)) as another:
        cache.look_ahead([ask("a")], URL)
        another.put(ask("a"), URL, answer("theirs"))
        assert texts(cache, "a") == ["theirs"]


def test_names_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with Cache(database(tmp_path)) as cache:
        cache.put(ask("a"), URL, answer("a"))
        other = sqlite3.connect(database(tmp_path))
        other.execute("DROP TABLE served")
        other.close()
        with pytest.raises(CacheError, match="no such table: served"):
            cache.served_names(M)


FILLER = """
import resource, sys
from pathlib import Path
from calibrate.cache import Cache
from calibrate.completion import ChatMessage, Completion, Request, Usage
from calibrate.errors import CacheError

resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
with Cache(Path(sys.argv[1])) as cache:
    for number in range(10_000):
        request = Request("openai", "a", messages=(ChatMessage("user", str(number)),))
        reply = Completion(text="x" * 500, usage=Usage(1, 1), served_model="a", latency_s=0.1)
        try:
            cache.put(request, "http://127.0.0.1/v1", reply)
        except CacheError as error:
            print(number, error)
            break
"""


def test_where_the_disk_is_full_everything_before_is_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(database(tmp_path))],
        capture_output=True,
        text=True,
        check=True,
    )
    count, _, message = done.stdout.partition(" ")
    assert (int(count) > 20, done.stderr) == (True, "")
    assert message == (
        f"{database(tmp_path)}: the answer cache cannot be used: disk I/O error; "
        "mend the disk (is it full?) and run again; every answer before is kept\n"
    )
    assert kept(database(tmp_path), "a", 10_000) == int(count)


WRITER = """
import sys
from pathlib import Path
from calibrate.cache import Cache, ModelId
from calibrate.completion import ChatMessage, Completion, Request, Usage

path, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
with Cache(path) as cache:
    for number in range(int(sys.argv[3])):
        request = Request("openai", name, messages=(ChatMessage("user", str(number)),))
        reply = Completion(text="x", usage=Usage(1, 1), served_model=name, latency_s=0.1)
        cache.put(request, "http://127.0.0.1/v1", reply)
        print(number, flush=True)
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def kept(path: Path, name: str, count: int) -> int:
    requests = (
        Request("openai", name, messages=(ChatMessage("user", str(n)),)) for n in range(count)
    )
    with Cache(path) as cache:
        return sum(cache.get(request, "http://127.0.0.1/v1") is not None for request in requests)


def test_four_processes_that_make_and_write_one_cache_at_once_lose_nothing(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    writers = [writer(database(tmp_path), name, 60) for name in names]
    for process in writers:
        start(process)
    assert [process.communicate()[1] for process in writers] == ["", "", "", ""]
    assert [kept(database(tmp_path), name, 60) for name in names] == [60, 60, 60, 60]


@pytest.mark.parametrize("count", [1, 17, 150])
def test_a_killed_process_loses_nothing_that_was_kept(tmp_path: Path, count: int) -> None:
    process = writer(database(tmp_path), "a", 100_000)
    start(process)
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(count)]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert seen[-1] == f"{count - 1}\n"
    assert kept(database(tmp_path), "a", count) == count
