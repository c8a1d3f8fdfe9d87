"""What all transports do alike, each over real connections."""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib
from collections.abc import Callable, Iterator

import pytest
from loopback import Loopback, Response, Script, chat, dropped, error, refused_port
from raw_server import full
from sending import failure, send, send_all

from calibrate.completion import Failure, FailureReason
from calibrate.providers.base import Call
from calibrate.transports import Sent, open_transport
from calibrate.transports.base import MAX_BODY_BYTES


def ask(script: Script | Response, timeout_s: float = 20.0) -> Sent | Failure:
    answer = script if callable(script) else lambda _: script
    with Loopback(answer) as server:
        return send(server.base_url, timeout_s)


pytestmark = pytest.mark.usefixtures("chosen")


# What is sent, and what comes back


def test_an_answer_is_its_status_and_its_bytes() -> None:
    assert ask(Response(503, b"\xff\x00")) == Sent(503, b"\xff\x00")


def test_a_body_that_is_not_utf_8_is_given_as_it_is() -> None:
    latin = Response(200, "é".encode("latin-1"), {"content-type": "application/json; charset=x"})
    assert ask(latin) == Sent(200, b"\xe9")


def test_a_call_arrives_with_its_headers_and_body() -> None:
    with Loopback(lambda _: chat("a")) as server:
        send(server.base_url)
    (received,) = server.received
    assert (received.path, received.body) == ("/v1", {})
    assert received.headers["x-api-key"] == "sk-canary"
    assert received.headers["user-agent"] == "calibrate"
    assert received.headers["accept-encoding"] == "gzip, deflate"


def test_header_names_are_found_in_any_case() -> None:
    reply = ask(error(429, "slow down", headers={"RETRY-after": "7"}))
    assert isinstance(reply, Sent)
    assert reply.headers.get("retry-after") == reply.headers.get("Retry-After") == "7"


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", gzip.compress(b'{"a": 1}', mtime=0)), ("deflate", zlib.compress(b'{"a": 1}'))],
)
def test_a_packed_answer_is_unpacked(coding: str, packed: bytes) -> None:
    assert ask(Response(200, packed, {"content-encoding": coding})) == Sent(200, b'{"a": 1}')


def test_an_answer_without_a_body_is_an_empty_one() -> None:
    assert ask(Response(raw=b"HTTP/1.1 204 No Content\r\n\r\n")) == Sent(204, b"")


def test_a_connection_is_used_again() -> None:
    with Loopback(lambda _: Response(200, b"{}")) as server:
        call = Call(server.base_url, {}, b"{}")
        assert send_all(call, call, call) == 3 * [Sent(200, b"{}")]
    assert server.connections == 1


def test_no_more_connections_are_opened_than_was_said() -> None:
    async def crowd(url: str) -> list[Sent | Failure]:
        transport = open_transport(3)
        try:
            call = Call(url, {}, b"{}")
            return await asyncio.gather(*(transport.send(call, 20) for _ in range(12)))
        finally:
            await transport.close()

    three = threading.Barrier(3)  # nobody is answered before three are there

    def script(_: object) -> Response:
        three.wait(20)
        return Response(200, b"{}")

    with Loopback(script) as server:
        assert asyncio.run(crowd(server.base_url)) == 12 * [Sent(200, b"{}")]
    assert (server.connections, server.most_in_flight) == (3, 3)


# What must not travel


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_does_not_travel(status: int) -> None:
    with Loopback(lambda _: chat("stolen")) as thief:
        reply = ask(Response(status, b"", {"location": thief.base_url}))
    assert reply == Sent(status, b"")
    assert thief.received == []


def test_no_cookie_is_kept() -> None:
    with Loopback(lambda _: Response(200, b"{}", {"set-cookie": "id=1; Path=/"})) as server:
        call = Call(server.base_url, {}, b"{}")
        send_all(call, call)
    assert ["cookie" in received.headers for received in server.received] == [False, False]


def test_no_password_file_is_read(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Loopback(lambda _: chat("a")) as server:
        send(server.base_url)
    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize("value", ["sk-canary\r\nx-evil: 1", "sk-canary\n", "sk-\x00canary"])
def test_a_header_that_would_be_two_is_not_sent(value: str) -> None:
    with Loopback(lambda _: chat("a")) as server:
        (reply,) = send_all(Call(server.base_url, {"x-api-key": value}, b"{}"))
    message = failure(reply, FailureReason.REJECTED)
    assert message == "not sent: a header holds what HTTP does not allow"
    assert server.received == []


# No answer


def test_a_server_that_is_not_there_is_unreachable() -> None:
    reply = send(f"http://127.0.0.1:{refused_port()}/v1")
    assert failure(reply, FailureReason.UNREACHABLE).startswith("cannot be reached: ")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/v1",
        "ftp://127.0.0.1/v1",
        "http:///v1",
        "127.0.0.1/v1",
        "http://[::1/v1",
    ],
)
def test_an_address_that_cannot_be_one_is_unreachable(url: str) -> None:
    assert failure(send(url), FailureReason.UNREACHABLE) == f"{url} is no address"


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "model.invalid"])
def test_a_host_that_nobody_knows_is_unreachable(host: str) -> None:
    failure(send(f"http://{host}/v1"), FailureReason.UNREACHABLE)


