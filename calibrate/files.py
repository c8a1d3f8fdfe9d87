"""Replace a file at once: a reader sees the old content or the new one, never half of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from calibrate.errors import OutputError

__all__ = ["replace_file"]


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` beside the file and move it into place; raises `OutputError`."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
