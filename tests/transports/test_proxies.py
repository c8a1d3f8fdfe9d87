from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import TracebackType

import pytest
import trustme
from loopback import Loopback, Response, chat
from sending import failure, send

from calibrate.completion import FailureReason
from calibrate.transports import Sent

pytestmark = pytest.mark.usefixtures("chosen")


class Tunnel:
    """A proxy that only tunnels; `heads` are the requests to do so."""

    def __init__(self, status: int = 200) -> None:
        self.heads: list[str] = []
        tunnel = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                head = b"".join(iter(self.rfile.readline, b"\r\n")).decode()
                tunnel.heads.append(head)
                self.wfile.write(f"HTTP/1.1 {status} So\r\n\r\n".encode())
                if status == 200:
                    host, port = head.split()[1].split(":")
                    with socket.create_connection((host, int(port))) as server:
                        back = threading.Thread(target=_pump, args=(server, self.connection))
                        back.start()
                        _pump(self.connection, server)
                        back.join()

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Tunnel:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that speaks TLS with a certificate that is trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Loopback(lambda _: Response(200, b"{}"), tls=context) as server:
        yield server


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with Loopback(lambda _: chat("through the proxy")) as proxy:
        monkeypatch.setenv(variable, proxy.base_url.removesuffix("/v1"))
        reply = send("http://model.example/v1")
    assert isinstance(reply, Sent)
    assert [received.path for received in proxy.received] == ["http://model.example/v1"]
    assert "proxy-authorization" not in proxy.received[0].headers


def test_a_proxy_may_be_named_without_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback(lambda _: chat("a")) as proxy:
        address = proxy.base_url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("HTTP_PROXY", address)
        assert isinstance(send("http://model.example/v1"), Sent)


def test_a_proxys_password_goes_to_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback(lambda _: chat("a")) as proxy:
        address = proxy.base_url.removesuffix("/v1").replace("://", "://me:secret@")
        monkeypatch.setenv("HTTP_PROXY", address)
        send("http://model.example/v1")
    (received,) = proxy.received
    assert received.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
    assert "authorization" not in received.headers


@pytest.mark.parametrize("named", ["127.0.0.1", "other.example, 127.0.0.1", "*"])
def test_a_host_that_needs_no_proxy_is_asked_itself(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    with Loopback(lambda _: chat("proxy")) as proxy, Loopback(lambda _: chat("host")) as host:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", named)
        send(host.base_url)
    assert (len(proxy.received), len(host.received)) == (0, 1)


def test_a_subdomain_of_what_needs_no_proxy_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback(lambda _: chat("proxy")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "invalid")
        failure(send("http://model.invalid/v1"), FailureReason.UNREACHABLE)
    assert proxy.received == []


def test_tls_goes_through_a_tunnel_so_the_proxy_sees_no_key(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tunnel() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert send(server.base_url) == Sent(200, b"{}")
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {server.base_url[8:-3]} HTTP/1.1\r\n")
    assert "canary" not in head
    assert server.received[0].headers["x-api-key"] == "sk-canary"


@pytest.mark.parametrize("status", [407, 502])
def test_a_proxy_that_opens_no_tunnel_makes_the_server_unreachable(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with Tunnel(status) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        message = failure(send(server.base_url), FailureReason.UNREACHABLE)
    assert str(status) in message
    assert server.received == []
