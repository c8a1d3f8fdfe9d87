from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from calibrate.completion import Failure
from calibrate.dataset import Case
from calibrate.report.fields import field_table

Make = Callable[..., Any]
GRADERS = [{"json_fields": {"fields": {"date": "date", "note": "ignore"}}}]


def orders(n: int) -> list[Case]:
    expected = {"number": "A-1", "date": "2026-01-31", "note": "x"}
    return [Case(f"o-{i}", {"ticket": "t"}, expected) for i in range(n)]


def extracted(calibrated: Make, answers: dict[str, Any], cases: list[Case]) -> Any:
    return calibrated(answers, cases=cases, labels=None, graders=GRADERS).calibration


def test_each_field_has_its_own_accuracy(calibrated: Make, outage: Failure) -> None:
    right = '{"number": "A-1", "date": "31 January 2026"}'
    answers = {
        "small": [right, '{"number": "A-2", "date": "2026-01-31"}', "no JSON", outage],
        "medium": [right] * 4,
    }
    table = field_table(extracted(calibrated, answers, orders(4)))
    assert table is not None
    assert table.models == (("small", "4"), ("medium", "4"))
    assert [(r.field, [(c.rate, c.count) for c in r.cells]) for r in table.rows] == [
        ("number", [("25.0 %", "1/4"), ("100.0 %", "4/4")]),
        ("date", [("50.0 %", "2/4"), ("100.0 %", "4/4")]),
    ]
    assert table.note == ""


def test_a_field_that_only_some_cases_have_is_counted_where_it_is(calibrated: Make) -> None:
    cases = [
        Case("a", {"ticket": "t"}, {"date": "2026-01-31"}),
        Case("b", {"ticket": "t"}, '{"date": null, "total": 7}'),
    ]
    calibration = extracted(calibrated, {"small": '{"total": 7}'}, cases)
    table = field_table(calibration)
    assert table is not None
    assert [(r.field, r.cells[0].count) for r in table.rows] == [("date", "1/2"), ("total", "1/1")]


def test_models_that_saw_other_cases_have_a_dash(calibrated: Make) -> None:
    cases = [
        Case("a", {"ticket": "t"}, {"date": "2026-01-31"}),
        Case("b", {"ticket": "t"}, {"date": "2026-01-31", "total": 7}),
    ]
    made = calibrated(
        {"small": "{}", "medium": "{}"}, cases=cases, labels=None, graders=GRADERS
    ).calibration
    made.trials["medium"] = made.trials["medium"][:1]
    table = field_table(made)
    assert table is not None
    assert [c.rate for c in table.rows[1].cells] == ["0.0 %", "–"]


def test_very_many_fields_are_cut_and_counted(
    calibrated: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrate.report.fields.MOST_FIELDS", 1)
    table = field_table(extracted(calibrated, {"small": "{}"}, orders(1)))
    assert table is not None
    assert [r.field for r in table.rows] == ["number"]
    assert table.note == "The first 1 of 2 fields are shown."


def test_without_fields_or_without_answers_there_is_no_table(calibrated: Make) -> None:
    assert field_table(calibrated({"small": 0}).calibration) is None
    assert field_table(extracted(calibrated, {}, orders(1))) is None
