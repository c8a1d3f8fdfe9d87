"""Regular expressions over what models write: foreign patterns on hostile texts."""

from __future__ import annotations

import regex

from calibrate.errors import ConfigError

__all__ = ["compiled", "last_match"]

TIMEOUT_S = 1.0


def compiled(place: str, pattern: str) -> regex.Pattern[str]:
    """Return a pattern with a group; raises `ConfigError` that says what is wrong with it."""
    try:
        found = regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
        raise ConfigError(f"{place}: not a regular expression: {error}") from error
    if found.groups < 1:
        raise ConfigError(f"{place}: needs a group: put what is looked for in ( )")
    return found


def last_match(pattern: regex.Pattern[str], text: str) -> regex.Match[str] | None:
    """Return the last match; raises `ConfigError` for a pattern that takes too long."""
    last = None
    try:
        for found in pattern.finditer(text, timeout=TIMEOUT_S):
            last = found
    except TimeoutError:
        raise ConfigError(
            f"signals: the pattern {pattern.pattern!r} did not end within {TIMEOUT_S:g} s on an "
            f"answer of {len(text):,} characters; simplify it"
        ) from None
    return last
