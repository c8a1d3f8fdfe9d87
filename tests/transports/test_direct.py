"""The direct transport over real connections: which are used again, and which are given up."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import refused_port
from raw_server import OK, Peer, RawServer, answering, full, whole
from sending import failure, send, send_all

from calibrate.completion import Failure, FailureReason
from calibrate.providers.base import Call
from calibrate.transports import Sent
from calibrate.transports.connection import Connection
from calibrate.transports.direct import DirectTransport

LARGE = bytes(16 << 20)
ANSWER = Sent(200, b"{}")
LONG_S = 20.0


def asks(url: str, body: bytes = b"{}") -> Call:
    return Call(url, {"x-api-key": "sk-canary"}, body)


def run(
    job: Callable[[DirectTransport], Awaitable[Any]],
    connections: int = 4,
    *,
    is_closed: bool = True,
) -> Any:
    """Run a job with a transport; nothing may be left to the event loop's handler of errors."""

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        transport = DirectTransport(connections)
        try:
            return await job(transport)
        finally:
            await transport.close()

    complaints: list[dict[str, Any]] = []
    result = asyncio.run(watched())
    assert complaints == []
    return result


async def until(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110 - it becomes so in the server's thread
        await asyncio.sleep(0.001)


def closing(peer: Peer) -> None:
    """Answer once and close the connection, without having said so."""
    peer.hear()
    peer.say(OK)


def silent(peer: Peer) -> None:
    peer.hear()
    peer.wait_until_closed()


# Used again, or not


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"{}", "connection: close"),
        OK.replace(b"1.1", b"1.0"),
        whole(b"{}", "keep-alive: timeout=0"),
        OK + OK,
        OK + b"nonsense",
    ],
    ids=["said so", "HTTP/1.0", "not kept", "two answers", "answer and more"],
)
def test_a_connection_that_may_not_be_kept_is_not_used_again(answer: bytes) -> None:
    with RawServer(answering(answer)) as server:
        assert send_all(*3 * [asks(server.url)]) == 3 * [ANSWER]
    assert (server.connections, len(server.heard)) == (3, 3)


def test_a_connection_is_used_again_within_half_the_time_that_the_server_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def twice(transport: DirectTransport) -> None:
        now = [100.0]
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
        for now[0] in (100.0, 102.4, 104.8, 107.4):
            assert await transport.send(asks(server.url), LONG_S) == ANSWER
            connections.append(server.connections)

    connections: list[int] = []
    with RawServer(answering(whole(b"{}", "keep-alive: timeout=5"))) as server:
        run(twice)
    assert connections == [1, 1, 1, 2]


def test_an_answer_that_nobody_asked_for_is_never_the_next_ones() -> None:
    def talk(peer: Peer) -> None:
        peer.hear()
        peer.say(OK)
        asked_on.wait(LONG_S)
        peer.say(whole(b"poison"))
        peer.wait_until_closed()
        is_closed.set()

    async def job(transport: DirectTransport) -> list[Sent | Failure]:
        first = await transport.send(asks(server.url), LONG_S)
        asked_on.set()
        assert await asyncio.to_thread(is_closed.wait, LONG_S)
        return [first, await transport.send(asks(server.url), LONG_S)]

    asked_on, is_closed = threading.Event(), threading.Event()
    with RawServer(talk, answering(OK)) as server:
        assert run(job) == [ANSWER, ANSWER]
    assert server.connections == 2


def test_a_connection_that_was_closed_while_it_was_idle_costs_no_answer() -> None:
    async def job(transport: DirectTransport) -> list[Sent | Failure]:
        answers = []
        for _ in range(3):
            answers.append(await transport.send(asks(server.url), LONG_S))
            await until(lambda: not server.open_now)
            await asyncio.sleep(0.01)
        return answers

    with RawServer(closing) as server:
        assert run(job) == 3 * [ANSWER]
    assert server.connections == 3


def test_a_connection_lets_go_of_the_answer_before() -> None:
    async def job(transport: DirectTransport) -> object:
        reply = await transport.send(asks(server.url), LONG_S)
        assert isinstance(reply, Sent)
        headers = weakref.ref(reply.headers)
        del reply
        await asyncio.sleep(0)  # the event loop lets go of it as well
        return headers()

    with RawServer(answering(OK)) as server:
        assert run(job) is None


