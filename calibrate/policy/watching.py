"""A file that is read again when it has changed, while others go on with what it said before."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock, Thread
from typing import Generic, TypeVar

from calibrate.document import read_text
from calibrate.errors import PolicyError

__all__ = ["FileWatch"]

T = TypeVar("T")
Look = tuple[int, ...] | None

SETTLE_S = 0.02  # a file that changes within this time is still being written
LOOKS = 5  # at a file that does not settle, before it is left to the next time
_log = logging.getLogger("calibrate.policy")


class FileWatch(Generic[T]):
    """What a file says, read again after it has changed.

    There is no thread that waits: a look is due when `current` is asked for, and costs a system
    call at most every `every_s` seconds. So it goes on working in a process that was forked.
    """

    def __init__(self, path: Path, read: Callable[[str, str], T], *, every_s: float) -> None:
        """Read the file; raises what `read(place, text)` raises, and `PolicyError` without one."""
        self._path = path
        self._read = read
        self._every_s = every_s
        self._seen = self._look()
        text = read_text(path, PolicyError)
        self._digest = _digest(text)
        self._current = read(str(path), text)
        self._problem: PolicyError | None = None
        self._next_look = time.monotonic() + every_s
        self._thread: Thread | None = None
        self._start_over()

    @property
    def current(self) -> T:
        """What the file said when it was last read and found good."""
        if time.monotonic() >= self._next_look:
            self._look_again()
        return self._current

    @property
    def problem(self) -> PolicyError | None:
        """What is wrong with the file as it is now; None where it is in use."""
        return self._problem

    def refresh(self) -> bool:
        """Look at the file now and read it if it has changed; return whether it says otherwise."""
        with self._lock:
            seen = self._settled()
            if seen == self._seen:
                return False
            try:
                text = read_text(self._path, PolicyError)
                digest = _digest(text)
                is_new = digest != self._digest
                fresh = self._read(str(self._path), text) if is_new else self._current
            except PolicyError as error:
                self._seen, self._problem = seen, error
                _log.warning("%s; the policy before it stays in use", "; ".join(error.problems))
                return False
            if self._look() != seen:
                return False  # it was changed while it was read: the next look will see that
            self._seen, self._digest = seen, digest
            self._current, self._problem = fresh, None
            return is_new

    def _look_again(self) -> None:
        self._next_look = time.monotonic() + self._every_s
        if self._process != os.getpid():
            self._start_over()
        is_busy = self._thread is not None and self._thread.is_alive()
        if is_busy or self._look() == self._seen:
            return
        # No thread can be had when the interpreter ends; then the policy stays as it is.
        with suppress(RuntimeError):
            thread = Thread(target=self.refresh, name="calibrate-policy", daemon=True)
            thread.start()
            self._thread = thread

    def _start_over(self) -> None:
        """Forget the parent's lock and thread: a child has neither, only their state."""
        self._process = os.getpid()
        self._lock = Lock()
        self._thread = None

    def _settled(self) -> Look:
        """Return how the file looks once it does not change any more.

        A file that is replaced at once is whole at the first look; this is for one that is
        written in place.
        """
        before = self._look()
        if before == self._seen:
            return before
        for _ in range(LOOKS):
            time.sleep(SETTLE_S)
            after = self._look()
            if after == before:
                return after
            before = after
        return self._seen

    def _look(self) -> Look:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
