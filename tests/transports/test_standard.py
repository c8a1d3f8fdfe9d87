from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Iterator

import pytest
from loopback import Loopback, Response, Script, chat, dropped, error, refused_port

from calibrate.completion import Failure, FailureReason
from calibrate.errors import ProviderError
from calibrate.providers.base import Call
from calibrate.transports import Sent, open_transport
from calibrate.transports.base import MAX_BODY_BYTES


def send(url: str, timeout_s: float = 20.0) -> Sent | Failure:
    async def once() -> Sent | Failure:
        transport = open_transport()
        try:
            return await transport.send(Call(url, {"x-api-key": "sk-canary"}, b"{}"), timeout_s)
        finally:
            await transport.close()

    return asyncio.run(once())


def ask(script: Script | Response, timeout_s: float = 20.0) -> Sent | Failure:
    answer = script if callable(script) else lambda _: script
    with Loopback(answer) as server:
        return send(server.base_url, timeout_s)


def failure(reply: Sent | Failure, reason: FailureReason) -> str:
    assert isinstance(reply, Failure)
    assert reply.reason is reason
    return reply.message


def test_an_answer_is_its_status_and_its_bytes() -> None:
    assert ask(Response(503, b"\xff\x00")) == Sent(503, b"\xff\x00")


def test_a_call_arrives_with_its_headers_and_body() -> None:
    with Loopback(lambda _: chat("a")) as server:
        send(server.base_url)
    (received,) = server.received
    assert (received.path, received.body) == ("/v1", {})
    assert received.headers["x-api-key"] == "sk-canary"


def test_a_packed_answer_is_unpacked() -> None:
    packed = Response(200, gzip.compress(b'{"a": 1}'), {"content-encoding": "gzip"})
    assert ask(packed) == Sent(200, b'{"a": 1}')


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("-1", None),
        ("nan", None),
        ("1e9", None),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_where_it_is_seconds(header: str, seconds: float | None) -> None:
    reply = ask(error(429, "slow down", headers={"retry-after": header}))
    assert isinstance(reply, Sent)
    assert reply.retry_after_s == seconds


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_does_not_travel(status: int) -> None:
    with Loopback(lambda _: chat("stolen")) as thief:
        reply = ask(Response(status, b"", {"location": thief.base_url}))
    assert reply == Sent(status, b"")
    assert thief.received == []


def test_a_server_that_is_not_there_is_unreachable() -> None:
    reply = send(f"http://127.0.0.1:{refused_port()}/v1")
    assert failure(reply, FailureReason.UNREACHABLE).startswith("cannot be reached: ")


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "ftp://127.0.0.1/v1"])
def test_an_address_that_cannot_be_one_is_unreachable(url: str) -> None:
    assert failure(send(url), FailureReason.UNREACHABLE) == f"{url} is no address"


def test_a_server_that_never_answers_runs_into_the_time_out() -> None:
    message = failure(ask(chat("late").after(30), 0.2), FailureReason.TIMEOUT)
    assert message == "no answer within 0.2 s"


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


def test_a_small_body_that_unpacks_to_a_huge_one_is_given_up() -> None:
    bomb = Response(200, gzip.compress(bytes(MAX_BODY_BYTES + 1), 1), {"content-encoding": "gzip"})
    assert failure(ask(bomb), FailureReason.BAD_RESPONSE) == f"over {MAX_BODY_BYTES:,} bytes"


@pytest.mark.parametrize(
    "response",
    [
        dropped(),
        Response(200, b'{"a": ', claimed_length=100),
        Response(200, b"not gzip", {"content-encoding": "gzip"}),
    ],
    ids=["dropped", "cut short", "badly packed"],
)
def test_a_connection_that_breaks_is_a_bad_response(response: Response) -> None:
    message = failure(ask(response), FailureReason.BAD_RESPONSE)
    assert message.startswith("the connection broke: ")
    assert len(message) <= 300


def test_a_connection_is_used_again() -> None:
    async def thrice(url: str) -> list[Sent | Failure]:
        transport = open_transport()
        try:
            return [await transport.send(Call(url, {}, b"{}"), 20) for _ in range(3)]
        finally:
            await transport.close()

    with Loopback(lambda _: Response(200, b"{}")) as server:
        assert asyncio.run(thrice(server.base_url)) == 3 * [Sent(200, b"{}")]
    assert server.connections == 1


def test_a_proxy_setting_that_is_none_is_an_error_for_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://127.0.0.1:1")
    with pytest.raises(ProviderError) as caught:
        open_transport()
    assert str(caught.value).startswith(
        "the environment's proxy or certificate settings cannot be used: "
    )


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback(lambda _: chat("through the proxy")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        reply = send("http://model.example.com/v1")
    assert isinstance(reply, Sent)
    assert [received.path for received in proxy.received] == ["http://model.example.com/v1"]
