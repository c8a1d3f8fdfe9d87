from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from calibrate import cache as cache_module
from calibrate.cache import Cache, Recorded, Recordings, write_recordings
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
from calibrate.errors import CacheError, OutputError

URL = "http://127.0.0.1:8081/v1"
CHAT = Request("openai", "small", messages=(ChatMessage("user", "Où ?"),))
EMBED = Request("openai", "mini", input="Where?")
FAILED = Request("openai", "small", messages=(ChatMessage("user", "Why?"),))
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
    (FAILED, Failure(FailureReason.TIMEOUT, "no answer within 10 s", 10.0)),
]


def answer(text: str) -> Completion:
    return Completion(text=text, usage=Usage(1, 1), served_model="m", latency_s=0.1)


def ask(text: str) -> Request:
    return Request("openai", "m", messages=(ChatMessage("user", text),))


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
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(CacheError) as caught:
        Cache(database(tmp_path))
    assert str(caught.value) == (
        f"{database(tmp_path)}: written by a newer calibrate (format 2); upgrade calibrate"
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
    monkeypatch.setattr(cache_module, "WAL_ATTEMPTS", attempts)
    monkeypatch.setattr(cache_module, "WAL_WAIT_S", 0)
    path = tmp_path / "cache.sqlite"
    other, mine = sqlite3.connect(path), sqlite3.connect(path, timeout=0)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        cache_module._use_wal(mine)
    other.rollback()
    cache_module._use_wal(mine)
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
        cache_module._use_wal(mine)
    mine.close()


WRITER = """
import sys
from pathlib import Path
from calibrate.cache import Cache
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


def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "recordings" / "sort.jsonl.gz"
    assert write_recordings(path, [Recorded(*pair) for pair in ANSWERS]) == 3
    return path


def edited(tmp_path: Path, old: bytes, new: bytes) -> Path:
    path = recorded(tmp_path)
    lines = gzip.decompress(path.read_bytes())
    assert lines.count(old) == 1
    path.write_bytes(gzip.compress(lines.replace(old, new)))
    return path


@pytest.mark.parametrize(("request_", "reply"), ANSWERS)
def test_every_kind_of_reply_is_recorded_and_read_back(
    tmp_path: Path, request_: Request, reply: Reply
) -> None:
    recordings = Recordings(recorded(tmp_path))
    assert len(recordings) == 3
    assert recordings.get(request_) == reply


def test_a_recording_is_sorted_lines_of_request_and_response(tmp_path: Path) -> None:
    lines = gzip.decompress(recorded(tmp_path).read_bytes()).decode().splitlines()
    assert lines == sorted(lines)
    assert lines[0] == (
        '{"v":1,"request":{"input":"Where?","kind":"openai","logprobs":false,"name":"mini",'
        '"parameters":{},"repeat":0},"response":{"embedding":"Zi4AwAAA","finish":"embedding",'
        '"logprobs":[],"usage":{"input_tokens":5,"output_tokens":0,"cached_input_tokens":0,'
        '"is_estimated":true},"served_model":"mini","latency_s":0.01,"status":200}}'
    )
    assert json.loads(lines[0])["v"] == 1


def test_the_bytes_of_a_recording_depend_on_the_answers_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    answers = [Recorded(*pair) for pair in ANSWERS]
    write_recordings(first, answers)
    write_recordings(second, [*reversed(answers), answers[0]])
    assert first.read_bytes() == second.read_bytes()
    # No file name (flag bit 3) and no time (bytes 4 to 7) in the header of RFC 1952.
    assert first.read_bytes()[3:8] == bytes(5)
    again = tmp_path / "c.jsonl.gz"
    write_recordings(again, Recordings(first).all())
    assert again.read_bytes() == first.read_bytes()


def test_a_line_is_found_by_the_digest_of_its_own_bytes(tmp_path: Path) -> None:
    line = Recorded(*ANSWERS[0]).to_line()
    request = line[len('{"v":1,"request":') : line.index(b',"response":')]
    assert hashlib.sha256(request).hexdigest() == CHAT.key


def test_a_project_without_recordings_has_none(tmp_path: Path) -> None:
    assert len(Recordings(None)) == 0
    assert len(Recordings(tmp_path / "none.jsonl.gz")) == 0
    assert Recordings(None).get(CHAT) is None


@pytest.mark.parametrize(
    "content",
    [b"not gzip", b"\x1f\x8b\x08\x00" + b"\xff" * 40, gzip.compress(b'{"v":1}\n' * 1000)[:-20]],
    ids=["not packed", "badly packed", "cut short"],
)
def test_a_recording_that_cannot_be_unpacked_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sort.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(CacheError) as caught:
        Recordings(path, "recordings/sort.jsonl.gz")
    assert str(caught.value).startswith(
        "recordings/sort.jsonl.gz: this recording cannot be unpacked: "
    )
    assert str(caught.value).endswith("; restore it from version control")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"v":1,"request":{"input"', b'{"request":{"input"'),
        (b'{"v":1,"request":{"input"', b'{"v": 1, "request":{"input"'),
        (b'{"v":1,"request":{"input"', b"[5"),
        (b'{"v":1,"request":{"input"', b""),
        (b'"repeat":0},"response":{"emb', b'"repeat":0,"response":{"emb'),
        (b'"repeat":0},"response":{"emb', b'"repeat":0},"reply":{"emb'),
        (b'{"input":"Where?"', b'{"input":"Where?\xff"'),
        (b'{"v":1,"request":{"input":"Wh', b"\n" + b'{"v":1,"request":{"input":"Wh'),
    ],
)
def test_a_line_that_no_run_wrote_is_an_error_with_its_place(
    tmp_path: Path, old: bytes, new: bytes
) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(CacheError) as caught:
        Recordings(path, "recordings/sort.jsonl.gz")
    assert str(caught.value).startswith("recordings/sort.jsonl.gz:1: not a recorded answer (")
    assert str(caught.value).endswith(
        "); restore the file from version control, recordings are never edited"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"embedding":"Zi4AwAAA"', b'"embedding":"Zi4A"'),
        (b'"embedding":"Zi4AwAAA"', b'"embedding":"???"'),
        (b'"embedding":"Zi4AwAAA"', b'"embedding":7'),
        (b'"latency_s":0.01', b'"latency_s":"fast"'),
        (b'"is_estimated":true', b'"dollars":1'),
        (b'"finish":"embedding",', b""),
        (b'"served_model":"mini",', b'"served_model":"mini"'),
    ],
)
def test_a_response_that_no_run_wrote_is_an_error_when_it_is_needed(
    tmp_path: Path, old: bytes, new: bytes
) -> None:
    recordings = Recordings(edited(tmp_path, old, new), "recordings/sort.jsonl.gz")
    with pytest.raises(CacheError, match=r"recordings/sort\.jsonl\.gz:1: not a recorded answer"):
        recordings.get(EMBED)
    with pytest.raises(CacheError, match=r"recordings/sort\.jsonl\.gz:1: not a recorded answer"):
        list(recordings.all())


def test_a_recording_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = edited(tmp_path, b'{"v":1,"request":{"input"', b'{"v":2,"asked":{"input"')
    with pytest.raises(CacheError) as caught:
        Recordings(path, "recordings/sort.jsonl.gz")
    assert str(caught.value) == (
        "recordings/sort.jsonl.gz:1: recorded by a newer calibrate; upgrade calibrate"
    )


def test_recordings_that_cannot_be_written_leave_the_old_ones(tmp_path: Path) -> None:
    folder = tmp_path / "sort.jsonl.gz"
    folder.mkdir()
    with pytest.raises(OutputError, match=r"sort\.jsonl\.gz: cannot be written"):
        write_recordings(folder, [Recorded(*ANSWERS[0])])
    assert list(tmp_path.iterdir()) == [folder]
