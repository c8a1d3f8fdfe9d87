"""No signal sees a golden answer."""

from __future__ import annotations

import subprocess
import sys


def test_neither_the_data_sets_nor_the_graders_are_within_reach() -> None:
    program = (
        "import sys, calibrate.signals\n"
        "print(*sorted(name for name in sys.modules if name.startswith('calibrate.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "calibrate.signals.reader" in loaded
    assert [
        name for name in loaded if name.startswith(("calibrate.dataset", "calibrate.graders"))
    ] == []
