"""The user's own git, run without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["run_git"]


def run_git(
    arguments: Sequence[str],
    *,
    folder: Path | None = None,
    given: bytes = b"",
    settings: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Return what git answered in a folder (else here), given standard input and variables.

    A revision among the arguments must stand behind a separator. Raises `FileNotFoundError` where
    there is no git, and what else `subprocess.run` does.
    """
    place = () if folder is None else ("-C", str(folder))
    return subprocess.run(  # noqa: S603 - a fixed program
        ["git", *place, *arguments],  # noqa: S607 - the user's own git
        input=given,
        capture_output=True,
        check=False,
        timeout=timeout_s,
        env={**os.environ, **(settings or {})},
    )
