"""The generated parts of the README: every command's help, and what the shown commands print.

`make readme` writes them anew, `make test` checks them, both with cog.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from calibrate.cli import COMMANDS, parser_for

ROOT = Path(__file__).parent.parent

os.environ["COLUMNS"] = "80"  # help and tables are wrapped to the terminal otherwise


def commands() -> str:
    """Return every command with its one-line summary, as a table."""
    rows = "\n".join(f"| `calibrate {name}` | {text} |" for name, text in COMMANDS.items())
    return f"| command | |\n|---|---|\n{rows}"


def helps() -> str:
    """Return every command's help, folded."""
    return "\n\n".join(
        f"<details>\n<summary><code>calibrate {name}</code></summary>\n\n"
        f"```text\n{parser_for(name).format_help()}```\n\n</details>"
        for name in COMMANDS
    )


def console(*commands: str) -> str:
    """Return commands with what they print, run on a copy of the shipped project."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("evals", "datasets", "routing-policy.yaml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder, name))
        shown = [f"$ {command}\n{_output(command, folder)}" for command in commands]
    return "```console\n" + "\n".join(shown) + "```"


def _output(command: str, folder: str) -> str:
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise RuntimeError(f"{command}: {done.stderr}")
    return "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines()) + "\n"
