"""Ask the local models for every golden case again, and keep their answers as recordings.

    python tests/live/record.py --servers PYTHON --weights DIR WORKFLOW [WORKFLOW ...]

PYTHON is an interpreter that has requirements.txt installed; this script itself needs calibrate.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from servers import serving

PORTS = {"smollm2": 8081, "gemma": 8082, "qwen": 8083, "minilm": 8084}  # as in evals/tiers.yaml


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workflows", metavar="WORKFLOW", nargs="+")
    parser.add_argument("--servers", metavar="PYTHON", type=Path, required=True)
    parser.add_argument("--weights", metavar="DIR", type=Path, required=True)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "calibrate", "run", "--record", "--no-cache", "--cases", "all"]
    with serving(arguments.servers, arguments.weights, PORTS):
        # Status 1 says that a bar was not met; the answers are recorded all the same.
        runs = [subprocess.run([*command, name], check=False) for name in arguments.workflows]
    return max((run.returncode for run in runs if run.returncode != 1), default=0)


if __name__ == "__main__":
    raise SystemExit(main())
