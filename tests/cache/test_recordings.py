"""Recordings: one line an answer, packed, and never edited."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from calibrate.cache import Recorded, Recordings, write_recordings
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


def test_a_name_without_gz_is_plain_lines(tmp_path: Path) -> None:
    plain = tmp_path / "sort.jsonl"
    assert write_recordings(plain, [Recorded(*pair) for pair in ANSWERS]) == 3
    assert plain.read_bytes() == gzip.decompress(recorded(tmp_path).read_bytes())
    assert Recordings(plain).get(CHAT) == ANSWERS[0][1]


def test_the_names_that_a_model_was_recorded_under_are_known(tmp_path: Path) -> None:
    recordings = Recordings(recorded(tmp_path))
    assert recordings.served_names("openai", "small") == {"small-2026"}
    assert recordings.served_names("openai", "mini") == {"mini"}
    assert recordings.served_names("anthropic", "small") == set()
    assert Recordings(None).served_names("openai", "small") == set()
