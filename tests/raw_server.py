"""A server on 127.0.0.1 that is scripted byte by byte: each connection is a talk over its socket.

def talk(peer: Peer) -> None:
    peer.hear()  # one request
    peer.say(b"HTTP/1.1 200 OK\\r\\n" ...)

with RawServer(talk) as server:
    ...  # ask server.url; then look at server.heard, .connections, .most_open
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

__all__ = ["OK", "Peer", "RawServer", "answering", "full", "whole"]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Peer:
    """One accepted connection."""

    def __init__(self, server: RawServer, connection: socket.socket) -> None:
        self._server = server
        self.socket = connection

    def hear(self) -> bytes:
        """Return the next request, whole; raises `ConnectionError` where there is none."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._some(1)
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length")),
            0,
        )
        body = b""
        while len(body) < length:
            body += self._some(min(length - len(body), 1 << 20))
        self._server.heard.append(head + body)
        return head + body

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def wait_until_closed(self) -> None:
        """Wait for the other side to close the connection, and read nothing that counts."""
        with suppress(OSError):
            while self.socket.recv(1 << 16):
                pass

    def _some(self, most: int) -> bytes:
        data = self.socket.recv(most)
        if not data:
            raise ConnectionError
        return data


class RawServer:
    """The running server; the last talk also serves the connections for which there is none."""

    def __init__(
        self,
        *talks: Callable[[Peer], None],
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.heard: list[bytes] = []
        self.connections = 0
        self.most_open = 0
        self._open: set[socket.socket] = set()
        self._talks = talks
        self._tls = tls
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=256)
        self.port: int = self._listener.getsockname()[1]
        named = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{named}:{self.port}/v1"
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def open_now(self) -> int:
        return len(self._open)

    def __enter__(self) -> RawServer:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with self._lock:
                    self._open.add(connection)
                    self.most_open = max(self.most_open, len(self._open))
                    talk = self._talks[min(self.connections, len(self._talks) - 1)]
                    self.connections += 1
                thread = threading.Thread(target=self._talk, args=(talk, connection))
                self._threads.append(thread)
                thread.start()

    def _talk(self, talk: Callable[[Peer], None], plain: socket.socket) -> None:
        connection = plain
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(plain, server_side=True)
            talk(Peer(self, connection))
        except OSError:
            pass  # the client went away, or the test is over
        finally:
            connection.close()
            plain.close()
            with self._lock:
                self._open.discard(plain)


@contextmanager
def full() -> Iterator[tuple[str, int]]:
    """Yield where a server listens whose queue is full: it lets nobody in."""
    with socket.socket() as server, socket.socket() as first:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        first.connect(server.getsockname())
        with socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(server.getsockname())
            yield server.getsockname()


def answering(data: bytes) -> Callable[[Peer], None]:
    """Return a talk that answers every request on its connection with these bytes."""

    def talk(peer: Peer) -> None:
        while True:
            peer.hear()
            peer.say(data)

    return talk


def whole(body: bytes, *headers: str) -> bytes:
    """Return an answer of status 200 with a length, and further headers."""
    head = "\r\n".join(["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body