# Before an answer


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", OK])
def test_a_server_that_does_not_wait_to_be_asked_was_not_asked(greeting: bytes) -> None:
    async def job() -> Sent | Failure:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            _, connection = await loop.create_connection(Connection, sock=ours)
            theirs.send(greeting)
            theirs.shutdown(socket.SHUT_WR)
            await until(lambda: not connection.is_usable)
            return await connection.exchange(asks("http://h/"), b"asked", LONG_S, loop.time())

    message = failure(asyncio.run(job()), FailureReason.UNREACHABLE)
    assert message == (
        "cannot be reached: the server closed the connection, or spoke, before it was asked"
    )


def test_an_answer_to_half_a_request_is_taken_and_the_connection_given_up() -> None:
    def talk(peer: Peer) -> None:
        peer.socket.recv(100)
        peer.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        is_done.wait(LONG_S)

    async def job(transport: DirectTransport) -> list[Sent | Failure]:
        replies = [await transport.send(asks(server.url, LARGE), LONG_S)]
        replies.append(await transport.send(asks(server.url), LONG_S))
        is_done.set()
        return replies

    is_done = threading.Event()
    with RawServer(talk, answering(OK)) as server:
        assert run(job) == [Sent(413, b""), ANSWER]


def test_an_answer_that_ends_with_its_connection_is_taken_before_all_is_asked() -> None:
    def talk(peer: Peer) -> None:
        peer.socket.recv(100)
        peer.say(b"HTTP/1.1 413 Too Large\r\n\r\nno")
        peer.socket.shutdown(socket.SHUT_WR)
        is_done.wait(LONG_S)

    with RawServer(talk) as server:
        is_done = threading.Event()
        try:
            assert send_all(asks(server.url, LARGE)) == [Sent(413, b"no")]
        finally:
            is_done.set()


def test_a_server_that_reads_slowly_gets_a_large_request_whole() -> None:
    body = bytes(range(256)) * (1 << 15)
    with RawServer(answering(OK)) as server:
        assert send_all(asks(server.url, body)) == [ANSWER]
    assert server.heard[0].endswith(b"\r\n\r\n" + body)


def test_a_server_that_never_reads_runs_into_the_time_out() -> None:
    def talk(peer: Peer) -> None:
        is_done.wait(LONG_S)

    is_done = threading.Event()
    with RawServer(talk) as server:
        (reply,) = send_all(asks(server.url, LARGE), timeout_s=0.2)
        is_done.set()
    assert failure(reply, FailureReason.TIMEOUT) == "no answer within 0.2 s"


# Interrupted


def mute(peer: Peer) -> None:
    """Take nothing and say nothing, not even in TLS."""
    is_over.wait(LONG_S)


is_over = threading.Event()


@contextmanager
def phase(name: str) -> Iterator[tuple[str, RawServer, bytes]]:
    """Yield an address where a call stays in one phase, its server, and what to ask."""
    is_over.clear()
    talk = silent if name == "waiting" else mute
    with RawServer(talk, answering(OK)) as server:
        url = server.url
        if name == "handshake":
            url = url.replace("http://", "https://")
        try:
            yield url, server, LARGE if name == "writing" else b"{}"
        finally:
            is_over.set()


@pytest.mark.parametrize("name", ["handshake", "writing", "waiting"])
def test_a_call_that_is_cancelled_gives_its_connection_up(name: str) -> None:
    async def job(transport: DirectTransport) -> Sent | Failure:
        asking = asyncio.create_task(transport.send(asks(url, body), LONG_S))
        await until(lambda: server.connections and (name != "waiting" or server.heard))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return await transport.send(asks(server.url), LONG_S)

    with phase(name) as (url, server, body):
        assert run(job, connections=1) == ANSWER
        assert server.connections == 2


def test_a_call_that_is_cancelled_as_it_looks_up_its_host_leaves_room_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def job(transport: DirectTransport) -> Sent | Failure:
        asking = asyncio.create_task(transport.send(asks("http://slow.example/"), LONG_S))
        await asyncio.to_thread(is_asked.wait, LONG_S)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        is_told.set()
        return await transport.send(asks(server.url), LONG_S)

    def look_up(host: str, *args: Any, **options: Any) -> Any:
        if host == "slow.example":
            is_asked.set()
            is_told.wait(LONG_S)
        return found(host, *args, **options)

    is_asked, is_told, found = threading.Event(), threading.Event(), socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with RawServer(answering(OK)) as server:
        assert run(job, connections=1) == ANSWER