def test_no_connection_in_time_is_unreachable_and_not_a_time_out(
    monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    module = "connecting" if chosen == "direct" else chosen
    monkeypatch.setattr(f"calibrate.transports.{module}.CONNECT_TIMEOUT_S", 0.2)
    with full() as (host, port):
        reply = send(f"http://{host}:{port}/v1")
    assert failure(reply, FailureReason.UNREACHABLE).startswith("cannot be reached: ")


def test_a_server_that_never_answers_runs_into_the_time_out() -> None:
    message = failure(ask(chat("late").after(30), 0.2), FailureReason.TIMEOUT)
    assert message == "no answer within 0.2 s"


def test_each_call_of_a_connection_has_a_time_out_of_its_own() -> None:
    """The first ends long before its own, which must neither end the second nor hold its back."""
    delays = [0.0, 0.6, 0.0, 1.0]
    with Loopback(lambda received: chat("x").after(delays[received.number])) as server:
        call = Call(server.base_url, {}, b"{}")

        async def in_turn() -> list[Sent | Failure]:
            transport = open_transport(1)
            try:
                return [await transport.send(call, timeout_s) for timeout_s in (0.3, 20, 20, 0.2)]
            finally:
                await transport.close()

        *answered, late = asyncio.run(in_turn())
    assert [reply.status for reply in answered] == [200, 200, 200]
    assert failure(late, FailureReason.TIMEOUT) == "no answer within 0.2 s"


def test_an_endless_stream_runs_into_the_time_out_however_lively_it_is() -> None:
    stop = threading.Event()

    def drips() -> Iterator[bytes]:
        while not stop.wait(0.01):
            yield b" "

    try:
        message = failure(ask(Response(parts=drips()), 0.3), FailureReason.TIMEOUT)
    finally:
        stop.set()
    assert message == "no answer within 0.3 s"


def test_a_body_without_end_is_given_up_at_the_limit() -> None:
    sent = 0

    def flood() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1 << 20
            yield b" " * (1 << 20)

    message = failure(ask(Response(parts=flood())), FailureReason.BAD_RESPONSE)
    assert message == f"over {MAX_BODY_BYTES:,} bytes"
    assert sent < 4 * MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", lambda body: gzip.compress(body, 1, mtime=0)), ("deflate", zlib.compress)],
)
def test_a_small_body_that_unpacks_to_a_huge_one_is_given_up(
    coding: str, pack: Callable[[bytes], bytes]
) -> None:
    bomb = Response(200, pack(bytes(MAX_BODY_BYTES + 1)), {"content-encoding": coding})
    assert failure(ask(bomb), FailureReason.BAD_RESPONSE) == f"over {MAX_BODY_BYTES:,} bytes"


@pytest.mark.parametrize(
    "response",
    [
        dropped(),
        Response(200, b'{"a": ', claimed_length=100),
        Response(200, b"not gzip", {"content-encoding": "gzip"}),
        Response(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
        Response(raw=b"HTTP/1.1 banana\r\n\r\n"),
        Response(raw=b"HTTP/1.1 200 OK\r\ncontent-le"),
        Response(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"),
        Response(raw=b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        Response(raw=b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2_000_000 + b"\r\n\r\n"),
    ],
    ids=[
        "dropped",
        "cut short",
        "badly packed",
        "another protocol",
        "no status",
        "half a head",
        "bad chunks",
        "negative length",
        "endless head",
    ],
)
def test_a_connection_that_breaks_is_a_bad_response(response: Response) -> None:
    message = failure(ask(response), FailureReason.BAD_RESPONSE)
    assert message.startswith("the connection broke: ")


def test_after_a_bad_answer_the_next_call_is_answered() -> None:
    def script(received: object) -> Response:
        return next(answers)

    answers = iter([dropped(), Response(200, b"x", claimed_length=9), Response(200, b"{}")])
    with Loopback(script) as server:
        call = Call(server.base_url, {}, b"{}")
        replies = send_all(call, call, call)
    assert [type(reply) for reply in replies] == [Failure, Failure, Sent]
    assert len(server.received) == 3  # none was sent twice behind our back
