"""A provider that records what reaches it and fails on command, in the formats of two APIs."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import Loopback, Received, Response, chat, dropped, error, messages

__all__ = ["FAILURES", "Provider", "certificate_for_localhost"]

Behaviour = Callable[[Received], Response]


def _context_length(received: Received) -> Response:
    return _refused("context_length_exceeded", "This model's maximum context length is 10 tokens.")


def _content_filter(received: Received) -> Response:
    return _refused(
        "content_policy_violation",
        "Your request was rejected as a result of our safety system: content_policy_violation",
    )


def _refused(code: str, message: str) -> Response:
    body = {"error": {"message": message, "type": "invalid_request_error", "code": code}}
    headers = {"content-type": "application/json"}
    return Response(status=400, body=json.dumps(body).encode(), headers=headers)


FAILURES: dict[str, Behaviour] = {
    "429": lambda received: error(429, "slow down"),
    "500": lambda received: error(500, "broken"),
    "503": lambda received: error(503, "overloaded"),
    "timeout": lambda received: chat("too late").after(4.0),
    "dropped": lambda received: dropped(),
    "context": _context_length,
    "content": _content_filter,
}


class Provider:
    """Every model answers with its own name, unless it is told to fail."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._failing: dict[str, Behaviour] = {}
        self.server = Loopback(self._answer, tls=tls)

    @contextmanager
    def failing(self, **failures: str) -> Iterator[None]:
        """Let models fail by the name of a failure: `failing(small="429")` is model small-1."""
        self._failing = {f"{name}-1": FAILURES[how] for name, how in failures.items()}
        try:
            yield
        finally:
            self._failing = {}

    def forget(self) -> None:
        self.server.received.clear()

    @property
    def asked(self) -> list[str]:
        """The models that were asked, in order, each attempt once.

        LiteLLM may also look what kind of server it has before it.
        """
        return [one.model for one in self.server.received if isinstance(one.body, dict)]

    @property
    def last(self) -> Received:
        return self.server.received[-1]

    def _answer(self, received: Received) -> Response:
        behaviour = self._failing.get(received.model)
        if behaviour is not None:
            return behaviour(received)
        if received.path.endswith("/messages"):
            return messages(f"from {received.model}", model=received.model)
        if received.body.get("stream"):
            return _streamed(received.model)
        return chat(f"from {received.model}", model=received.model)


def _streamed(model: str) -> Response:
    chunk = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    deltas = [{"role": "assistant", "content": "from "}, {"content": model}]
    events = [
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    events.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    events.append({**chunk, "choices": [], "usage": usage})
    lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    return Response(
        headers={"content-type": "text/event-stream"}, parts=iter([*lines, b"data: [DONE]\n\n"])
    )


def certificate_for_localhost(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a new certificate, which is its own authority, and a server's settings with it."""
    certificate, key = folder / "localhost.pem", folder / "localhost.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
