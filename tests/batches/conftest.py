"""One run's side of both batch APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from batches.desk import KINDS, Desk
from batches.server import BatchServer
from loopback import Loopback


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each API in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
def desk(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[BatchServer], Desk]]:
    """Return what opens a desk for a server, which stops with the test."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # no time is lost on reading certificates
    with ExitStack() as running:

        def opened(server: BatchServer) -> Desk:
            desk = Desk(tmp_path, kind, running.enter_context(Loopback(server)).base_url)
            server.now = desk.time.clock
            return desk

        yield opened
