"""Judge an answer as a number, however it is written."""

from __future__ import annotations

from decimal import Context, Decimal
from itertools import islice
from typing import Any

import regex
from pydantic import Field

from calibrate.errors import GraderError
from calibrate.graders.base import Grade, Grader
from calibrate.graders.text import content_lines, shown, stated, unwrap

__all__ = ["Numeric", "as_number", "is_near", "parse_number"]

MOST_CHARACTERS = 200  # of a number; no amount, count or measurement is longer
MOST_EXPONENT = 400

_ARITHMETIC = Context(prec=2 * MOST_CHARACTERS, Emax=999_999, Emin=-999_999)
_SIGN = r"[-+\u2212]?"
_GAPS = r" '\u2019\u00a0\u2009\u202f"  # what else stands between thousands
_CODES = (
    "USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|ILS|AED|SAR"
    "|BRL|MXN|ARS|CLP|COP|ZAR|NGN|KES|EGP|KRW|SGD|HKD|TWD|THB|IDR|MYR|PHP|VND|PKR|UAH"
)
_CURRENCY = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|{_CODES})"
_EXPONENT = rf"(?:[eE]{_SIGN}[0-9]{{1,9}}+)?+"

_WHOLE = regex.compile(
    rf"(?P<sign>{_SIGN})(?:{_CURRENCY}\s?)?(?P<inner>{_SIGN})"
    rf"(?P<digits>\.[0-9]++|[0-9]++(?:[.,{_GAPS}][0-9]++)*+)(?P<exponent>{_EXPONENT})"
    rf"\s?(?:%|{_CURRENCY})?"
)
# Each match is possessive, so that a long run of digits is read once.
_TOKEN = regex.compile(
    rf"(?P<sign>{_SIGN})\p{{Sc}}?"
    rf"(?P<body>(?:\.[0-9]++|[0-9]++(?:[.,'\u2019\u00a0\u202f][0-9]++)*+){_EXPONENT})"
    r"(?P<unit>[^\W\d_]*+)"
)
_SHORT_SCALES = frozenset(("k", "m", "b", "mn", "bn", "tn"))
_BROKEN_OFF = regex.compile(r"[0-9_]|/[0-9]")
_FRACTION = regex.compile(r"[0-9]/$")
_IN_A_WORD = regex.compile(r"\w$")
_AFTER_CURRENCY = regex.compile(rf"(?<!\w)(?:{_CODES})$")
_SCALE = regex.compile(r"\s(thousand|million|billion|trillion)\b", regex.IGNORECASE)
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}


def _grouped(comma: str, point: str) -> regex.Pattern[str]:
    gap = rf"[{comma}{_GAPS}]"
    thousands = rf"[1-9][0-9]{{0,2}}(?P<gap>{gap})[0-9]{{3}}(?:(?P=gap)[0-9]{{3}})*"
    lakhs = r"[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"  # as in India: 12,34,567
    return regex.compile(rf"(?P<whole>{thousands}|{lakhs}|[0-9]*)(?:{point}(?P<part>[0-9]+))?")


# Tried in this order: where a number is both, a comma groups and a point does not.
_CONVENTIONS = (_grouped(",", r"\."), _grouped(r"\.", ","))


class Numeric(Grader):
    """The number that the answer gives is the expected one, within a tolerance.

    Which number: the whole answer; a first or last line that holds a number and nothing else
    (`Answer: **1,299.00**`); else the last number of the answer.
    """

    absolute: float = Field(
        0, ge=0, allow_inf_nan=False, description="How far off a right answer may be."
    )
    relative: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        description="The same as a share of the expected number: 0.01 is 1 %. The larger "
        "tolerance of the two counts.",
    )

    def grade(self, answer: str, expected: Any) -> Grade:
        """See `Grader.grade`. `expected` is a number, or a text that is one."""
        wanted = as_number(expected)
        if wanted is None:
            raise GraderError(f"`expected` must be a number, got {shown(expected)}")
        numbers, which = _answered(answer)
        if not numbers:
            return Grade(0.0, f"{shown(answer)} has no number that can be read")
        if len(numbers) > 1:
            first, last = numbers
            return Grade(0.0, f"ambiguous: the first line says {first}, the last {last}")
        right = is_near(numbers[0], wanted, self.absolute, self.relative)
        verb = "is right" if right else f"is not {wanted}"
        return Grade(1.0 if right else 0.0, f"{numbers[0]}{which} {verb}")


