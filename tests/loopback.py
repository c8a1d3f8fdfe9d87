"""A real HTTP server on 127.0.0.1 that speaks the providers' formats, as scripted by a function.

def script(received: Received) -> Response:
    return chat("billing") if received.number < 3 else error(429, "slow down")

with Loopback(script) as server:
    ...  # ask server.base_url; then look at server.received, .delivered, .most_in_flight
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

__all__ = [
    "Loopback",
    "Received",
    "Response",
    "Script",
    "anthropic_error",
    "chat",
    "dropped",
    "embedding",
    "error",
    "messages",
    "refused_port",
    "tokens",
]


@dataclass(frozen=True, slots=True)
class Received:
    """One request that reached the server; `number` counts from 0 in order of arrival."""

    number: int
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: Any  # parsed JSON; bytes where it is none
    method: str = "POST"

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def asked(self) -> str:
        """The last message of a chat, or the text to embed."""
        if "input" in self.body:
            return str(self.body["input"])
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered: after `delay_s`, in pieces where `parts` is given, or not at all."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    parts: Iterator[bytes] | None = None  # sent one after another, without a length
    claimed_length: int | None = None  # another length than the body has
    is_dropped: bool = False  # the connection is closed without a word
    raw: bytes | None = None  # sent as it is instead of HTTP, before the connection is closed

    def after(self, delay_s: float) -> Response:
        return replace(self, delay_s=delay_s)


Script = Callable[[Received], Response]


class Loopback:
    """The running server, and everything that reached it; with `tls` it speaks HTTPS."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.received: list[Received] = []
        self.delivered: list[Received] = []  # requests whose answer was sent to the last byte
        self.connections = 0
        self.most_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[Received, Any]:
        is_form = headers.get("content-type", "").startswith("multipart/")
        parsed = body if is_form or not body else json.loads(body)
        with self._lock:
            received = Received(len(self.received), path, headers, parsed, method)
            self.received.append(received)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        response = self.script(received)
        if response.delay_s:
            self._closing.wait(response.delay_s)
        return received, response

    def connects(self) -> None:
        with self._lock:
            self.connections += 1

    def leaves(self, received: Received, *, is_whole: bool) -> None:
        with self._lock:
            self._in_flight -= 1
            if is_whole:
                self.delivered.append(received)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or is killed, is part of what is tested."""


def _handler_of(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            loopback.connects()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            received, response = loopback.answer(self.command, self.path, headers, body)
            is_whole = False
            try:
                is_whole = self._send(response)
            finally:
                loopback.leaves(received, is_whole=is_whole)

        do_GET = do_POST

        def _send(self, response: Response) -> bool:
            if response.is_dropped:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return False
            if response.raw is not None:
                self.close_connection = True
                self.wfile.write(response.raw)
                return True
            length = len(response.body) if response.claimed_length is None else None
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            if response.parts is not None:
                self.send_header("connection", "close")
                self.end_headers()
                for part in response.parts:
                    self.wfile.write(part)
                return True
            self.send_header("content-length", str(response.claimed_length or length))
            self._headers_buffer.append(b"\r\n" + response.body)  # type: ignore[attr-defined]
            self.flush_headers()
            self.close_connection = self.close_connection or response.claimed_length is not None
            return True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def refused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tokens(text: str) -> int:
    """Return how many tokens this server counts in a text: one for each word."""
    return len(text.split())


def chat(
    text: str | None,
    *,
    model: str = "served",
    finish: str = "stop",
    usage: Mapping[str, Any] | None = None,
    logprobs: Any = None,
    **message: Any,
) -> Response:
    """An OpenAI chat completion of one choice."""
    return _json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, **message},
                    "logprobs": logprobs,
                    "finish_reason": finish,
                }
            ],
            "usage": usage or {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
        }
    )


def embedding(
    vector: Sequence[float], *, model: str = "served", prompt_tokens: int = 5
) -> Response:
    """OpenAI's answer to one embedded text."""
    return _json(
        {
            "object": "list",
            "model": model,
            "data": [{"object": "embedding", "index": 0, "embedding": list(vector)}],
            "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
        }
    )


def messages(
    text: str,
    *,
    model: str = "served",
    stop_reason: str = "end_turn",
    usage: Mapping[str, Any] | None = None,
) -> Response:
    """An answer of Anthropic's Messages API."""
    return _json(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": usage or {"input_tokens": 10, "output_tokens": 1},
        }
    )


def error(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """An error as OpenAI words it."""
    value = {"error": {"message": message, "type": "error", "param": None, "code": None}}
    return replace(_json(value), status=status, headers=headers or {})


def anthropic_error(status: int, kind: str, message: str) -> Response:
    """An error as Anthropic words it."""
    value = {"type": "error", "error": {"type": kind, "message": message}}
    return replace(_json(value), status=status)


def dropped() -> Response:
    """No answer: the connection is closed."""
    return Response(is_dropped=True)


def _json(value: Any) -> Response:
    return Response(body=json.dumps(value).encode(), headers={"content-type": "application/json"})
