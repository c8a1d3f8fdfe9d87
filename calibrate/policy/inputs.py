"""What a route may go by before a call: how long a request is, and how simple it looks."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence

import regex

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "DIGITS",
    "FEATURES",
    "estimated_tokens",
    "features_of",
    "simplicity",
]

CHARACTERS_PER_TOKEN = 4  # a rule of thumb, for models whose tokeniser is not known
TOKENS_PER_MESSAGE = 4
MOST_CHARACTERS = 100_000  # of an input; what follows is seldom of another kind
DIGITS = 6
_CODE = regex.compile(
    r"\s*(?:```|[{}\])]+[;,]?\s*$|\w.{0,500}[;{]\s*$|#include\b|(?:def|function) \w+\("
    r"|class \w+[:(]|import [\w.]+\s*$|from [\w.]+ import\b|SELECT\b.{1,500}\bFROM\b)"
)
_ENDS = regex.compile(r"[.!?\u2026\u3002\uff01\uff1f]+(?:\s|$)")
_ONE_SYSTEM = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}  # Japanese is written in all three


def _length(text: str) -> float:
    return math.log1p(len(text)) / math.log1p(MOST_CHARACTERS)


def _lines(text: str) -> float:
    return _up_to(100, text.count("\n"))


def _digits(text: str) -> float:
    is_plain = text.isascii()  # where ten counts are far quicker than a look at each character
    count = sum(map(text.count, "0123456789")) if is_plain else sum(map(str.isdigit, text))
    return count / max(len(text), 1)


def _questions(text: str) -> float:
    return _up_to(10, sum(text.count(mark) for mark in "?\uff1f\u061f\u037e"))


def _code(text: str) -> float:
    lines = [line for line in text.splitlines() if line.strip()]
    return sum(map(bool, map(_CODE.match, lines))) / max(len(lines), 1)


def _scripts(text: str) -> float:
    """Count writing systems beyond the first, each with at least a letter in twenty."""
    if text.isascii():
        return 0.0
    letters: dict[str, int] = {}
    for char in text:
        if char.isalpha():
            script = unicodedata.name(char, "?").partition(" ")[0]
            script = _ONE_SYSTEM.get(script, script)
            letters[script] = letters.get(script, 0) + 1
    least = sum(letters.values()) / 20
    return min(max(sum(count >= least for count in letters.values()) - 1, 0) / 3, 1.0)


def _word_length(text: str) -> float:
    words = text.split()
    return min(sum(map(len, words)) / max(len(words), 1) / 20, 1.0)


def _sentence_length(text: str) -> float:
    return _up_to(100, len(text.split()) / max(len(_ENDS.findall(text)), 1))


def _up_to(most: float, count: float) -> float:
    return min(math.log1p(count) / math.log1p(most), 1.0)


FEATURES: Mapping[str, Callable[[str], float]] = {
    "length": _length,
    "lines": _lines,
    "digits": _digits,
    "questions": _questions,
    "code": _code,
    "scripts": _scripts,
    "word_length": _word_length,
    "sentence_length": _sentence_length,
}


def features_of(text: str) -> dict[str, float]:
    """Return every feature of a text, each from 0 to 1.

    `length` and `lines` grow with the logarithm of their count, as do `questions` (marks) and
    `sentence_length` (words); `digits` and `code` are shares of the characters and of the lines;
    `word_length` is in twenties of characters, and `scripts` counts up to three further writing
    systems.
    """
    text = text[:MOST_CHARACTERS]
    return {name: round(measure(text), DIGITS) for name, measure in FEATURES.items()}


def simplicity(
    features: Mapping[str, float], weights: Mapping[str, float], intercept: float = 1
) -> float:
    """Return the intercept less the weighted features: the higher, the simpler the input."""
    complexity = math.fsum(weight * features[name] for name, weight in weights.items())
    return round(intercept - complexity, DIGITS)


def estimated_tokens(texts: Sequence[str]) -> int:
    """Return about how many tokens some messages are: a pure formula, the same everywhere."""
    characters = sum(map(len, texts))
    return -(-characters // CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE * len(texts)
