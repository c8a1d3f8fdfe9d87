"""One parsed document to one tree of plain dataclasses, or every problem in it.

What pydantic does for the files that people write, done for the policy with the standard library
alone: a service that only reads a policy should not wait for more.
"""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from calibrate.document import Document
from calibrate.errors import did_you_mean

__all__ = ["read_structure"]

T = TypeVar("T")
Path = tuple[str | int, ...]

_INVALID: Any = object()


def read_structure(record: type[T], document: Document, problems: list[str]) -> T | None:
    """Return the record that a document describes; None with `problems` filled where it can't."""
    found: list[tuple[Path, str]] = []
    value = _read(record, document.value, (), found)
    problems += [document.at(path, text) for path, text in found]
    return None if found else value


def _read(kind: Any, value: Any, path: Path, problems: list[tuple[Path, str]]) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _read_record(kind, value, path, problems)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        return _read(next(a for a in get_args(kind) if a is not type(None)), value, path, problems)
    if origin is Literal:
        choices = get_args(kind)
        if value in choices and type(value) in {type(choice) for choice in choices}:
            return value
        return _wrong(f"one of {', '.join(map(repr, choices))}", value, path, problems)
    if origin is tuple:
        return _read_sequence(get_args(kind)[0], value, path, problems)
    if origin is dict:
        return _read_mapping(get_args(kind)[1], value, path, problems)
    return _read_scalar(kind, value, path, problems)


def _read_record(kind: Any, value: Any, path: Path, problems: list[tuple[Path, str]]) -> Any:
    if not isinstance(value, dict):
        return _wrong("an object", value, path, problems)
    hints, known = _hints(kind), {item.name for item in fields(kind)}
    for key in value:
        if key not in known:
            problems.append(((*path, str(key)), f"unknown key{did_you_mean(str(key), known)}"))
    arguments = {}
    for item in fields(kind):
        if item.name in value:
            arguments[item.name] = _read(
                hints[item.name], value[item.name], (*path, item.name), problems
            )
        elif item.default is MISSING and item.default_factory is MISSING:
            problems.append(((*path, item.name), "is missing"))
    if any(argument is _INVALID for argument in arguments.values()) or problems:
        return _INVALID
    return kind(**arguments)


def _read_sequence(kind: Any, value: Any, path: Path, problems: list[tuple[Path, str]]) -> Any:
    if not isinstance(value, list):
        return _wrong("a list", value, path, problems)
    return tuple(_read(kind, item, (*path, index), problems) for index, item in enumerate(value))


def _read_mapping(kind: Any, value: Any, path: Path, problems: list[tuple[Path, str]]) -> Any:
    if not isinstance(value, dict):
        return _wrong("an object", value, path, problems)
    for key in value:
        if not isinstance(key, str):
            problems.append(((*path, str(key)), "a key must be a text; put it in quotes"))
    return {key: _read(kind, item, (*path, key), problems) for key, item in value.items()}


def _read_scalar(kind: Any, value: Any, path: Path, problems: list[tuple[Path, str]]) -> Any:
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is kind and not (kind is float and not math.isfinite(value)):
        return value
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return _wrong(words[kind], value, path, problems)


def _wrong(
    wanted: str, value: Any, path: Sequence[str | int], problems: list[tuple[Path, str]]
) -> Any:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    problems.append((tuple(path), f"expected {wanted}, got {shown}"))
    return _INVALID


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
