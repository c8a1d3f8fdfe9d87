"""Progress on a real terminal, and silence elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_terminal_sees_each_model_and_a_pipe_sees_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "calibrate", "run", "support-complex", "--project", str(ROOT)]
    command += ["--offline", "--report", str(tmp_path / "r"), "--policy", str(tmp_path / "p.yaml")]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while part := read(ours):
            shown += part
    os.close(ours)
    assert process.returncode == 1
    assert b"support-complex minilm" in shown
    assert b"% pass" in shown
    piped = subprocess.run(command, capture_output=True, check=False)
    assert (piped.returncode, piped.stderr) == (1, b"")


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the other end of a terminal is closed
        return b""
