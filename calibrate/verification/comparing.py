"""Two configurations as values: where the one that is deployed is not the one that is due."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from calibrate.errors import looks_like_key
from calibrate.exporters.base import printable

__all__ = ["Dialect", "Difference", "Step", "compare", "shown"]

Kind = Literal["missing", "extra", "other", "order", "answer"]
# What a step is called, and where it is found in the deployed document.
Step = tuple[str, str | int]

_LONGEST = 80  # signs of a value that are shown
_SECRET_KEY = re.compile(r"key|secret|password|authorization|header_value|token$", re.IGNORECASE)
_IDENTITIES = ("name", "model_name", "model")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the gateway has otherwise than the policy; None is no single workflow."""

    workflow: str | None
    kind: Kind
    place: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        start = "" if self.workflow is None else f"{self.workflow}: "
        return printable(f"{start}{self.place}: {self.text}" if self.place else start + self.text)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What of a gateway's configuration is its owner's business and none of the policy's.

    Places are names of steps joined by `.`, with `[]` for any item of a list.
    """

    ignored: frozenset[str] = frozenset()  # anything may stand there, or nothing
    open: frozenset[str] = frozenset()  # more may stand there than the export has
    unordered: frozenset[str] = frozenset()
    is_filled: bool = False  # whoever sends it puts keys where the export has `$NAME`


@dataclass(frozen=True, slots=True)
class Found:
    """A difference that is not yet told in words: its steps and both values."""

    kind: Kind
    path: tuple[Step, ...]
    text: str

    @property
    def place(self) -> str:
        return "".join(
            f"[{name}]" if isinstance(where, int) else f".{name}" for name, where in self.path
        ).lstrip(".")


def compare(
    expected: Any, deployed: Any, dialect: Dialect, path: tuple[Step, ...] = ()
) -> Iterator[Found]:
    """Yield every difference; a missing or an additional branch is one, not one for each leaf."""
    if _pattern(path) in dialect.ignored:
        return
    if isinstance(expected, dict) and isinstance(deployed, dict):
        yield from _mappings(expected, deployed, dialect, path)
    elif _is_list_of_objects(expected) and _is_list_of_objects(deployed):
        yield from _lists(expected, deployed, dialect, path)
    elif not _same(expected, deployed) and not (
        dialect.is_filled and _is_filled(expected, deployed)
    ):
        yield Found("other", path, _told(expected, deployed, path))


def shown(value: Any, path: tuple[Step, ...] = ()) -> str:
    """Return a value in few signs; of objects only what they are, and nothing like a key."""
    if isinstance(value, dict):
        return "an object" if value else "{}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    is_number = isinstance(value, int | float)  # such as a price per token
    if looks_like_key(text) or (path and not is_number and _SECRET_KEY.search(path[-1][0])):
        return "a value that is not shown here"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _mappings(
    expected: Mapping[str, Any],
    deployed: Mapping[str, Any],
    dialect: Dialect,
    path: tuple[Step, ...],
) -> Iterator[Found]:
    for key, value in expected.items():
        step = (*path, (str(key), str(key)))
        if key in deployed:
            yield from compare(value, deployed[key], dialect, step)
        elif _pattern(step) not in dialect.ignored:
            yield _missing(value, step)
    if _pattern(path) in dialect.open:
        return
    for key, value in deployed.items():
        step = (*path, (str(key), str(key)))
        if key not in expected and _pattern(step) not in dialect.ignored:
            yield _extra(value, step)


def _lists(
    expected: list[Any], deployed: list[Any], dialect: Dialect, path: tuple[Step, ...]
) -> Iterator[Found]:
    wanted, given = _named(expected), _named(deployed)
    if wanted is None or given is None:
        # Without names of their own, items are told apart by where they stand.
        wanted, given = (
            {str(at): (at, item) for at, item in enumerate(items)} for items in (expected, deployed)
        )
    for name, (_, item) in wanted.items():
        if name in given:
            where, other = given[name]
            yield from compare(item, other, dialect, (*path, (name, where)))
        else:
            yield _missing(item, (*path, (name, len(deployed))))
    # An additional item with a name that clients ask for would take part in answering.
    taken = {"*", *map(_group, expected)}
    is_open = _pattern(path) in dialect.open
    for name, (where, item) in given.items():
        if name not in wanted and (not is_open or _group(item) in taken):
            yield _extra(item, (*path, (name, where)))
    yield from _order(wanted, given, dialect, path)


def _order(
    wanted: Mapping[str, Any], given: Mapping[str, Any], dialect: Dialect, path: tuple[Step, ...]
) -> Iterator[Found]:
    due, there = (
        [n for n in one if n in other] for one, other in ((wanted, given), (given, wanted))
    )
    if due != there and _pattern(path) not in dialect.unordered:
        text = f"in the order {', '.join(there)}; the policy has {', '.join(due)}"
        yield Found("order", path, text)


def _missing(value: Any, path: tuple[Step, ...]) -> Found:
    is_one = isinstance(value, dict | list)
    return Found("missing", path, "missing" + ("" if is_one else f"; due is {shown(value, path)}"))


def _extra(value: Any, path: tuple[Step, ...]) -> Found:
    is_one = isinstance(value, dict | list)
    return Found("extra", path, "not of the policy" + ("" if is_one else f": {shown(value, path)}"))


def _told(expected: Any, deployed: Any, path: tuple[Step, ...]) -> str:
    if isinstance(expected, str) and isinstance(deployed, str) and "\n" in expected:
        due, there = expected.splitlines(), deployed.splitlines()
        pairs = enumerate(zip(due, there, strict=False), start=1)
        at = next((n for n, (one, other) in pairs if one != other), min(len(due), len(there)) + 1)
        return f"differs from its line {at} on"
    return f"is {shown(deployed, path)}; due is {shown(expected, path)}"


def _named(items: list[dict[str, Any]]) -> dict[str, tuple[int, dict[str, Any]]] | None:
    """Return the items by their own names, or None where some have none or share one."""
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for at, item in enumerate(items):
        name = _identity(item)
        if name is None or name in found:
            return None
        found[name] = at, item
    return found


def _identity(item: dict[str, Any]) -> str | None:
    info, meta = item.get("model_info"), item.get("metadata")
    if isinstance(info, dict) and isinstance(info.get("id"), str):
        return str(info["id"])
    if isinstance(meta, dict) and isinstance(meta.get("name"), str):
        return f"{item.get('kind')}/{meta['name']}"
    for key in _IDENTITIES:
        if isinstance(item.get(key), str):
            return str(item[key])
    return str(next(iter(item))) if len(item) == 1 else None


def _group(item: dict[str, Any]) -> str | None:
    """Return the name that clients ask for; `*` is asked for by any name."""
    name = item.get("model_name", item.get("name"))
    return name if isinstance(name, str) else _identity(item)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; neither `true` nor "1" is the number 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _is_filled(expected: Any, deployed: Any) -> bool:
    is_reference = isinstance(expected, str) and expected.startswith("$")
    is_value = isinstance(deployed, str) and not deployed.startswith("$")
    return is_reference and is_value and bool(deployed)


def _pattern(path: tuple[Step, ...]) -> str:
    return "".join("[]" if isinstance(where, int) else f".{name}" for name, where in path).lstrip(
        "."
    )
