from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from loopback import Loopback
from wire.api import KEY, Api
from wire.line import KEY_ENV, Line


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Api], Line]]:
    """Return what opens a line to an API; its server stops with the test."""
    monkeypatch.setenv(KEY_ENV, KEY)
    with ExitStack() as running:
        yield lambda api: Line(api, running.enter_context(Loopback(api)))
