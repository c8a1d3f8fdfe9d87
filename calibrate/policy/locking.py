"""One writer at a time: a lock beside a file that is read, changed and replaced."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calibrate.errors import OutputError

__all__ = ["locked"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds the file's lock, and hold it; raises `OutputError`.

    The operating system lets go of it when a process ends, however that happens.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _held(lock)
    except OSError as error:
        raise OutputError(f"{lock}: cannot be locked: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # an open file cannot be removed everywhere
            lock.unlink()
        os.close(handle)


def _held(lock: Path) -> int:
    """Return an open file that is locked and still the one at its place.

    Whoever held it before has removed it, and a third one may have made another since.
    """
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _wait(handle)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(lock)):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


if sys.platform == "win32":  # pragma: no cover

    def _wait(handle: int) -> None:
        import msvcrt

        while True:
            with suppress(OSError):  # it gives up after ten seconds
                msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
                return

else:

    def _wait(handle: int) -> None:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
