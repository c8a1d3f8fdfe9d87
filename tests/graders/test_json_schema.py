"""Grading by a JSON Schema."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calibrate.graders.json_fields import JsonFields
from calibrate.graders.json_schema import JsonSchema

MEGABYTE = 1_000_000


def schema(**keywords: Any) -> JsonSchema:
    return JsonSchema(schema=keywords)


PERSON = schema(
    type="object",
    properties={
        "name": {"type": "string", "minLength": 1, "pattern": r"^\p{L}+$"},
        "age": {"type": "integer"},
        "born": {"type": "string", "format": "date"},
        "seen": {"type": "string", "format": "date-time"},
        "friends": {"type": "array", "items": {"$ref": "#"}, "uniqueItems": True},
    },
    required=["name"],
    additionalProperties=False,
)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ('{"name": "Zo\u00eb", "age": 5}', 1),
        ('```json\n{"name": "Ann"}\n```', 1),
        ('{"name": "Ann", "born": "2026-03-04", "seen": "2026-03-04T10:00:00Z"}', 1),
        ('{"name": "Ann", "friends": [{"name": "Bo"}, {"name": "Cy"}]}', 1),
        ('{"name": "Ann", "age": 5.0}', 1),
        ('{"name": "Ann", "age": 5.5}', 0),
        ('{"name": "Ann", "age": true}', 0),
        ('{"name": ""}', 0),
        ('{"name": "Ann 5"}', 0),
        ("{}", 0),
        ('{"name": "Ann", "x": 1}', 0),
        ('{"name": "Ann", "born": "4 March"}', 0),
        ('{"name": "Ann", "seen": "2026-03-04"}', 0),
        ('{"name": "Ann", "seen": "2026-03-04T10:00:00"}', 0),
        ('{"name": "Ann", "friends": [{"name": "Bo"}, {"name": "Bo"}]}', 0),
        ('{"name": "Ann", "friends": [{"name": "Bo", "friends": [{}]}]}', 0),
        ('{"name": "Ann", "age": 1e999}', 0),
        ("Ann", 0),
    ],
)
def test_an_answer_fits_a_schema_or_not(answer: str, score: float) -> None:
    assert PERSON.grade(answer, None).score == score


@pytest.mark.parametrize(
    ("grader", "answer", "score"),
    [
        (schema(additionalProperties={"type": "integer"}), '{"a": 1}', 1),
        (schema(additionalProperties={"type": "integer"}), '{"a": "1"}', 0),
        (schema(additionalProperties=False), "[]", 1),
        (schema(patternProperties={"^a": {"type": "integer"}}), '{"ab": "1"}', 0),
        (schema(patternProperties={"^a": {}}, additionalProperties=False), '{"ab": 1}', 1),
        (schema(patternProperties={"^a": {}}, additionalProperties=False), '{"b": 1}', 0),
        (schema(patternProperties={"^a": {}}), "[]", 1),
        (schema(pattern="^a"), "5", 1),
        (schema(uniqueItems=True), "[1, true, 0, false, null]", 1),
        (schema(uniqueItems=True), "[1, 1.0]", 0),
        (schema(uniqueItems=True), '[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]', 0),
        (schema(uniqueItems=False), "[1, 1]", 1),
        (schema(multipleOf=0.1), "0.3", 1),
        (schema(multipleOf=0.01), "49.9", 1),
        (schema(multipleOf=0.01), "49.901", 0),
        (schema(multipleOf=0.01), "9" * 200, 1),
        (schema(multipleOf=7e-300), "1e300", 0),
        (schema(multipleOf=2), "true", 1),
        (schema(type="string", format="date-time"), "5", 0),
        (schema(format="date-time"), "5", 1),
        (schema(format="email"), '"nobody"', 0),
        (schema(const={"$ref": "data"}), '{"$ref": "data"}', 1),
        (schema(properties={"$ref": {"type": "integer"}}), '{"$ref": 1}', 1),
        (schema(properties={"pattern": {"type": "integer"}}), '{"pattern": 1}', 1),
        (schema(allOf=[True, {"type": "integer"}]), "1", 1),
    ],
)
def test_the_keywords_of_our_own_work_as_in_the_standard(
    grader: JsonSchema, answer: str, score: float
) -> None:
    assert grader.grade(answer, None).score == score


def test_the_reason_says_where_the_answer_is_wrong() -> None:
    reason = PERSON.grade('{"name": "Ann", "friends": [{"name": 5}]}', None).reason
    assert reason == "['friends'][0]['name']: 5 is not of type \"string\""
    reason = PERSON.grade(json.dumps({"name": "Ann", "\u202e" * 1000: 1}), None).reason
    assert len(reason) < 500
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"type": "objekt"}, '"objekt" is not valid'),
        ({"properties": {"a": {"minimum": "5"}}}, "not a usable JSON Schema"),
        ({"pattern": "("}, "not a usable JSON Schema"),
        ({"items": [{"pattern": 5}]}, "not a usable JSON Schema"),
        ({"not": {"patternProperties": {"(": {}}}}, "not a usable JSON Schema"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "'/.defs/b' does not exist"),
        ({"items": {"$ref": "http://127.0.0.1:9/x.json"}}, "http://127.0.0.1:9/x.json"),
        ({"$ref": "file:///etc/passwd"}, "file:///etc/passwd"),
        ({"const": date(2026, 3, 4)}, "not JSON"),
        ({"const": float("nan")}, "not JSON"),
    ],
)
def test_a_bad_schema_is_refused_when_it_is_read(value: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        JsonSchema(schema=value)


def test_a_deep_schema_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"not": deep}
    with pytest.raises(ValidationError):
        JsonSchema(schema=deep)


def test_the_dialect_may_be_named() -> None:
    grader = JsonSchema.model_validate(
        {"schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "null"}}
    )
    assert grader.grade("null", None).score == 1
    assert "$schema" in grader.model_dump(by_alias=True)["schema"]


@pytest.mark.parametrize(
    "grader",
    [
        schema(pattern="(a|aa)+$"),
        schema(propertyNames={"pattern": "(a|aa)+$"}),
        schema(patternProperties={"(a|aa)+$": {}}, additionalProperties=False),
    ],
)
def test_a_pattern_in_a_schema_matches_in_linear_time(grader: JsonSchema) -> None:
    answer = json.dumps("a" * 6000 + "!" if "pattern" in grader.schema_ else {"a" * 6000 + "!": 1})
    assert grader.grade(answer, None).score == 0


def test_a_schema_that_branches_into_itself_ends() -> None:
    branch = {"properties": {"l": {"$ref": "#"}}, "required": ["k"]}
    answer = '{"l":' * 45 + "{}" + "}" * 45
    assert schema(anyOf=[branch, branch]).grade(answer, None).score == 0


@pytest.mark.parametrize(
    "answer",
    [
        "{" * MEGABYTE,
        '{"' * (MEGABYTE // 2),
        '{"a":' * (MEGABYTE // 5),
        "[" * MEGABYTE,
        "[{" * (MEGABYTE // 2),
        "[" + "[]," * (MEGABYTE // 3) + "[]]",
        "[" + "1," * (MEGABYTE // 2) + "1]",
        '"' * MEGABYTE,
        "\\" * MEGABYTE,
        ("{" + " " * 1000) * (MEGABYTE // 1000),
        "```json\n" * (MEGABYTE // 8),
        '{"a": "' + "x" * MEGABYTE + '"}',
        "9" * MEGABYTE,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_a_huge_answer_is_graded_and_does_not_hang(answer: str) -> None:
    for grade in (PERSON.grade(answer, None), JsonFields().grade(answer, {"a": 1})):
        assert grade.score == 0
        assert len(grade.reason) < 500


@pytest.mark.parametrize(
    "grader",
    [
        schema(uniqueItems=True),
        schema(unevaluatedItems=False, contains={"type": "object"}),
        schema(items={"anyOf": [{"$ref": "#/$defs/a"}]}, **{"$defs": {"a": {"type": "object"}}}),
    ],
)
def test_as_many_values_as_are_read_are_checked_and_do_not_hang(grader: JsonSchema) -> None:
    answer = json.dumps([{"n": n} for n in range(4_999)])
    assert grader.grade(answer, None).score == 1


@given(st.text())
def test_any_text_is_graded_between_0_and_1(answer: str) -> None:
    assert 0 <= PERSON.grade(answer, None).score <= 1
