"""The confidence that an answer states about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import regex

from calibrate.config import SelfReported
from calibrate.signals.answers import NotJsonError, json_in
from calibrate.signals.patterns import compiled, last_match

__all__ = ["NUMBER", "Confidence", "as_share", "confidence_of"]

_PLAIN = r"[+-]?(?:[0-9]{1,30}(?:[.,][0-9]{1,30})?|[.,][0-9]{1,30})"
_PERCENT = r"%|percent\b"
NUMBER = rf"{_PLAIN}(?![0-9]|[.,][0-9])(?:\s?(?:{_PERCENT})|\s?/\s?{_PLAIN})?"
_STATED = regex.compile(rf"\s*({_PLAIN})\s*(?:({_PERCENT})|/\s*({_PLAIN}))?\s*")
_MARKS = r"[\s\"'*_`]{0,12}"
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Confidence:
    """Finds the stated confidence: in a field of a JSON answer, or by a pattern in a text."""

    field: tuple[str, ...]  # the way to it; empty where only the pattern counts
    pattern: regex.Pattern[str]
    most: float

    def stated(self, answer: str) -> float | None:
        """Return the confidence from 0 to 1; None where an answer has none that can be read.

        `85 %` is 0.85 and `8/10` is 0.8; any other number is a share of `most`. One outside of
        the scale is not taken for another scale's: it is missing.
        """
        written = self._in_json(answer)
        if written is None:
            found = last_match(self.pattern, answer)
            written = None if found is None else found[1]
        return None if written is None else as_share(written, self.most)

    def _in_json(self, answer: str) -> str | None:
        """Return what the field holds, as it would be written in a text."""
        if not self.field:
            return None
        try:
            value = json_in(answer)
        except NotJsonError:
            return None
        for step in self.field:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        return value if isinstance(value, str) else f"{value:.12f}"

    def without(self, answer: str) -> str:
        """Return a text without the confidence that it states."""
        found = last_match(self.pattern, answer)
        return answer if found is None else answer[: found.start()] + answer[found.end() :]

    def without_field(self, value: Any) -> Any:
        """Return a JSON value without the field of the confidence."""
        return _without(value, self.field)


def confidence_of(place: str, options: SelfReported) -> Confidence:
    """Return what finds the confidence; raises `ConfigError` for a pattern that cannot be used."""
    if options.pattern is not None:
        return Confidence((), compiled(f"{place}.pattern", options.pattern), options.most)
    path = tuple(options.field.split("."))
    word = r"\s+".join(map(regex.escape, path[-1].split()))
    return Confidence(
        path,
        regex.compile(
            rf"(?i)(?<!\w){word}(?:\s(?:level|score))?{_MARKS}(?:[:=\uff1a]|is\b){_MARKS}({NUMBER})"
        ),
        options.most,
    )


def as_share(text: str, most: float = 1) -> float | None:
    """Return a written number as a share of certainty; None where it is none, or out of scale."""
    found = _STATED.fullmatch(text)
    if found is None:
        return None
    whole = 100.0 if found[2] else _float(found[3]) if found[3] else most
    if whole <= 0:
        return None
    share = _float(found[1]) / whole
    return round(share, DIGITS) if 0 <= share <= 1 else None


def _float(text: str) -> float:
    return float(text.replace(",", "."))


def _without(value: Any, path: tuple[str, ...]) -> Any:
    if not path or not isinstance(value, Mapping) or path[0] not in value:
        return value
    rest = {key: item for key, item in value.items() if key != path[0]}
    return rest if len(path) == 1 else {**rest, path[0]: _without(value[path[0]], path[1:])}