def parse_number(text: str) -> Decimal | None:
    """Return the number that a text is, or None where it is anything else.

    Reads `1,299.00`, `1.299,00`, `1 299`, `$49.90`, `49,90 EUR`, `-3e5` and `45 %` (which is
    45). `1,299` is over a thousand and `1.299` is not: a lone point is always decimal.
    """
    if len(text) > MOST_CHARACTERS:
        return None
    found = _WHOLE.fullmatch(text.strip())
    if found is None or (found["sign"] and found["inner"]):
        return None
    digits = _ungrouped(found["digits"])
    if digits is None:
        return None
    sign, exponent = found["sign"] or found["inner"], found["exponent"]
    return _bounded(f"{sign}{digits}{exponent}".replace("\u2212", "-"))


def as_number(value: Any) -> Decimal | None:
    """Return a JSON or YAML value, or a text, as a number; a float by its written digits."""
    if isinstance(value, str):
        return parse_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        return _bounded(str(value))
    except ValueError:  # an int with more digits than Python writes
        return None


def is_near(one: Decimal, wanted: Decimal, absolute: float = 0, relative: float = 0) -> bool:
    """Return whether `one` is within the larger of the two tolerances of `wanted`."""
    share = _ARITHMETIC.multiply(Decimal(str(relative)), wanted.copy_abs())
    return _ARITHMETIC.subtract(one, wanted).copy_abs() <= max(Decimal(str(absolute)), share)


def _bounded(text: str) -> Decimal | None:
    if len(text) > MOST_CHARACTERS:
        return None
    number = Decimal(text)
    if not number.is_finite() or abs(number.adjusted()) > MOST_EXPONENT:
        return None
    return number


def _ungrouped(digits: str) -> str | None:
    for convention in _CONVENTIONS:
        found = convention.fullmatch(digits)
        if found:
            whole = regex.sub(r"[^0-9]", "", found["whole"])
            return f"{whole or 0}.{found['part']}" if found["part"] else whole
    return None


def _answered(answer: str) -> tuple[tuple[Decimal, ...], str]:
    """Return the number an answer gives (two: they contradict) and how it was chosen."""
    alone = stated(content_lines(answer), lambda _, text: parse_number(unwrap(text)))
    if alone:
        return alone, ""
    tokens = reversed(list(_TOKEN.finditer(answer)))
    numbers = (number for token in tokens if (number := _value(answer, token)) is not None)
    last = next(numbers, None)
    if last is None:
        return (), ""
    several = any(number != last for number in islice(numbers, 1000))
    return (last,), " (the last of several numbers)" if several else ""


def _value(answer: str, token: regex.Match[str]) -> Decimal | None:
    """Return a token's number; None where it is part of a name, a fraction or a version."""
    start, end = token.span()
    before, after = answer[max(0, start - 4) : start], answer[end : end + 12]
    if token["unit"].casefold() in _SHORT_SCALES:  # `1.5k` is not 1.5, and `5m` may be metres
        return None
    if _BROKEN_OFF.match(after) or _FRACTION.search(before):
        return None
    if not token["sign"] and _IN_A_WORD.search(before) and not _AFTER_CURRENCY.search(before):
        return None
    number = parse_number(token["body"])
    if number is None:
        return None
    # In `5-10` and `AB-204` the hyphen is no sign.
    if token["sign"] in ("-", "\u2212") and not _IN_A_WORD.search(before):
        number = number.copy_negate()
    scale = _SCALE.match(after)
    return number.scaleb(_SCALES[scale[1].casefold()]) if scale else number
