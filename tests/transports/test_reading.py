"""Answers as bytes, whole and in pieces, and what is made of them."""

from __future__ import annotations

import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sending import failure

from calibrate.completion import Failure, FailureReason
from calibrate.transports import Sent
from calibrate.transports.reading import MAX_HEAD_BYTES, Reading

MOST = 1_000
LENGTH = b"content-length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
END = None  # the server closes the connection


def read(*parts: bytes | None) -> tuple[Sent | Failure | None, bool]:
    """Return what is read of an answer in parts, and whether its connection can be used again."""
    reading = Reading()
    reading.expect(MOST)
    for part in parts:
        if part is END:
            reading.end(None)
        else:
            reading.feed(part)
        if isinstance(reading.outcome, Failure):
            break
    return reading.outcome, reading.is_reusable


def bad(*parts: bytes | None) -> str:
    outcome, is_reusable = read(*parts)
    assert not is_reusable
    assert outcome is not None
    return failure(outcome, FailureReason.BAD_RESPONSE)


# Answers


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD + LENGTH],
        [b"HTTP/1.1 200\r\n" + LENGTH],
        [b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n" + LENGTH],
        [HEAD + b"connection: Upgrade\r\nupgrade: h2c\r\n" + LENGTH],
        [CHUNKED + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n"],
        [CHUNKED + b"2\r\n{}\r\n0\r\nx-sum: 1\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + LENGTH],
        [b"HTTP/1.1 103 Early Hints\r\ncontent-encoding: br\r\n\r\n", HEAD + LENGTH],
        [HEAD + b"content-encoding: identity\r\n" + LENGTH],
    ],
)
def test_an_answer_ends_where_its_head_says(parts: list[bytes]) -> None:
    assert read(*parts) == (Sent(200, b"{}"), True)


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.0 200 OK\r\n" + LENGTH],
        [HEAD + b"connection: close\r\n" + LENGTH],
        [HEAD + b"\r\n{}", END],
        [HEAD + b"\r\n{", b"}", END],
        [b"HTTP/1.0 200 OK\r\n\r\n{}", END],
    ],
)
def test_an_answer_may_be_the_last_of_its_connection(parts: list[bytes | None]) -> None:
    assert read(*parts) == (Sent(200, b"{}"), False)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_can_have_no_body_has_none(status: int) -> None:
    head = f"HTTP/1.1 {status} So\r\ncontent-length: 9\r\n\r\n"
    assert read(head.encode()) == (Sent(status, b""), True)


def test_trailers_and_the_heads_before_are_not_the_answers_headers() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nretry-after: 1\r\n\r\n"
    outcome, _ = read(early + CHUNKED + b"2\r\n{}\r\n0\r\nretry-after: 2\r\n\r\n")
    assert isinstance(outcome, Sent)
    assert dict(outcome.headers) == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize("headers", [b"", b"transfer-encoding: chunked\r\n"])
def test_a_packed_answer_of_no_bytes_is_empty(headers: bytes) -> None:
    rest = b"0\r\n\r\n" if headers else b""
    headers = headers or b"content-length: 0\r\n"
    packed = HEAD + b"content-encoding: gzip\r\n" + headers + b"\r\n" + rest
    assert read(packed) == (Sent(200, b""), True)


@pytest.mark.parametrize(
    ("said", "kept_s"),
    [("", None), ("timeout=5", 5.0), ("max=9, Timeout=60", 60.0), ("timeout=soon", None)],
)
def test_a_server_says_how_long_it_keeps_a_connection(said: str, kept_s: float | None) -> None:
    reading = Reading()
    reading.expect(MOST)
    reading.feed(HEAD + f"keep-alive: {said}\r\n".encode() + LENGTH)
    assert reading.kept_s == kept_s


def test_one_reading_reads_answer_after_answer() -> None:
    reading = Reading()
    for body in (b"first", b"", b"third"):
        reading.expect(MOST)
        reading.feed(HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        assert reading.outcome == Sent(200, body)
        reading.begin()


# More than the answer


@pytest.mark.parametrize(
    "more",
    [HEAD + b"x: y\r\n" + LENGTH, HEAD, b"nonsense", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["an answer", "its begin", "nonsense", "an early head"],
)
def test_what_comes_with_an_answer_and_after_it_ends_its_connection(more: bytes) -> None:
    outcome, is_reusable = read(HEAD + LENGTH + more)
    assert isinstance(outcome, Sent)
    assert (outcome.body, dict(outcome.headers)) == (b"{}", {"content-length": "2"})
    assert not is_reusable


# What is no answer


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"HTTP/1.1 101 So\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 101 So\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n\0", "another protocol"),
        (HEAD + b"content-length: 2\r\n" + LENGTH, "Content-Length"),
        (HEAD + b"transfer-encoding: chunked\r\n" + LENGTH, "Content-Length"),
        (HEAD + b"content-length: 99999999999999999999\r\n\r\n", "Content-Length"),
        (HEAD + b"x: a\r\n b\r\n" + LENGTH, "whitespace"),
        (HEAD + b"content-encoding: br\r\n" + LENGTH, "packed as 'br'"),
        (HEAD + b"content-encoding: gzip, gzip\r\n" + LENGTH, "packed as 'gzip, gzip'"),
        (HEAD + 2 * b"content-encoding: gzip\r\n" + LENGTH, "packed as 'gzip, gzip'"),
        (HEAD + b"content-encoding: gzip\r\n" + LENGTH, "incorrect header check"),
    ],
)
def test_what_breaks_the_protocol_is_no_answer(data: bytes, why: str) -> None:
    assert why.lower() in bad(data).lower()


