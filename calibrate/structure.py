"""One parsed document to one tree of plain dataclasses, or every problem in it.

What pydantic does for the files that people write, done for the policy with the standard library
alone: a service that only reads a policy should not wait for more. Each type is turned into a
function once, so that a policy of a thousand workflows is read in a blink.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from calibrate.document import Document
from calibrate.errors import did_you_mean, looks_like_key

__all__ = ["read_structure"]

T = TypeVar("T")
Path = tuple[str | int, ...]
_LARGEST_INT = 2**53  # up to which a float holds every whole number


class _Wrong:
    """What a reader returns in place of a value: the problems below it, each with its path."""

    __slots__ = ("problems",)

    def __init__(self, problems: list[tuple[Path, str]]) -> None:
        self.problems = problems

    def under(self, step: str | int) -> list[tuple[Path, str]]:
        return [((step, *path), text) for path, text in self.problems]


_Reader = Callable[[Any], Any]


def read_structure(record: type[T], document: Document, problems: list[str]) -> T | None:
    """Return the record that a document describes; None with `problems` filled where it can't."""
    kind: Any = record
    found = _reader(kind)(document.value)
    if type(found) is _Wrong:
        problems += [document.at(path, text) for path, text in found.problems]
        return None
    value: T = found
    return value


@cache
def _reader(kind: Any) -> _Reader:
    """Return the function that reads a value as `kind`, or returns what is wrong with it."""
    origin = get_origin(kind)
    if kind is Any:
        return _anything
    if is_dataclass(kind):
        return _record_reader(kind)
    if origin in (Union, types.UnionType):
        inner = next(part for part in get_args(kind) if part is not type(None))
        return _optional_reader(_reader(inner))
    if origin is Literal:
        return _choice_reader(get_args(kind))
    if origin is tuple:
        return _sequence_reader(_reader(get_args(kind)[0]))
    if origin in (dict, Mapping):
        return _mapping_reader(_reader(get_args(kind)[1]))
    return _float if kind is float else _scalar_reader(kind)


def _anything(value: Any) -> Any:
    return value


def _record_reader(kind: Any) -> _Reader:
    hints = get_type_hints(kind)
    readers = [
        (item.name, _as_they_are(hints[item.name]), _reader(hints[item.name]))
        for item in fields(kind)
    ]
    required = {
        item.name
        for item in fields(kind)
        if item.default is MISSING and item.default_factory is MISSING
    }

    def read(value: Any) -> Any:
        if type(value) is not dict:
            return _wrong("an object", value)
        problems: list[tuple[Path, str]] = []
        arguments = {}
        for name, as_they_are, read_part in readers:
            if name in value:
                part = value[name]
                if type(part) not in as_they_are:
                    part = read_part(part)
                    if type(part) is _Wrong:
                        problems += part.under(name)
                arguments[name] = part
            elif name in required:
                problems.append(((name,), "is missing"))
        if len(arguments) != len(value):
            problems[:0] = _unknown_keys(value, {name for name, *_ in readers})
        return _Wrong(problems) if problems else kind(**arguments)

    return read


def _as_they_are(kind: Any) -> frozenset[type]:
    """Return the types of which every value is one of `kind`, so that no reader need be asked."""
    if get_origin(kind) in (Union, types.UnionType):
        return frozenset().union(*map(_as_they_are, get_args(kind)))
    return frozenset({kind} & {str, int, bool, types.NoneType})


def _unknown_keys(keys: Iterable[Any], known: set[str]) -> list[tuple[Path, str]]:
    return [
        ((str(key),), f"unknown key{did_you_mean(str(key), known)}")
        for key in keys
        if key not in known
    ]


def _optional_reader(read_inner: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        return None if value is None else read_inner(value)

    return read


def _choice_reader(choices: tuple[Any, ...]) -> _Reader:
    kinds = {type(choice) for choice in choices}
    wanted = f"one of {', '.join(map(repr, choices))}"

    def read(value: Any) -> Any:
        # `True == 1`, and the version is no truth.
        return value if value in choices and type(value) in kinds else _wrong(wanted, value)

    return read


def _sequence_reader(read_item: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        if type(value) is not list:
            return _wrong("a list", value)
        items = tuple(map(read_item, value))
        problems = [
            problem
            for index, item in enumerate(items)
            if type(item) is _Wrong
            for problem in item.under(index)
        ]
        return _Wrong(problems) if problems else items

    return read


def _mapping_reader(read_item: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        if type(value) is not dict:
            return _wrong("an object", value)
        problems: list[tuple[Path, str]] = [
            ((str(key),), "a key must be a text; put it in quotes")
            for key in value
            if type(key) is not str
        ]
        items = {}
        for key, given in value.items():
            item = items[key] = read_item(given)
            if type(item) is _Wrong:
                problems += item.under(key)
        return _Wrong(problems) if problems else items

    return read


def _float(value: Any) -> Any:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and abs(value) < _LARGEST_INT:
        return float(value)
    return _wrong("a number", value)


def _scalar_reader(kind: type) -> _Reader:
    wanted = {str: "a text", int: "a whole number", bool: "true or false"}[kind]

    def read(value: Any) -> Any:
        return value if type(value) is kind else _wrong(wanted, value)

    return read


def _wrong(wanted: str, value: Any) -> _Wrong:
    shown = repr(value)
    if looks_like_key(shown):  # checked before it is cut: half of a key is told by nothing
        shown = "what looks like a key"
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return _Wrong([((), f"expected {wanted}, got {shown}")])
