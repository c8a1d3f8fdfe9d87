"""`calibrate schema`: print the JSON Schema of a file format."""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files

DESCRIPTION = "Print the JSON Schema of a file format, for editors and other programs."
EXAMPLE = "calibrate schema workflow > workflow.schema.json"

NAMES = ("tiers", "workflow", "case", "recording", "projection", "routing-policy", "routes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--json", action="store_true", help="a schema is JSON in any case")


def handle(arguments: argparse.Namespace) -> int:
    file = files("calibrate") / "schemas" / f"{arguments.name}.schema.json"
    sys.stdout.write(file.read_text("utf-8"))
    return 0