@pytest.mark.parametrize(
    "parts",
    [
        [END],
        [HEAD, END],
        [b"HTTP/1.1 100 Continue\r\n\r\n", END],
        [HEAD + b"content-length: 3\r\n\r\n{}", END],
        [CHUNKED + b"2\r\n{}\r\n", END],
        [HEAD + b"transfer-encoding: gzip\r\n\r\n{}", END],
    ],
)
def test_an_answer_that_is_cut_short_is_none(parts: list[bytes | None]) -> None:
    assert bad(*parts).endswith("closed before the whole answer")


@pytest.mark.parametrize("ending", [b"content-length: 9\r\n", b""], ids=["a length", "its end"])
def test_a_packed_answer_that_is_cut_short_is_none(ending: bytes) -> None:
    packed = HEAD + b"content-encoding: gzip\r\n" + ending + b"\r\n" + gzip.compress(b"{}")[:9]
    assert bad(packed, *([] if ending else [END])).endswith("a packed body that is cut short")


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (HEAD, b"x: 12345\r\n"),
        (HEAD + b"x: ", b"y" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"\r\n"),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"x: 12345\r\n"),
        (CHUNKED + b"2\r\n{}\r\n0\r\nx: ", b"y" * 100),
        (CHUNKED + b"2;x=", b"y" * 100),
    ],
    ids=["head", "header", "early heads", "blank lines", "trailers", "trailer", "extension"],
)
def test_what_is_neither_answer_nor_end_is_given_up(start: bytes, again: bytes) -> None:
    times = MAX_HEAD_BYTES // len(again) + 1
    assert bad(start, *(times * [again])).endswith("a head of over 65,536 bytes")


def test_a_body_is_given_up_as_soon_as_it_is_too_large() -> None:
    head = HEAD + b"content-length: 5000\r\n\r\n"
    assert read(head, MOST * b" ")[0] is None
    assert bad(head, MOST * b" ", b" ") == "over 1,000 bytes"
    assert bad(CHUNKED + b"3e9\r\n" + 1_001 * b" ") == "over 1,000 bytes"


# Whatever comes


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool]:
    """Draw an answer, and whether the connection's end is its end."""
    early = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    status = draw(st.sampled_from([200, 201, 204, 301, 400, 429, 500, 503]))
    version = draw(st.sampled_from(["1.0", "1.1"]))
    lines = [f"HTTP/{version} {status} So"]
    lines += draw(
        st.lists(st.sampled_from(["retry-after: 1", "x-a:", "Date: now", "connection: close"]))
    )
    body = draw(st.binary(max_size=200))
    if draw(st.booleans()):
        body = gzip.compress(body, mtime=0)
        lines.append("Content-Encoding: GZIP")
    framing = draw(st.sampled_from(["length", "chunks", "end"]))
    if status == 204:
        body, framing = b"", "length"
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunks":
        lines.append("Transfer-Encoding: chunked")
        size = draw(st.integers(1, 50))
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n"
        body += draw(st.sampled_from([b"\r\n", b"x-sum: 1\r\n\r\n"]))
    return early + "\r\n".join([*lines, "\r\n"]).encode() + body, framing == "end"


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(min(edge, len(data)) for edge in at)})
    return [data[start:end] for start, end in pairwise(edges)]


@given(answers(), st.lists(st.integers(0, 600), max_size=8))
def test_an_answer_is_the_same_however_it_arrives(
    answer: tuple[bytes, bool], at: list[int]
) -> None:
    data, is_ended = answer
    ends = [END] if is_ended else []
    at_once = read(data, *ends)
    assert isinstance(at_once[0], Sent)
    assert read(*(data[i : i + 1] for i in range(len(data))), *ends) == at_once
    assert read(*cut(data, at), *ends) == at_once


@given(answers(), st.data())
def test_an_answer_with_a_fault_in_it_is_an_answer_or_a_failure(
    answer: tuple[bytes, bool], drawn: st.DataObject
) -> None:
    data = bytearray(answer[0])
    for _ in range(drawn.draw(st.integers(1, 4))):
        start = drawn.draw(st.integers(0, len(data)))
        end = drawn.draw(st.integers(start, min(start + 9, len(data))))
        data[start:end] = drawn.draw(st.binary(max_size=9))
    at = drawn.draw(st.lists(st.integers(0, 600), max_size=4))
    outcome, _ = read(*cut(bytes(data), at), END)
    assert isinstance(outcome, Sent | Failure)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_whatever_comes_is_an_answer_or_a_failure(parts: list[bytes]) -> None:
    outcome, _ = read(*parts, END)
    assert isinstance(outcome, Sent | Failure)
