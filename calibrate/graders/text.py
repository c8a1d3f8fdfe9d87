"""Judge an answer as a text: equal to, containing, matching a pattern."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import regex
from pydantic import Field, field_validator

from calibrate.errors import GraderError
from calibrate.graders.base import Grade, Grader

__all__ = [
    "MARKS",
    "REGEX_TIMEOUT_S",
    "STOPS",
    "Contains",
    "ExactMatch",
    "Regex",
    "compile_pattern",
    "content_lines",
    "expected_text",
    "fold",
    "listed",
    "search",
    "shown",
    "stated",
    "unwrap",
]

REGEX_TIMEOUT_S = 1.0

T = TypeVar("T")

# What says nothing at the edges of an answer: spaces, direction marks, zero widths.
_SPACES = "".join(char for char in map(chr, range(0x3001)) if char.isspace())
_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
_EDGES = _SPACES + _UNSEEN + "\u2066\u2067\u2068\u2069"
MARKS = _EDGES + "*_`~\"'()[]{}<>|#=\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u2039\u203a"
STOPS = ".,;:!?\u2026\u3002"

# Models write these for the plain signs that labels have.
_LOOKALIKES = str.maketrans({"\u2010": "-", "\u2011": "-", "\u2019": "'", "\u2018": "'"})
_SHORT = 100  # characters: labels and the like, which come again and again

_FENCE = re.compile(r"\s*```[\w+-]*\s*")
_PREFIX = regex.compile(
    r"[^\w]{0,9}_{0,3}([^\W\d_][\w'-]*+(?: [\w'-]++){0,2}+) ?[*_]{0,3}[:=\uff1a]"
)
_CONCLUDES = frozenset(
    (
        *("answer", "category", "class", "classification", "decision", "is", "label", "queue"),
        *("result", "total", "value", "verdict"),
    )
)


class ExactMatch(Grader):
    """The answer equals the expected text, but for white space around it."""

    ignore_case: bool = Field(False, description="Take `Yes` and `YES` as equal.")
    ignore_punctuation: bool = Field(
        False,
        description="Also ignore quotes, Markdown marks and full stops around the answer; "
        "signs inside it still count.",
    )

    def grade(self, answer: str, expected: Any) -> Grade:
        """See `Grader.grade`. Composed and decomposed letters, and line endings, are equal."""
        wanted = expected_text(expected)
        if self._tidy(answer) == self._tidy(wanted):
            return Grade(1.0, "equals the expected text")
        return Grade(0.0, f"{shown(answer)} is not {shown(wanted)}")

    def _tidy(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
        if self.ignore_case:
            text = unicodedata.normalize("NFC", text.casefold())
        if self.ignore_punctuation:
            text = unwrap(text) or text
        return text.strip(_EDGES)


class Contains(Grader):
    """Every phrase occurs in the answer, anywhere; the score is the share that does."""

    # The name is the option's in the file; methods still see the builtin.
    all: list[str] | None = Field(
        None,
        min_length=1,
        description="The phrases; where omitted, each case's `expected`: a text or a list of them.",
    )
    ignore_case: bool = Field(False, description="Take `Refund` and `refund` as equal.")

    @field_validator("all")
    @classmethod
    def _no_empty_phrase(cls, phrases: list[str] | None) -> list[str] | None:
        if phrases is not None and not all(fold(phrase) for phrase in phrases):
            raise ValueError("an empty phrase is in every answer")
        return phrases

    def grade(self, answer: str, expected: Any) -> Grade:
        """See `Grader.grade`. Line breaks and runs of spaces count as one space."""
        phrases = self.all if self.all is not None else self._expected_phrases(expected)
        text = fold(answer, self.ignore_case)
        missing = [phrase for phrase in phrases if fold(phrase, self.ignore_case) not in text]
        if not missing:
            return Grade(1.0, "contains what is expected")
        score = (len(phrases) - len(missing)) / len(phrases)
        return Grade(score, f"does not contain {listed(shown(phrase) for phrase in missing)}")

    def _expected_phrases(self, expected: Any) -> list[str]:
        phrases = [
            expected_text(item) for item in (expected if isinstance(expected, list) else [expected])
        ]
        if not phrases or not all(fold(phrase) for phrase in phrases):
            raise GraderError("`expected` is empty, and that is in every answer")
        return phrases


class Regex(Grader):
    """The answer matches a pattern; `expected` is not looked at."""

    pattern: str = Field(
        description="A regular expression as the Python module `regex` has them; it is searched "
        "in the answer without the white space around it."
    )
    full: bool = Field(False, description="The whole answer must match, not a part of it.")
    ignore_case: bool = Field(False, description="Match letters of either case.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        compile_pattern(pattern)
        return pattern

    def grade(self, answer: str, expected: Any) -> Grade:
        """See `Grader.grade`; raises `GraderError` for a pattern that takes too long."""
        pattern = compile_pattern(self.pattern, self.ignore_case)
        if search(pattern, answer.strip(_EDGES), self.full):
            return Grade(1.0, "matches the pattern")
        return Grade(0.0, f"{shown(answer)} does not match {shown(self.pattern)}")


def fold(text: str, ignore_case: bool = True) -> str:
    """Return the form in which two texts that look the same are equal; one space for many."""
    return (_folded_before if len(text) <= _SHORT else _folded)(text, ignore_case)


def _folded(text: str, ignore_case: bool) -> str:
    text = unicodedata.normalize("NFC", text).translate(_LOOKALIKES)
    if ignore_case:
        text = unicodedata.normalize("NFC", text.casefold())
    return " ".join(text.split()).strip(_EDGES)


_folded_before = lru_cache(maxsize=1024)(_folded)


def unwrap(text: str) -> str:
    """Return a text without the quotes, Markdown marks and full stops around it.

    A point in front stays: it may begin a number.
    """
    return text.lstrip(MARKS).rstrip(MARKS + STOPS)


def shown(value: object) -> str:
    """Return a short `repr` for a message: it holds nothing that a terminal would obey."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else repr(value[:57]) + "..."
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # over 4,300 digits, or too deep to be written
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else text[:57] + "..."


