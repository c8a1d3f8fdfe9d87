"""The numbers of a text, and whether a document has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["is_shown", "numbers_in", "values_in"]

# Not those within a name, such as `gemma-3-270m`, and not powers of ten.
_NUMBER = re.compile(r"(?<![\w.-])-?\$?(\d[\d,]*(?:\.\d+)?(?:e-?\d+)?)(?!\w*[a-z]\w*[-_])")


def numbers_in(text: str) -> list[tuple[float, int]]:
    """Return the numbers in a text, each with the digits after its point."""
    return [
        (float(one.replace(",", "")), len(one.partition(".")[2]))
        for one in _NUMBER.findall(text)
        if "e" not in one
    ]


def is_shown(number: float, digits: int, value: float) -> bool:
    """Return whether a number is a value rounded to its digits.

    The value is shown as it stands, as a percentage, or per thousand.
    """
    half = 0.5001 * 10**-digits
    return any(abs(number - factor * abs(value)) <= half for factor in (1, 100, 1000))


def values_in(document: Any) -> Iterator[float]:
    """Yield every number of a document, also those in its sentences, and the lengths of lists."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from values_in(name)
            yield from values_in(value)
    elif isinstance(document, list):
        yield float(len(document))
        for value in document:
            yield from values_in(value)
    elif isinstance(document, str):
        for number, _ in numbers_in(document.replace("\u00a0", " ")):
            yield number
            yield number / 100  # a percentage
    elif isinstance(document, int | float) and not isinstance(document, bool):
        yield float(document)