def test_a_call_that_is_cancelled_as_it_waits_for_room_leaves_it_to_the_next() -> None:
    async def job(transport: DirectTransport) -> list[Sent | Failure]:
        first = asyncio.create_task(transport.send(asks(server.url), LONG_S))
        await until(lambda: server.heard)
        second = asyncio.create_task(transport.send(asks(server.url), LONG_S))
        third = asyncio.create_task(transport.send(asks(server.url), LONG_S))
        await asyncio.sleep(0.01)
        second.cancel()
        is_over.set()
        return [await first, await third]

    def talk(peer: Peer) -> None:
        while True:
            peer.hear()
            is_over.wait(LONG_S)
            peer.say(OK)

    is_over.clear()
    with RawServer(talk) as server:
        assert run(job, connections=1) == [ANSWER, ANSWER]
    assert (server.connections, len(server.heard)) == (1, 2)


@pytest.mark.parametrize("name", ["handshake", "writing", "waiting"])
def test_a_transport_that_is_closed_in_use_fails_what_is_being_asked(name: str) -> None:
    async def job(transport: DirectTransport) -> Sent | Failure:
        asking = asyncio.create_task(transport.send(asks(url, body), 0.5))
        await until(lambda: server.connections and (name != "waiting" or server.heard))
        await asyncio.sleep(0.01)
        await transport.close()
        return await asking

    with phase(name) as (url, server, body):
        reply = run(job, connections=1)
    assert isinstance(reply, Failure)
    reasons = {"handshake": FailureReason.UNREACHABLE}
    assert reply.reason is reasons.get(name, FailureReason.BAD_RESPONSE)


def test_a_transport_that_is_closed_gives_out_no_half_of_an_answer() -> None:
    def talk(peer: Peer) -> None:
        peer.hear()
        peer.say(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        is_half.set()
        peer.wait_until_closed()

    async def job(transport: DirectTransport) -> Sent | Failure:
        asking = asyncio.create_task(transport.send(asks(server.url), LONG_S))
        await asyncio.to_thread(is_half.wait, LONG_S)
        await asyncio.sleep(0.01)
        await transport.close()
        return await asking

    is_half = threading.Event()
    with RawServer(talk) as server:
        message = failure(run(job), FailureReason.BAD_RESPONSE)
    assert message.endswith("closed before the whole answer")


def test_a_transport_that_is_closed_answers_nothing_more() -> None:
    async def job(transport: DirectTransport) -> Sent | Failure:
        await transport.close()
        return await transport.send(asks(server.url), LONG_S)

    with RawServer(answering(OK)) as server:
        failure(run(job), FailureReason.UNREACHABLE)
    assert server.heard == []


# So many connections at a time


def test_failures_leave_room_for_the_next_call() -> None:
    def drop(peer: Peer) -> None:
        peer.hear()

    async def job(transport: DirectTransport) -> list[Sent | Failure]:
        silent_url = server.url
        bad = [
            asks(f"http://127.0.0.1:{refused_port()}/"),
            asks(f"https://127.0.0.1:{refused_port()}/"),
            asks("http://model.invalid/"),
            asks("http://a..example/"),
            asks("nowhere"),
            Call(server.url, {"x": "\n"}, b""),
        ]
        replies = [await transport.send(call, LONG_S) for call in bad]
        replies.append(await transport.send(asks(silent_url), 0.05))
        return [*replies, *[await transport.send(asks(server.url), LONG_S) for _ in range(2)]]

    with RawServer(silent, drop, answering(OK)) as server:
        *failures, last = run(job, connections=1)
    assert [type(reply) for reply in failures] == 8 * [Failure]
    assert last == ANSWER


def test_no_room_in_time_is_unreachable_and_nothing_is_asked() -> None:
    async def job(transport: DirectTransport) -> Sent | Failure:
        first = asyncio.create_task(transport.send(asks(server.url), LONG_S))
        await until(lambda: server.heard)
        reply = await transport.send(asks(server.url), 0.05)
        assert not first.done()
        first.cancel()
        return reply

    with RawServer(silent) as server:
        reply = run(job, connections=1)
    assert "in time" in failure(reply, FailureReason.UNREACHABLE)
    assert len(server.heard) == 1


def test_idle_connections_to_one_host_make_room_for_those_to_another() -> None:
    async def job(transport: DirectTransport) -> None:
        for url in (one.url, other.url, one.url):
            calls = (transport.send(asks(url), LONG_S) for _ in range(3))
            assert await asyncio.gather(*calls) == 3 * [ANSWER]
            open_now.append((one.open_now, other.open_now))

    def talk(peer: Peer) -> None:
        while True:
            peer.hear()
            barrier.wait(LONG_S)  # so that there are three at a time
            peer.say(OK)

    open_now: list[tuple[int, int]] = []
    barrier = threading.Barrier(3)
    with RawServer(talk) as one, RawServer(talk) as other:
        run(job, connections=4)
    assert (one.connections, other.connections) == (5, 3)


# Hosts


Found = tuple[list[str], list[str | tuple[str, int]]]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    """Return which hosts have been looked up, and the addresses that each of them is to have."""

    def look_up(host: str, port: int, *_: Any, **__: Any) -> Any:
        asked.append(host)
        named = [(each, port) if isinstance(each, str) else each for each in addresses]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in named]

    asked: list[str] = []
    addresses: list[str | tuple[str, int]] = ["127.0.0.1"]
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked, addresses


