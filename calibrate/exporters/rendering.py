"""Configuration as text: YAML and JSON with the same bytes each time, and comments above them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from calibrate.exporters.base import Note, printable

__all__ = ["json_text", "yaml_text"]

_WIDTH = 1_000_000  # no line is folded: libyaml and Python's own writer fold differently
_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml may not be there


class _Dumper(_SafeDumper):  # type: ignore[misc]
    """Each value stands where it is read, and a script in lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style: str | None = None
    if text.endswith("\n") and all(line.isprintable() for line in text.split("\n")):
        style = "|"
    elif not text.isascii() or text[:1] in "+-.0123456789":
        style = '"'  # `1e3` is a text in one version of YAML and a number in the other
    scalar: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    return scalar


_Dumper.add_representer(str, _text)


def yaml_text(notes: Iterable[Note], *documents: Any, header: Sequence[str] = ()) -> str:
    """Return YAML documents under a comment that tells what they are and cannot enforce."""
    bodies = [
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=_WIDTH)
        for document in documents
    ]
    return _comment([*header, *_told(notes)]) + "---\n".join(bodies)


def json_text(document: Any) -> str:
    """Return one JSON document, in ASCII, with its keys in the order they were put in."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _comment(lines: Iterable[str]) -> str:
    """Return lines as YAML comments; nothing in a line can end it."""
    return "".join(f"# {printable(line)}".rstrip() + "\n" for line in lines)


def _told(notes: Iterable[Note]) -> list[str]:
    told = [f"- {note}" for note in notes]
    return ["", "Not as the policy has it:", *told] if told else []
