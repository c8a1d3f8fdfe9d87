"""Digests that do not depend on key order, platform or Python version."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

__all__ = ["canonical_bytes", "digest", "digest_of_rows", "json_problem", "seeded_order_key"]

MAX_DEPTH = 100


def canonical_bytes(value: Any) -> bytes:
    """Return the one JSON form of a value: sorted keys, no spaces, UTF-8, no NaN.

    A whole float is written like the integer it equals, so that `1` and `1.0` in a YAML file are
    the same input; a `Decimal` is written as its normalised digits.
    """
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Any) -> str:
    """Return `sha256:<hex>` over the canonical bytes of a value."""
    return "sha256:" + hashlib.sha256(canonical_bytes(value)).hexdigest()


def digest_of_rows(rows: Iterable[Any]) -> str:
    """Return the `digest` of the list of these rows, of which only one is held at a time."""
    found = hashlib.sha256(b"[")
    for number, row in enumerate(rows):
        found.update(b"," if number else b"")
        found.update(canonical_bytes(row))
    found.update(b"]")
    return f"sha256:{found.hexdigest()}"


def seeded_order_key(seed: int, identifier: str) -> bytes:
    """Return the sort key that puts identifiers into a random order fixed by `seed` alone."""
    return hashlib.sha256(f"{seed}:{identifier}".encode()).digest()


def json_problem(value: Any, place: str = "", depth: int = 0) -> str | None:
    """Return where and why a value has no canonical bytes, or None: it is plain JSON."""
    where = f"{place.removeprefix('.')}: " if place else ""
    if depth > MAX_DEPTH:
        return f"nested more than {MAX_DEPTH} levels deep"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return f"{where}a key must be a text; put it in quotes"
        inner = [(key, "a key") for key in value]
        inside = [*inner, *((item, f"{place}.{key}") for key, item in value.items())]
    elif isinstance(value, list):
        inside = [(item, f"{place}[{index}]") for index, item in enumerate(value)]
    else:
        why = _scalar_problem(value)
        return None if why is None else f"{where}{why}"
    found = (json_problem(item, name, depth + 1) for item, name in inside)
    return next((problem for problem in found if problem is not None), None)


def _scalar_problem(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "not Unicode text: it holds half of a surrogate pair"
        return None
    if value is None or isinstance(value, bool | int | float):
        return None
    return f"a {type(value).__name__} is not plain JSON; put it in quotes"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