def test_a_host_is_looked_up_once_for_all_that_ask_at_a_time(found: Found) -> None:
    async def job(transport: DirectTransport) -> list[Sent | Failure]:
        call = asks(f"http://model.example:{server.port}/")
        return await asyncio.gather(*(transport.send(call, LONG_S) for _ in range(8)))

    with RawServer(answering(OK)) as server:
        assert run(job, connections=8) == 8 * [ANSWER]
    assert found[0] == ["model.example"]


def test_an_address_that_refuses_leaves_it_to_the_next(found: Found) -> None:
    found[1].insert(0, ("127.0.0.1", refused_port()))
    with RawServer(answering(OK)) as server:
        assert send(f"http://model.example:{server.port}/") == ANSWER


def test_an_address_that_does_not_answer_leaves_it_to_the_next(found: Found) -> None:
    with full() as silent_address, RawServer(answering(OK)) as server:
        found[1].insert(0, silent_address)
        assert send(f"http://model.example:{server.port}/", timeout_s=5.0) == ANSWER


def test_a_host_that_refuses_is_looked_up_again(found: Found) -> None:
    call = asks(f"http://model.example:{refused_port()}/")
    for reply in send_all(call, call):
        failure(reply, FailureReason.UNREACHABLE)
    assert len(found[0]) == 2


def test_connecting_has_a_time_out_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def job(transport: DirectTransport) -> Sent | Failure:
        async with asyncio.timeout(LONG_S):
            return await transport.send(asks(f"http://{host}:{port}/"), 10 * LONG_S)

    monkeypatch.setattr("calibrate.transports.connecting.CONNECT_TIMEOUT_S", 0.1)
    with full() as (host, port):
        message = failure(run(job), FailureReason.UNREACHABLE)
    assert message == "cannot be reached: no connection in time"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6 on the loopback interface")
def test_a_host_may_be_an_address_of_ipv6() -> None:
    with RawServer(answering(OK), host="::1") as server:
        assert send(server.url) == ANSWER
    assert f"host: [::1]:{server.port}\r\n".encode() in server.heard[0]


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    message = failure(send("http://me:secret@127.0.0.1:1/v1"), FailureReason.UNREACHABLE)
    assert message == "http://127.0.0.1:1/v1 is no address"


# TLS

AUTHORITY = trustme.CA()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