def listed(items: Iterable[str], most: int = 10) -> str:
    """Return the first items and how many more there are."""
    items = list(items)
    more = [f"{len(items) - most} more"] if len(items) > most else []
    return ", ".join([*items[:most], *more])


def content_lines(answer: str) -> list[str]:
    """Return the lines that say something: no empty ones and no code fences."""
    return [
        line for line in answer.splitlines() if line.strip(_EDGES) and not _FENCE.fullmatch(line)
    ]


def stated(lines: Sequence[str], read: Callable[[str, str], T | None]) -> tuple[T, ...]:
    """Return what the first and the last line say by themselves: no, one or two values.

    `read` gets a prefix like `answer` (or nothing) and what follows it. The last line counts
    with a prefix only where that announces a conclusion: `Confidence: 0.9` is none.
    """
    found: list[T] = []
    for index in {0: None, len(lines) - 1: None} if lines else ():
        line = lines[index]
        value = read("", line)
        prefix = _PREFIX.match(line[:120])
        if value is None and prefix and (index == 0 or _concludes(prefix[1])):
            value = read(prefix[1], line[prefix.end() :])
        if value is not None and value not in found:
            found.append(value)
    return tuple(found)


def _concludes(prefix: str) -> bool:
    return prefix.casefold().split()[-1].strip("_") in _CONCLUDES


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, ignore_case: bool = False) -> regex.Pattern[str]:
    """Return a compiled pattern; raises `ValueError` that says what is wrong with it."""
    try:
        return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
    except (regex.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
        raise ValueError(f"not a regular expression: {error}") from error


def search(pattern: regex.Pattern[str], text: str, full: bool = False) -> bool:
    """Return whether a pattern matches; raises `GraderError` when that takes too long."""
    match = pattern.fullmatch if full else pattern.search
    try:
        return match(text, timeout=REGEX_TIMEOUT_S) is not None
    except TimeoutError:
        raise GraderError(
            f"the pattern {shown(pattern.pattern)} did not end within {REGEX_TIMEOUT_S:g} s "
            f"on {shown(text)}; simplify it"
        ) from None


def expected_text(expected: Any) -> str:
    if isinstance(expected, str):
        return expected
    if isinstance(expected, int) and not isinstance(expected, bool):
        return str(expected)
    raise GraderError(f"`expected` must be a text, got {shown(expected)}; put it in quotes")
