"""Read the one day that a text is."""

from __future__ import annotations

import re
from datetime import date

__all__ = ["is_ambiguous_date", "parse_date"]


_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            *("jan january", "feb february", "mar march", "apr april", "may", "jun june"),
            *("jul july", "aug august", "sep sept september", "oct october", "nov november"),
            "dec december",
        ),
        start=1,
    )
    for name in names.split()
}
_TIME = (
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)? ?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_DAY, _NUMBER, _YEAR = r"(?P<day>[0-9]{1,2})", r"(?P<month>[0-9]{1,2})", r"(?P<year>[0-9]{4})"
_ORDINAL, _NAME = rf"{_DAY}(?:st|nd|rd|th)?", r"(?P<month>[A-Za-z]{3,9})\.?"
_DATES = [
    (re.compile(pattern, re.IGNORECASE), order)
    for pattern, order in (
        (rf"{_YEAR}(?P<sep>[-/.]){_NUMBER}(?P=sep){_DAY}{_TIME}", "known"),
        (rf"{_DAY}\. ?{_NUMBER}\. ?{_YEAR}", "known"),
        (rf"{_DAY}(?P<sep>[-/]){_NUMBER}(?P=sep){_YEAR}", "unknown"),
        (rf"{_ORDINAL}\.? (?:of )?{_NAME},? {_YEAR}", "known"),
        (rf"{_NAME} {_ORDINAL},? {_YEAR}", "known"),
    )
]
_AMBIGUOUS = re.compile(r"^\s*[0-9]{1,2}([-/])[0-9]{1,2}\1[0-9]{4}\s*$")


def parse_date(text: str) -> date | None:
    """Return the day that a text is, or None where it is anything else or could be two days.

    Reads `2026-03-04` (also with a time, which is dropped), `2026/03/04`, `04.03.2026` (the day
    first), `4 March 2026`, `March 4th, 2026`, `14/3/2026` and `3/14/2026`, with a hyphen too; in
    `3/4/2026` nobody knows which is the month. The names of months are English.
    """
    if len(text) > 60:
        return None
    text = " ".join(text.split())
    for pattern, order in _DATES:
        found = pattern.fullmatch(text)
        if found:
            day, month, year = (found[part] for part in ("day", "month", "year"))
            return _day(int(year), _month(month), int(day), order)
    return None


def is_ambiguous_date(text: str) -> bool:
    """Return whether a text is a day written in such a way that it could be another one."""
    return _AMBIGUOUS.search(text) is not None


def _month(text: str) -> int:
    return int(text) if text.isdigit() else _MONTHS.get(text.casefold(), 0)


def _day(year: int, month: int, day: int, order: str) -> date | None:
    if order == "unknown":
        if day <= 12 and month <= 12 and day != month:
            return None
        if month > 12:
            day, month = month, day
    try:
        return date(year, month, day)
    except ValueError:
        return None
