"""The standard streams as a command needs them: both there, and no error where nobody listens."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast

__all__ = ["drop_output", "standard_streams"]


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make stdout and stderr fit to be written to, for a while."""
    with ExitStack() as opened:
        # In this order: what is closed has left its number to the file that is opened next.
        out = sys.stdout or opened.enter_context(open(os.devnull, "w"))
        talk = sys.stderr or opened.enter_context(open(os.devnull, "w"))
        for stream in (out, talk):
            if isinstance(stream, TextIOWrapper):
                # A terminal or pipe that knows no `≥` gets an escape for it, and not a crash.
                stream.reconfigure(errors="backslashreplace")
        opened.enter_context(redirect_stdout(out))
        opened.enter_context(redirect_stderr(cast(TextIO, _Talk(talk))))
        yield


def drop_output() -> None:
    """Let what is still buffered for stdout go nowhere, so that it does not fail again at exit."""
    with suppress(OSError):  # in a program that calls `main`, it may be no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Talk:
    """A stream of which nothing depends on who reads it: what cannot be written goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
