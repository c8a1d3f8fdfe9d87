"""The one JSON document of a command, also where it ends without an answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["asks_for_json", "error_json", "print_json"]


def print_json(document: Mapping[str, Any]) -> None:
    """Print a command's one JSON document."""
    json.dump({"schema": 1, **document}, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def error_json(problems: Iterable[str], exit_status: int = 2) -> dict[str, Any]:
    """Return what a document says of an error; the problems are the lines that stderr has."""
    return {"error": {"exit_status": exit_status, "problems": list(problems)}}


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Return whether a command line, which need not be a right one, wants a JSON document."""
    return (
        "--json" in arguments
        or "--format=json" in arguments
        or ("--format", "json") in pairwise(arguments)
    )
