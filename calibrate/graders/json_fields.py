"""Judge an answer as a JSON object, field by field."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from calibrate.errors import GraderError, did_you_mean
from calibrate.graders.base import Grade, Grader
from calibrate.graders.dates import is_ambiguous_date, parse_date
from calibrate.graders.numeric import as_number, is_near
from calibrate.graders.reading import UnreadableError, read_json, refuse_excess
from calibrate.graders.text import fold, listed, shown
from calibrate.record import Record

__all__ = ["FieldRule", "JsonFields"]


class FieldRule(Record):
    """How one field is compared."""

    type: Literal["exact", "text", "number", "date", "ignore"] = Field(
        description="exact: same type and value; text: but for case and spaces; number: as a "
        "number, however it is written; date: the same day; ignore: not compared."
    )
    tolerance: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="How far off a right number may be."
    )

    @model_validator(mode="after")
    def _only_numbers_are_near(self) -> FieldRule:
        if self.tolerance is not None and self.type != "number":
            raise ValueError(f"`tolerance` is for `type: number`, not for {self.type!r}")
        return self


def _rule(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


_RULE_SCHEMA = {
    "anyOf": [
        {"enum": ["exact", "text", "number", "date", "ignore"]},
        {
            "type": "object",
            "properties": {
                "type": {"enum": ["exact", "text", "number", "date", "ignore"]},
                "tolerance": {"type": "number", "minimum": 0},
            },
            "required": ["type"],
            "additionalProperties": False,
        },
    ]
}


class JsonFields(Grader):
    """The fields of a JSON object are those of `expected`; the score is the share that is.

    Every field of `expected` is compared, as `exact` where `fields` does not say how. A field
    that is null in `expected` may be null or missing in the answer.
    """

    fields: dict[
        str, Annotated[FieldRule, BeforeValidator(_rule), WithJsonSchema(_RULE_SCHEMA)]
    ] = Field(
        {}, description="How a field is compared: `exact`, `text`, `number`, `date`, `ignore`."
    )
    extra: Literal["ignore", "forbid"] = Field(
        "ignore", description="Whether a field that is not in `expected` counts as wrong."
    )

    def grade(self, answer: str, expected: Any) -> Grade:
        """See `Grader.grade`. `expected` is an object, or a text that is one in JSON."""
        wanted = _golden(expected)
        checks = self._checks(wanted)
        try:
            given = read_json(answer)
        except UnreadableError as error:
            return Grade(0.0, str(error))
        if not isinstance(given, dict):
            return Grade(0.0, f"{shown(answer)} is not a JSON object")
        wrong = [
            f"{shown(name)} is {_shown(given[name])}, not {_shown(wanted[name])}"
            if name in given
            else f"{shown(name)} is missing, not {_shown(wanted[name])}"
            for name, is_right in checks.items()
            if not is_right(given.get(name))
        ]
        extra = [name for name in given if name not in wanted and self.extra == "forbid"]
        if not wrong and not extra:
            return Grade(1.0, f"all {len(checks)} fields are right")
        score = (len(checks) - len(wrong)) / (len(checks) + len(extra))
        return Grade(score, listed([*wrong, *(f"{shown(name)} is not expected" for name in extra)]))

    def _checks(self, wanted: dict[str, Any]) -> dict[str, Callable[[Any], bool]]:
        for name, rule in self.fields.items():
            if name not in wanted and rule.type != "ignore":
                raise GraderError(
                    f"`expected` has no field {name!r}{did_you_mean(name, wanted)}; "
                    "write null for a case that has none"
                )
        checks = {}
        for name, value in wanted.items():
            rule = self.fields.get(name, _EXACT)
            if rule.type != "ignore":
                checks[name] = _check(name, value, rule)
        if not checks:
            raise GraderError("`expected` has no field to compare")
        return checks


_EXACT = FieldRule(type="exact", tolerance=None)


def _golden(expected: Any) -> dict[str, Any]:
    """Return the object that a case expects; raises `GraderError` where it is none."""
    try:
        if isinstance(expected, str):
            expected = read_json(expected)
        refuse_excess(expected)
    except UnreadableError as error:
        raise GraderError(f"`expected` must be a JSON object: {error}") from error
    if not isinstance(expected, dict):
        raise GraderError(f"`expected` must be a JSON object, got {_shown(expected)}")
    return expected


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return shown(_Verbatim(json.dumps(value, default=str)))
    return str(value) if isinstance(value, Decimal | date) else shown(value)


class _Verbatim:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _check(name: str, wanted: Any, rule: FieldRule) -> Callable[[Any], bool]:
    """Return the test of one field; raises `GraderError` for a value it cannot compare with."""
    if wanted is None:
        return lambda given: given is None
    if rule.type == "exact":
        return lambda given: _same(given, wanted)
    if rule.type == "number":
        number = _usable(name, wanted, as_number(wanted), "number")
        return lambda given: _near(given, number, rule.tolerance or 0)
    if rule.type == "date":
        if isinstance(wanted, str) and parse_date(wanted) is None and is_ambiguous_date(wanted):
            return lambda given: _text(given) == _text(wanted)
        day = _usable(name, wanted, _date(wanted), "date")
        return lambda given: _date(given) == day
    text = _usable(name, wanted, _text(wanted), "text")
    return lambda given: _text(given) == text


def _usable(name: str, value: Any, read: Any, kind: str) -> Any:
    if read is None:
        raise GraderError(f"`expected` field {name!r} is not a {kind}: {_shown(value)}")
    return read


def _near(given: Any, wanted: Decimal, tolerance: float) -> bool:
    number = as_number(given)
    return number is not None and is_near(number, wanted, tolerance)


def _same(one: Any, two: Any) -> bool:
    """Say whether two JSON values are equal; `1` and `1.0` are, `1`, `"1"` and true are not."""
    two = two.isoformat() if isinstance(two, date) else two
    if isinstance(one, bool) or isinstance(two, bool) or one is None or two is None:
        return one is two
    if isinstance(one, str) and isinstance(two, str):
        return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", two)
    if isinstance(one, dict) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, str) or isinstance(two, str):
        return False
    number = as_number(one)
    return number is not None and number == as_number(two)


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal | date):
        return None
    return fold(value.isoformat() if isinstance(value, date) else str(value))


def _date(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    return parse_date(value) if isinstance(value, str) else None
