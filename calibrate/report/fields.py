"""Which fields of an extraction each model gets right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibrate.decide import Calibration
from calibrate.graders import NamedGrader
from calibrate.graders.json_fields import JsonFields
from calibrate.graders.reading import read_json
from calibrate.report.breakdown import measured
from calibrate.trial import AnyTrial, FailedTrial
from calibrate.words import percent

__all__ = [
    "MOST_FIELDS",
    "FieldCell",
    "FieldCount",
    "FieldRow",
    "FieldTable",
    "field_counts",
    "field_table",
]

MOST_FIELDS = 40

Counts = dict[str, list[int]]  # of each field: right, and compared


@dataclass(frozen=True, slots=True)
class FieldCount:
    """In how many of the answers that were compared a model had one field right."""

    model: str
    field: str
    right: int
    compared: int


@dataclass(frozen=True, slots=True)
class FieldCell:
    """How often one model had one field right."""

    rate: str
    count: str


@dataclass(frozen=True, slots=True)
class FieldRow:
    field: str
    cells: tuple[FieldCell, ...]


@dataclass(frozen=True, slots=True)
class FieldTable:
    """The accuracy of the measured models, field by field."""

    note: str
    models: tuple[tuple[str, str], ...]  # each with the number of answers that were asked for
    rows: tuple[FieldRow, ...]


def field_table(calibration: Calibration) -> FieldTable | None:
    """Return the accuracy of each compared field; None for a workflow without `json_fields`.

    A call without an answer, or an answer that is no JSON object, has every field wrong.
    """
    asked = list(measured(calibration))
    counts = _all_counts(calibration)
    if not counts:
        return None
    fields = list(dict.fromkeys(field for found in counts for field in found))
    note = ""
    if len(fields) > MOST_FIELDS:
        note = f"The first {MOST_FIELDS} of {len(fields):,} fields are shown."
    return FieldTable(
        note=note,
        models=tuple((verdict.model, f"{len(trials):,}") for verdict, trials in asked),
        rows=tuple(
            FieldRow(field, tuple(_cell(found.get(field, [0, 0])) for found in counts))
            for field in fields[:MOST_FIELDS]
        ),
    )


def field_counts(calibration: Calibration) -> tuple[FieldCount, ...]:
    """Return the counts behind the table, and of the fields that it has no room for."""
    pairs = zip(measured(calibration), _all_counts(calibration), strict=False)
    return tuple(
        FieldCount(verdict.model, field, *count)
        for (verdict, _), counts in pairs
        for field, count in counts.items()
    )


def _all_counts(calibration: Calibration) -> list[Counts]:
    """Return the counts of each measured model; nothing without the grader."""
    grader = next((g.grader for g in calibration.task.graders if _has_fields(g)), None)
    if not isinstance(grader, JsonFields):
        return []
    return [_counts(grader, trials) for _, trials in measured(calibration)]


def _has_fields(named: NamedGrader) -> bool:
    return isinstance(named.grader, JsonFields)


def _counts(grader: JsonFields, trials: Sequence[AnyTrial]) -> Counts:
    counts: Counts = {}
    for trial in trials:
        for field, value in _expected(trial).items():
            rule = grader.fields.get(field)
            if rule is not None and rule.type == "ignore":
                continue
            count = counts.setdefault(field, [0, 0])
            count[0] += _is_right(grader, trial, field, value)
            count[1] += 1
    return counts


def _expected(trial: AnyTrial) -> Mapping[str, Any]:
    expected = trial.case.expected
    found = read_json(expected) if isinstance(expected, str) else expected
    return found if isinstance(found, Mapping) else {}


def _is_right(grader: JsonFields, trial: AnyTrial, field: str, value: Any) -> bool:
    """Return whether the grader finds nothing wrong with this field alone."""
    if isinstance(trial, FailedTrial):
        return False
    rules = {field: grader.fields[field]} if field in grader.fields else {}
    alone = grader.model_copy(update={"fields": rules, "extra": "ignore"})
    return alone.grade(trial.answer, {field: value}).score == 1


def _cell(count: Sequence[int]) -> FieldCell:
    right, compared = count
    if not compared:
        return FieldCell("–", "")
    return FieldCell(percent(right / compared), f"{right:,}/{compared:,}")
