"""`calibrate report --serve` as a process of its own, and what a browser would get of it."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from re import sub
from urllib.parse import urlsplit

__all__ = ["Got", "Served", "served"]


@dataclass(frozen=True)
class Got:
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """What a reader sees, without marks."""
        body = sub(r"(?s)<style>.*?</style>|<script>.*?</script>", "", self.body.decode())
        return " ".join(unescape(sub(r"<[^>]+>", " ", body)).split())


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def get(
        self, file: str = "", *, method: str = "GET", path: str | None = None, host: str = ""
    ) -> Got:
        """Ask for a page beneath the token, or for any other path; with any `Host`."""
        asked = urlsplit(self.url).path + file if path is None else path
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, asked, skip_host=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            connection.endheaders()
            response = connection.getresponse()
            return Got(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def press(self) -> tuple[int, str, str]:
        """Press Ctrl-C; return how the server ended and what it had still to say."""
        self.process.send_signal(signal.SIGINT)
        stdout, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stdout, stderr


@contextmanager
def served(root: Path, *options: str) -> Iterator[Served]:
    """Serve the reports of a project for a while."""
    process = subprocess.Popen(
        [sys.executable, "-m", "calibrate", "report", "--serve", *options],
        cwd=root,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield Served(line.strip(), process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # in order, so that what it ran is measured, too
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=30)
        process.kill()
        process.communicate()
