"""Judge an answer as one of some labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import regex
from pydantic import Field, model_validator

from calibrate.errors import GraderError, did_you_mean
from calibrate.graders.base import Grade, Grader
from calibrate.graders.text import (
    MARKS,
    STOPS,
    content_lines,
    expected_text,
    fold,
    shown,
    stated,
)

__all__ = ["OneOf"]

# A whole word: no letter, digit or mark beside it, nor one that a hyphen or `_` joins to it,
# so that `refund` is not in `non-refund`, but is in `__refund__` and `refund - because`.
_WORD_STARTS = r"(?<![^\W_])(?<![^\W_][_-])(?<![^\W_]__)"
_WORD_ENDS = r"(?![^\W_])(?![_-][^\W_])(?!__[^\W_])"
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
)  # scripts that put no space between words
_EXPLAINED = regex.compile(r"[*_`\"')\]]*+(?: ?: ?| [-\u2013\u2014] )(.*)")
_EXPLANATION_WORDS = 4  # fewer may be a second choice: `billing: or maybe shipping`


class OneOf(Grader):
    """The answer names exactly one label, and it is the expected one.

    What counts, in this order: the whole answer; a first or a last line that holds a label and
    nothing else (`**Billing**`, `Answer: billing.`); a first line like `billing: charged for the
    shipping of two parcels`; the only label that the first line names; the only one that the
    answer names. Labels are found as whole words. Two labels where one should be: a score of 0.
    """

    labels: list[str] | None = Field(
        None,
        min_length=2,
        description="The labels to choose from; the workflow's `labels` where omitted.",
    )
    ignore_case: bool = Field(True, description="Take `Billing` and `billing` as equal.")

    @model_validator(mode="after")
    def _labels_differ(self) -> OneOf:
        if self.labels is None:
            raise ValueError("needs `labels`, here or at the top of the workflow file")
        seen: dict[str, str] = {}
        for label in self.labels:
            key = fold(label, self.ignore_case)
            if not key:
                raise ValueError("`labels` has an empty label")
            if key in seen:
                raise ValueError(f"`labels`: {seen[key]!r} and {label!r} cannot be told apart")
            seen[key] = label
        return self

    def grade(self, answer: str, expected: Any) -> Grade:
        """See `Grader.grade`."""
        wanted = self._reader.exact(expected_text(expected))
        if wanted is None:
            hint = did_you_mean(str(expected), self.labels or ())
            raise GraderError(f"`expected` {shown(expected)} is none of the labels{hint}")
        named = self._reader.named(answer)
        if not named:
            return Grade(0.0, f"{shown(answer)} names none of the labels")
        if len(named) > 1:
            return Grade(0.0, f"ambiguous: names {named[0]!r} and {named[1]!r}")
        if named[0] == wanted:
            return Grade(1.0, f"names {wanted!r}")
        return Grade(0.0, f"names {named[0]!r}, not {wanted!r}")

    @cached_property
    def _reader(self) -> _Labels:
        return _labels(tuple(self.labels or ()), self.ignore_case)


@dataclass(frozen=True, slots=True)
class _Labels:
    """Finds labels in a text."""

    names: dict[str, str]
    pattern: regex.Pattern[str]
    ignore_case: bool

    def exact(self, text: str) -> str | None:
        return self.names.get(fold(text, self.ignore_case))

    def named(self, answer: str) -> tuple[str, ...]:
        """Return the label that an answer names; two where it is ambiguous, none where none."""
        whole = self.exact(answer)
        if whole is not None:
            return (whole,)
        lines = content_lines(answer)
        return (
            stated(lines, self._alone)
            or stated(lines[:1], self._explained)
            or self._inside("".join(lines[:1]))
            or self._inside(answer)
        )

    def _alone(self, prefix: str, text: str) -> str | None:
        text = fold(text, self.ignore_case)
        found = self.pattern.search(text)
        if found is None or self._inside(prefix):
            return None
        if text[: found.start()].strip(MARKS) or text[found.end() :].strip(MARKS + STOPS):
            return None
        return self.names[found[0]]

    def _explained(self, prefix: str, text: str) -> str | None:
        text = fold(text, self.ignore_case).lstrip(MARKS)
        found = self.pattern.match(text)
        if found is None or self._inside(prefix):
            return None
        reason = _EXPLAINED.match(text, found.end())
        if reason is None or len(reason[1].split()) < _EXPLANATION_WORDS:
            return None
        return self.names[found[0]]

    def _inside(self, text: str) -> tuple[str, ...]:
        """Return the first two different labels in a text."""
        labels: list[str] = []
        for found in self.pattern.finditer(fold(text, self.ignore_case)):
            label = self.names[found[0]]
            if label not in labels:
                labels.append(label)
            if len(labels) == 2:
                break
        return tuple(labels)


@lru_cache(maxsize=64)
def _labels(labels: tuple[str, ...], ignore_case: bool) -> _Labels:
    names = {fold(label, ignore_case): label for label in labels}
    # The longest first, so that `gift card` is not read as `gift`.
    words = sorted(names, key=lambda name: (-len(name), name))
    pattern = "|".join(
        ("" if _UNSPACED.match(word[0]) else _WORD_STARTS)
        + regex.escape(word)
        + ("" if _UNSPACED.match(word[-1]) else _WORD_ENDS)
        for word in words
    )
    return _Labels(names, regex.compile(pattern), ignore_case)
