"""What the answers of every batch API hold, read from JSON that nobody vouches for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from calibrate.batches.api import Page, Remote
from calibrate.providers.base import Malformed

__all__ = ["as_body", "lines", "number", "page_of", "part", "rows", "segment", "text"]

_MOST = 200  # characters of a name


def text(value: Mapping[str, Any], name: str) -> str:
    """Return a name that a later call needs; raises `Malformed` where it is none."""
    found = value.get(name)
    if not isinstance(found, str) or not found or len(found) > _MOST or not found.isprintable():
        raise Malformed(f"no {name} in the answer")
    return found


def number(value: Any) -> int:
    """Return a count; 0 where it cannot be one."""
    return value if type(value) is int and value >= 0 else 0


def part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object within an object; an empty one where it is missing."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def rows(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a list of objects; raises `Malformed` where it is no list."""
    found = value.get(name)
    if not isinstance(found, list):
        raise Malformed(f"no {name} in the answer")
    return [row for row in found if isinstance(row, dict)]


def page_of(value: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Remote]) -> Page:
    """Return a page of a list; both APIs say in the same words whether it goes on."""
    found = tuple(map(read, rows(value, "data")))
    return Page(found, found[-1].id if found and value.get("has_more") is True else None)


def segment(name: str) -> str:
    """Return a server's own name as one segment of an address: it can lead nowhere else."""
    return quote(name, safe="").replace(".", "%2E")


def as_body(value: Any) -> bytes:
    """Return a part of an answer as the body of an answer of its own."""
    return json.dumps(value).encode()


def lines(content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield each line's object; a line that is none is passed over, and its request unanswered."""
    for line in content.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value
