"""What an answer says, read as a service would read it: a label, a JSON value, or a text."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import regex

from calibrate.fingerprint import canonical_bytes, json_problem

__all__ = ["NotJsonError", "canonical", "folded", "json_in", "label_in", "labels_by_form"]

MOST_CHARACTERS = 1_000_000
MOST_DIGITS = 200
SHORT = 100  # characters: labels and the like, which come again and again
_FENCED = regex.compile(r"```[\w+-]*[ \t]*\n(.*)\n[ \t]*```", regex.DOTALL)
_MARKS = " \t\r\n\"'*_`\u201c\u201d\u2018\u2019\u00ab\u00bb"
_STOPS = ".,;!"


class NotJsonError(ValueError):
    """An answer that is not one JSON value."""


def json_in(answer: str) -> Any:
    """Return the JSON value that an answer is, with or without a code fence around it.

    Raises `NotJsonError` for anything else: other words beside it, a key given twice, `NaN`, or
    more nesting or longer numbers than canonical bytes take.
    """
    text = answer[: MOST_CHARACTERS + 1].strip().strip("\ufeff")
    fenced = _FENCED.fullmatch(text)
    try:
        value = json.loads(
            fenced[1] if fenced else text,
            object_pairs_hook=_once,
            parse_constant=_refused,
            parse_int=_bounded_int,
        )
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error)) from None
    problem = json_problem(value)
    if problem is not None or len(answer) > MOST_CHARACTERS:
        raise NotJsonError(problem or "too long")
    return value


def canonical(value: Any) -> str:
    """Return the one form that equal JSON values have."""
    return canonical_bytes(value).decode()


def folded(text: str) -> str:
    """Return the form in which texts that say the same are equal: case, space and marks aside."""
    return _folded_before(text) if len(text) <= SHORT else _folded(text)


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFC", text).casefold()
    return " ".join(unicodedata.normalize("NFC", plain).split()).strip(_MARKS + _STOPS)


_folded_before = lru_cache(maxsize=1024)(_folded)


def labels_by_form(labels: Sequence[str]) -> Mapping[str, str]:
    """Return the labels by their folded form."""
    return {folded(label): label for label in labels}


def label_in(answer: str, labels: Mapping[str, str]) -> str | None:
    """Return the label that the answer's first line is, and nothing else; None for any other."""
    return labels.get(next(filter(None, map(folded, answer.splitlines())), ""))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _bounded_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number of too many digits")
    return int(digits)
