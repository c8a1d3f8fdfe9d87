"""Read the one JSON value that an answer holds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from calibrate.graders.numeric import MOST_CHARACTERS, parse_number
from calibrate.graders.text import shown

__all__ = ["UnreadableError", "read_json", "refuse_excess"]

# Beyond these an answer is unreadable: every level of nesting takes stack.
MOST_VALUES = 10_000
MOST_LEVELS = 50

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_JSON_STARTS = re.compile(r'\{\s*"|\[\s*\{')


class UnreadableError(ValueError):
    """An answer in which there is not one JSON value; the message is the reason."""


def read_json(answer: str, parse_float: Callable[[str], Any] | None = None) -> Any:
    """Return the JSON value of an answer; raises `UnreadableError` where there is not just one.

    The answer is JSON, with or without a code fence around it, or a text with one object (or
    one list of objects) in it. A number with a point becomes a `Decimal` unless told otherwise.
    A key given twice, `NaN` and a number that is out of this world are refused.
    """
    decoder = json.JSONDecoder(
        object_pairs_hook=_object,
        parse_constant=_constant,
        parse_int=_int,
        parse_float=parse_float or _decimal,
    )
    text = answer.strip().strip("\ufeff")
    fenced = _FENCED.fullmatch(text)
    try:
        value = _decoded(decoder, (fenced[1] if fenced else text).strip())
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    refuse_excess(value)
    return value


def _decoded(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        start = _JSON_STARTS.search(text)
        if start is None:
            raise UnreadableError(f"no JSON in {shown(text)}: {error.msg}") from None
    try:
        value, end = decoder.raw_decode(text, start.start())
    except json.JSONDecodeError as error:
        # An inner object must not stand for an outer one that is broken.
        raise UnreadableError(
            f"not JSON: {error.msg} at {shown(text[error.pos : error.pos + 20])}"
        ) from None
    if _JSON_STARTS.search(text, end):
        raise UnreadableError("more than one JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise UnreadableError(f"the key {shown(twice)} is given twice")
    return found


def _constant(name: str) -> Any:
    raise UnreadableError(f"{name} is not JSON")


def _int(text: str) -> int:
    if len(text) > MOST_CHARACTERS:
        raise UnreadableError(f"a number of {len(text):,} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    number = parse_number(text)
    if number is None:
        raise UnreadableError(f"the number {shown(text)} is too long or too large")
    return number


def refuse_excess(value: Any, most_levels: int = MOST_LEVELS) -> None:
    """Refuse a value that is nested too deeply or has too many parts, without recursion."""
    level, count = [value], 0
    for _ in range(most_levels):
        count += len(level)
        if count > MOST_VALUES:
            raise UnreadableError(f"more than {MOST_VALUES:,} values")
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise UnreadableError(f"more than {most_levels} levels of nesting")


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
