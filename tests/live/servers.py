"""Start model servers for as long as something is asked, each on its own port."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

MODELS = Path(__file__).with_name("models.py")


@contextmanager
def serving(python: Path, weights: Path, ports: Mapping[str, int]) -> Iterator[None]:
    """Serve models by name, ready when the body runs and gone after it."""
    with ExitStack() as stack:
        started = [stack.enter_context(_server(python, weights, *pair)) for pair in ports.items()]
        for server in started:
            _wait_until_ready(server)
        yield


@contextmanager
def _server(python: Path, weights: Path, name: str, port: int) -> Iterator[subprocess.Popen[str]]:
    command: Sequence[str | Path] = [
        python, MODELS, "serve", name, "--port", str(port), "--dir", weights
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=PIPE, stderr=DEVNULL, text=True) as server:
        try:
            yield server
        finally:
            server.terminate()


def _wait_until_ready(server: subprocess.Popen[str]) -> None:
    """Wait for the one line that a server prints once it listens."""
    line = server.stdout.readline() if server.stdout else ""
    if "ready at" not in line:
        raise RuntimeError(f"a model server did not start: {line or server.args}")
