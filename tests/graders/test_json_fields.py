"""Judgements of JSON: what is read as such, against a schema, and field by field."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calibrate.errors import GraderError
from calibrate.graders.dates import parse_date
from calibrate.graders.json_fields import JsonFields
from calibrate.graders.reading import UnreadableError, read_json

MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{}", {}),
        ("[1, 2]", [1, 2]),
        ("null", None),
        ('\ufeff {"a": 1}\n', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n[1]\n```", [1]),
        ('Here you are:\n```json\n{"a": 1}\n```\nAnything else?', {"a": 1}),
        ('The order is {"a": {"b": [1]}}, I think {really}.', {"a": {"b": [1]}}),
        ('See [1]: {"a": 1}', {"a": 1}),
        ('Two: [{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('{"a": 0.10}', {"a": Decimal("0.1")}),
        ('{"a": "\\ud800"}', {"a": "\ud800"}),
    ],
)
def test_one_json_value_is_read(answer: str, value: object) -> None:
    assert read_json(answer) == value


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "no JSON"),
        ("no idea", "no JSON"),
        ("{'a': 1}", "no JSON"),
        ("__import__('os')", "no JSON"),
        ('{"a": 1', "not JSON"),
        ('{"a": 1,}', "not JSON"),
        ('{"a": {"b": 1},}', "not JSON"),  # the inner object must not stand for the whole
        ('{"a": 1} {"a": 1}', "more than one"),
        ('{"a": 1}\n[{"a": 1}]', "more than one"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is given twice"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('So: {"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1e999}', "too long or too large"),
        ('{"a": 1e99999999999999999999}', "too long or too large"),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5,000 digits"),
        ('{"a": 0.' + "9" * 5000 + "}", "too long or too large"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" * 60 + "]" * 60, "more than 50 levels"),
        ("[" + "1," * 10_000 + "1]", "more than 10,000 values"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_not_one_json_value_is_refused(answer: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read_json(answer)


ORDER = {"order": "AB-1", "date": "2026-03-04", "amount": 49.9}


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ({"order": "AB-1", "date": "2026-03-04", "amount": 49.9}, 1),
        ({"amount": 49.90, "date": "2026-03-04", "order": "AB-1", "more": 1}, 1),
        ({"order": "AB-1", "date": "2026-03-04", "amount": "49.9"}, 2 / 3),
        ({"order": "ab-1", "date": "4 March 2026", "amount": 49.9}, 1 / 3),
        ({"order": "AB-1"}, 1 / 3),
        ({}, 0),
        ([ORDER], 0),
        ("AB-1", 0),
        (None, 0),
    ],
)
def test_the_score_is_the_share_of_right_fields(answer: object, score: float) -> None:
    assert JsonFields().grade(json.dumps(answer), ORDER).score == score


def test_an_unreadable_answer_scores_nothing() -> None:
    assert JsonFields().grade("I could not find it.", ORDER).score == 0


def test_the_reason_names_each_wrong_field_with_both_values() -> None:
    grade = JsonFields(extra="forbid").grade('{"order": 5, "amount": 49.9, "x": 1}', ORDER)
    assert grade.score == 1 / 4
    assert grade.reason == (
        "'order' is 5, not 'AB-1', 'date' is missing, not '2026-03-04', 'x' is not expected"
    )


def test_a_reason_is_short_whatever_the_answer_holds() -> None:
    answer = json.dumps({"a": ["\u202e" * 1000], **{f"\x1b{n}": n for n in range(1000)}})
    reason = JsonFields(extra="forbid").grade(answer, {"a": {"b": 1}}).reason
    assert len(reason) < 1000
    assert reason.endswith("991 more")
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("given_value", "wanted", "right"),
    [
        (1, 1, True),
        (1.0, 1, True),
        (0.1, 0.1, True),
        (1, "1", False),
        ("1", 1, False),
        (1, True, False),
        (True, 1, False),
        (False, 0, False),
        (True, True, True),
        (None, None, True),
        (None, "", False),
        ("", None, False),
        (0, None, False),
        ("caf\u00e9", "cafe\u0301", True),
        ("a ", "a", False),
        ([1, [2]], [1.0, [2]], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}, True),
        ({"x": 1}, {"x": 1, "y": None}, False),
        ("2026-03-04", date(2026, 3, 4), True),
        ({"x": 1}, [1], False),
    ],
)
def test_exact_compares_type_and_value(given_value: object, wanted: object, right: bool) -> None:
    grade = JsonFields().grade(json.dumps({"f": given_value}), {"f": wanted})
    assert (grade.score == 1) is right


@pytest.mark.parametrize(
    ("rule", "given_value", "wanted", "right"),
    [
        ("text", " ab-1 ", "AB-1", True),
        ("text", 30518842, "30518842", True),
        ("text", "30518842", 30518842, True),
        ("text", 1.50, "1.5", True),
        ("text", "AB 1", "AB-1", False),
        ("text", True, "true", False),
        ("text", ["AB-1"], "AB-1", False),
        ("text", None, "AB-1", False),
        ("number", "1.249,00 \u20ac", 1249, True),
        ("number", "$1,249.00", "1249", True),
        ("number", 1249.0, 1249, True),
        ("number", 1249.01, 1249, False),
        ("number", True, 1, False),
        ("number", "many", 1, False),
        ({"type": "number", "tolerance": 0.01}, 1249.01, 1249, True),
        ({"type": "number", "tolerance": 0.01}, 1249.011, 1249, False),
        ("date", "March 4th, 2026", "2026-03-04", True),
        ("date", "04.03.2026", date(2026, 3, 4), True),
        ("date", "04.03.2026", datetime(2026, 3, 4, 12), True),  # noqa: DTZ001 - as YAML reads it
        ("date", "2026-03-05", "2026-03-04", False),
        ("date", "3/4/2026", "2026-03-04", False),
        ("date", "3/4/2026", "3/4/2026", True),
        ("date", "2026-03-04", "3/4/2026", False),
        ("date", 20260304, "2026-03-04", False),
        ("date", None, None, True),
        ({"type": "exact"}, "a", "a", True),
    ],
)
def test_a_field_is_compared_as_its_rule_says(
    rule: object, given_value: object, wanted: object, right: bool
) -> None:
    grader = JsonFields.model_validate({"fields": {"f": rule}})
    grade = grader.grade(json.dumps({"f": given_value}), {"f": wanted})
    assert (grade.score == 1) is right


def test_a_null_field_may_be_missing() -> None:
    assert JsonFields().grade('{"a": 1}', {"a": 1, "b": None}).score == 1


def test_a_field_without_a_rule_is_compared_as_exact() -> None:
    grader = JsonFields.model_validate({"fields": {"a": "text"}})
    assert grader.grade('{"a": "X", "b": "y"}', {"a": "x", "b": "Y"}).score == 0.5


def test_an_ignored_field_does_not_count() -> None:
    grader = JsonFields.model_validate({"fields": {"b": "ignore", "c": "ignore"}})
    assert grader.grade('{"a": 1, "b": 2}', {"a": 1, "b": 3}).score == 1


def test_an_object_may_be_written_as_text() -> None:
    assert JsonFields().grade('{"a": 1}', '{"a": 1}').score == 1


@pytest.mark.parametrize(
    ("fields", "expected", "problem"),
    [
        ({}, None, "must be a JSON object"),
        ({}, "text", "must be a JSON object: no JSON"),
        ({}, [1], "must be a JSON object"),
        ({}, {}, "no field to compare"),
        ({"a": "ignore"}, {"a": 1}, "no field to compare"),
        ({"ammount": "number"}, {"amount": 1}, "no field 'ammount'; did you mean 'amount'"),
        ({"a": "number"}, {"a": "many"}, "field 'a' is not a number: 'many'"),
        ({"a": "date"}, {"a": "soon"}, "field 'a' is not a date: 'soon'"),
        ({"a": "date"}, {"a": "2026-02-30"}, "field 'a' is not a date"),
        ({"a": "text"}, {"a": {"b": 1}}, "field 'a' is not a text"),
    ],
)
@pytest.mark.parametrize("answer", ["", "{}", '{"a": 1}'])
def test_a_golden_answer_that_cannot_be_used_is_an_error_for_every_answer(
    fields: dict[str, str], expected: object, problem: str, answer: str
) -> None:
    with pytest.raises(GraderError, match=problem):
        JsonFields.model_validate({"fields": fields}).grade(answer, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"fields": {"a": "nubmer"}},
        {"fields": {"a": {"type": "date", "tolerance": 1}}},
        {"fields": {"a": {"type": "number", "tolerance": -1}}},
        {"fields": {"a": {"tolerance": 1}}},
        {"fields": {"a": 5}},
        {"extra": "allow"},
    ],
)
def test_a_bad_rule_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JsonFields.model_validate(options)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-04",
        "2026-3-4",
        "2026/03/04",
        "2026.03.04",
        "2026-03-04T10:30",
        "2026-03-04T10:30:15.123Z",
        "2026-03-04 10:30:15 +01:00",
        "04.03.2026",
        "4.3.2026",
        "4. 3. 2026",
        "4 March 2026",
        "4 mar 2026",
        "4. March 2026",
        "4th of March 2026",
        "04 March, 2026",
        "March 4th, 2026",
        "March 4 2026",
        "Mar. 4, 2026",
        "  MARCH  4,  2026 ",
    ],
)
def test_a_day_is_read_however_it_is_written(text: str) -> None:
    assert parse_date(text) == date(2026, 3, 4)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("3/14/2026", date(2026, 3, 14)),
        ("14/3/2026", date(2026, 3, 14)),
        ("14-03-2026", date(2026, 3, 14)),
        ("3/3/2026", date(2026, 3, 3)),
        ("3/4/2026", None),
        ("03-04-2026", None),
        ("13/13/2026", None),
        ("0/13/2026", None),
    ],
)
def test_slashes_are_a_day_only_where_the_month_is_plain(text: str, day: date | None) -> None:
    assert parse_date(text) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026",
        "March 2026",
        "4 March",
        "04.03.26",
        "2026-02-30",
        "2026-13-01",
        "0000-01-01",
        "2026-03/04",
        "4 Marzo 2026",
        "Wednesday",
        "20260304",
        "2026-03-04 and 2026-03-05",
        "\u0662\u0660\u0662\u0666-03-04",
        "1" * MEGABYTE,
        " " * MEGABYTE,
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_day_is_none(text: str) -> None:
    assert parse_date(text) is None


@given(st.dates(min_value=date(1000, 1, 1)))
def test_a_formatted_day_is_read_back(day: date) -> None:
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%d %B %Y", "%B %d, %Y", "%b %d %Y", "%Y/%m/%d"):
        assert parse_date(day.strftime(form)) == day


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text() | st.text(alphabet='{}[]",:ab1. \n`') | JSON.map(json.dumps))
def test_any_text_is_graded_between_0_and_1(answer: str) -> None:
    assert 0 <= JsonFields(extra="forbid").grade(answer, {"a": 1}).score <= 1


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=3))
def test_an_object_equals_itself(value: dict[str, Any]) -> None:
    assert JsonFields(extra="forbid").grade(json.dumps(value), value).score == 1