def speaking_for(*names: str) -> tuple[ssl.SSLContext, list[str | None]]:
    """Return how a server speaks TLS, and the hosts that it will be asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked: list[str | None] = []
    AUTHORITY.issue_cert(*names).configure_cert(context)
    context.sni_callback = lambda _, name, __: asked.append(name)
    return context, asked


@pytest.mark.usefixtures("trusted", "found")
@pytest.mark.parametrize("host", ["model.example", "MODEL.example", "model.example."])
def test_a_server_is_asked_for_its_name_and_shows_that_it_has_it(host: str) -> None:
    context, asked = speaking_for("model.example")
    with RawServer(answering(OK), tls=context) as server:
        url = f"https://{host}:{server.port}/"
        assert send_all(asks(url), asks(url, LARGE)) == [ANSWER, ANSWER]
    assert (asked, server.connections) == (["model.example"], 1)
    assert server.heard[1].endswith(LARGE)


@pytest.mark.usefixtures("trusted")
@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6 on the loopback interface")
def test_a_certificate_may_be_for_an_address_of_ipv6() -> None:
    context, _ = speaking_for("::1")
    with RawServer(answering(OK), host="::1", tls=context) as server:
        assert send(server.url) == ANSWER


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("is_tls", [False, True])
def test_a_connection_that_was_closed_while_the_program_computed_costs_no_answer(
    monkeypatch: pytest.MonkeyPatch, is_tls: bool
) -> None:
    async def job(transport: DirectTransport) -> list[Sent | Failure]:
        first = await transport.send(asks(server.url), LONG_S)
        is_answered.set()
        while server.open_now:
            time.sleep(0.001)  # noqa: ASYNC251 - the event loop is to hear of nothing
        return [first, await transport.send(asks(server.url), LONG_S)]

    def talk(peer: Peer) -> None:
        closing(peer)
        is_answered.wait(LONG_S)

    is_answered = threading.Event()
    monkeypatch.setattr("calibrate.transports.pool.UNHEARD_S", -1.0)
    context = speaking_for("127.0.0.1")[0] if is_tls else None
    with RawServer(talk, tls=context) as server:
        assert run(job) == [ANSWER, ANSWER]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("ending", [b"", b"content-length: 9\r\n"])
def test_an_answer_over_tls_ends_with_its_connection_only_where_it_has_no_length(
    ending: bytes,
) -> None:
    def talk(peer: Peer) -> None:
        peer.hear()
        peer.say(b"HTTP/1.1 200 OK\r\n" + ending + b"\r\n{}")

    context, _ = speaking_for("127.0.0.1")
    with RawServer(talk, tls=context) as server:
        reply = send(server.url)
    if ending:
        failure(reply, FailureReason.BAD_RESPONSE)
    else:
        assert reply == ANSWER


def test_a_server_that_closes_during_the_handshake_is_unreachable() -> None:
    def talk(peer: Peer) -> None:
        peer.socket.recv(100)

    with RawServer(talk) as server:
        reply = send(server.url.replace("http://", "https://"))
    message = failure(reply, FailureReason.UNREACHABLE)
    assert message.startswith("cannot be reached: ")
    assert "in time" not in message


# Whatever comes over a socket


def exchanged(parts: list[bytes], *, is_ended: bool) -> tuple[Sent | Failure, bool]:
    """Return what is made of the parts of an answer, and whether its connection stays usable."""

    async def job() -> tuple[Sent | Failure, bool]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: complaints.append(what))
        ours, theirs = socket.socketpair()
        with theirs:
            _, connection = await loop.create_connection(Connection, sock=ours)
            ends = loop.time() + LONG_S
            asking = loop.create_task(connection.exchange(asks("http://h/"), b"", LONG_S, ends))
            with suppress(OSError):  # it may have been given up
                for part in parts:
                    await asyncio.sleep(0)
                    theirs.send(part)
                if is_ended:
                    theirs.shutdown(socket.SHUT_WR)
            reply, is_usable = await asking, connection.is_usable
            connection.close()
            await asyncio.sleep(0)
        return reply, is_usable

    complaints: list[dict[str, Any]] = []
    result = asyncio.run(job())
    assert complaints == []
    return result


GOOD = [
    OK,
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\nx: y\r\n\r\n",
    whole(gzip.compress(b"{}"), "content-encoding: gzip"),
    whole(gzip.compress(b"{") + gzip.compress(b"}"), "content-encoding: gzip"),
]


@settings(max_examples=40)
@given(st.sampled_from(GOOD), st.sets(st.integers(1, 90), max_size=6))
def test_an_answer_over_a_socket_is_the_same_however_it_arrives(data: bytes, at: set[int]) -> None:
    edges = [0, *sorted(edge for edge in at if edge < len(data)), len(data)]
    parts = [data[start:end] for start, end in pairwise(edges)]
    assert exchanged(parts, is_ended=False) == (ANSWER, True)


@settings(max_examples=40)
@given(st.sampled_from(GOOD), st.integers(0, 90), st.binary(max_size=40), st.integers(0, 20))
def test_bytes_over_a_socket_are_an_answer_or_a_failure(
    data: bytes, at: int, noise: bytes, length: int
) -> None:
    reply, _ = exchanged([data[:at], noise, data[at + length :]], is_ended=True)
    assert isinstance(reply, Sent | Failure)
