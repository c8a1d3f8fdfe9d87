"""From a workflow's `graders:` to one grade, with graders of others too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibrate.errors import GraderError
from calibrate.fingerprint import digest
from calibrate.graders import (
    GRADERS,
    Grade,
    Grader,
    NamedGrader,
    build_graders,
    grade_answer,
    grader_types,
)

LABELS = ["billing", "shipping"]
PLUGIN = '''
import sys
from calibrate.graders.base import Grade, Grader
from pydantic import Field, field_validator

class Length(Grader):
    """The answer is short."""

    version = "7"
    most: int = Field(10, description="The most characters.")

    def grade(self, answer, expected):
        return Grade(1.0 if len(answer) <= self.most else 0.25, f"{len(answer)} characters")

class Choosy(Length):
    @field_validator("most")
    @classmethod
    def _broken(cls, value):
        raise TypeError("choosy")

class Unversioned(Length):
    version = 7

class Unfinished(Grader):
    pass

class Raises(Length):
    def grade(self, answer, expected):
        raise {"key": KeyError, "exit": SystemExit, "stack": RecursionError}[answer]("gone")

class Returns(Length):
    value: object = None

    def grade(self, answer, expected):
        return {
            "none": None,
            "text": "1.0",
            "reason": Grade(1.0, None),
            "score": Grade("1.0", ""),
            "nan": Grade(float("nan"), ""),
            "large": Grade(1.5, ""),
            "small": Grade(-0.5, ""),
        }[answer]

class NotAGrader:
    def grade(self, answer, expected):
        return Grade(1.0, "")
'''
ENTRY_POINTS = """
[calibrate.graders]
length = acme_graders:Length
choosy = acme_graders:Choosy
unversioned = acme_graders:Unversioned
unfinished = acme_graders:Unfinished
raises = acme_graders:Raises
returns = acme_graders:Returns
not_a_grader = acme_graders:NotAGrader
gone = acme_graders:Gone
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution with graders of its own."""
    (tmp_path / "acme_graders.py").write_text(PLUGIN)
    metadata = tmp_path / "acme_graders-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-graders\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)


def graders(*specs: Any, **shared: Any) -> tuple[NamedGrader, ...]:
    return build_graders("evals/x.yaml", specs, **shared)


def problems(*specs: Any, **shared: Any) -> tuple[str, ...]:
    with pytest.raises(GraderError) as failed:
        graders(*specs, **shared)
    return failed.value.problems


@pytest.mark.parametrize("name", GRADERS)
def test_every_option_is_explained_to_editors(name: str) -> None:
    schema = GRADERS[name].model_json_schema()
    for option in schema.get("properties", {}).values():
        assert option["description"].endswith(".")


@pytest.mark.parametrize("name", GRADERS)
def test_every_grader_has_a_version_and_a_docstring(name: str) -> None:
    assert GRADERS[name].version == "1"
    assert GRADERS[name].__doc__


def test_graders_are_named_with_or_without_options() -> None:
    found = graders("exact_match", {"exact_match": {"ignore_case": True}}, {"numeric": None})
    assert [named.name for named in found] == ["exact_match", "exact_match", "numeric"]
    assert [grade_answer([named], "A", "a").score for named in found[:2]] == [0, 1]


def test_labels_come_from_the_workflow_where_omitted() -> None:
    assert grade_answer(graders("one_of", labels=LABELS), "billing", "billing").score == 1
    own = graders({"one_of": {"labels": ["a", "b"]}}, labels=LABELS)
    assert grade_answer(own, "a", "a").score == 1
    assert (
        grade_answer(graders({"one_of": {"labels": None}}, labels=LABELS), "x", "billing").score
        == 0
    )


def test_a_schema_comes_from_the_workflow_where_omitted() -> None:
    found = graders("json_schema", output_schema={"type": "array"})
    assert grade_answer(found, "[]", None).score == 1
    assert grade_answer(found, "{}", None).score == 0


def test_all_problems_are_told_at_once_and_where_they_are() -> None:
    assert problems(
        "exact_mach",
        {"regex": {"pattern": "("}},
        "one_of",
        {"exact_match": {"ignore_cas": True}},
        {"exact_match": {"ignore_case": "yes"}},
        {"json_fields": {"fields": {"a": "nubmer", "b": {"type": "date", "tolerance": 1}}}},
        {"json_schema": {"schema": {"type": "objekt"}}},
        "json_schema",
        {"regex": {"pattern": "a"}, "numeric": {}},
        {"numeric": 5},
    ) == (
        "evals/x.yaml: graders[0]: no calibrate.graders plugin is called 'exact_mach'; did you "
        "mean 'exact_match'? (known: contains, exact_match, json_fields, json_schema, numeric, "
        "one_of, regex)",
        "evals/x.yaml: graders[1].regex.pattern: not a regular expression: missing ) at position 1",
        "evals/x.yaml: graders[2].one_of: needs `labels`, here or at the top of the workflow file",
        "evals/x.yaml: graders[3].exact_match.ignore_cas: unknown key; did you mean 'ignore_case'?",
        "evals/x.yaml: graders[4].exact_match.ignore_case: expected boolean, got 'yes'",
        "evals/x.yaml: graders[5].json_fields.fields.a: expected 'exact', 'text', 'number', 'date' "
        "or 'ignore', got 'nubmer'",
        "evals/x.yaml: graders[5].json_fields.fields.b: `tolerance` is for `type: number`, not for "
        "'date'",
        "evals/x.yaml: graders[6].json_schema.schema: not a usable JSON Schema: "
        "\"objekt\" is not valid under any of the schemas listed in the 'anyOf' keyword",
        "evals/x.yaml: graders[7].json_schema.schema: is missing",
        "evals/x.yaml: graders[8]: expected one grader's name, with or without options",
        "evals/x.yaml: graders[9].numeric: expected a mapping of options, got 5",
    )


def test_no_graders_are_a_problem() -> None:
    assert problems() == ("evals/x.yaml: graders: name at least one",)
    with pytest.raises(GraderError, match="no graders"):
        grade_answer((), "a", "a")


def test_a_fingerprint_is_json_and_tells_options_apart() -> None:
    specs = [
        "exact_match",
        {"exact_match": {"ignore_case": True}},
        {"json_fields": {"fields": {"a": {"type": "number", "tolerance": 0.01}}}},
        {"json_schema": {"schema": {"type": "object"}}},
        "one_of",
    ]
    prints = [named.fingerprint() for named in graders(*specs, labels=LABELS)]
    assert json.loads(json.dumps(prints)) == prints
    assert len({digest(found) for found in prints}) == len(specs)
    assert prints[1] == {
        "name": "exact_match",
        "version": "1",
        "options": {"ignore_case": True, "ignore_punctuation": False},
    }
    assert prints[3]["options"] == {"schema": {"type": "object"}}
    assert prints[4]["options"]["labels"] == LABELS


def test_a_default_that_is_written_out_changes_no_fingerprint() -> None:
    short, long = graders(
        {"json_fields": {"fields": {"a": "date"}}},
        {"json_fields": {"fields": {"a": {"type": "date"}}, "extra": "ignore"}},
    )
    assert short.fingerprint() == long.fingerprint()


def test_all_graders_must_pass() -> None:
    found = graders("exact_match", {"regex": {"pattern": "^a"}}, {"contains": {"all": ["a", "b"]}})
    assert grade_answer(found, "ab", "ab") == Grade(
        1.0, "equals the expected text; matches the pattern; contains what is expected"
    )
    assert grade_answer(found, "a", "a") == Grade(0.5, "contains: does not contain 'b'")
    assert grade_answer(found, "ba", "a") == Grade(
        0.0, "exact_match: 'ba' is not 'a'; regex: 'ba' does not match '^a'"
    )


def test_a_golden_answer_that_cannot_be_used_names_the_grader() -> None:
    with pytest.raises(GraderError, match=r"^numeric: `expected` must be a number, got 'a'$"):
        grade_answer(graders("numeric"), "5", "a")


@pytest.mark.usefixtures("acme")
def test_a_third_partys_grader_is_found_by_its_name() -> None:
    (named,) = graders({"length": {"most": 3}})
    assert named.fingerprint() == {"name": "length", "version": "7", "options": {"most": 3}}
    assert grade_answer([named], "abc", None) == Grade(1.0, "3 characters")
    assert grade_answer([named], "abcd", None) == Grade(0.25, "length: 4 characters")


@pytest.mark.usefixtures("acme")
def test_a_third_partys_options_are_checked_like_ours() -> None:
    assert problems({"length": {"mots": 3}}, {"length": {"most": "3"}}) == (
        "evals/x.yaml: graders[0].length.mots: unknown key; did you mean 'most'?",
        "evals/x.yaml: graders[1].length.most: expected integer, got '3'",
    )


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("not_a_grader", "is not a grader: <class 'acme_graders.NotAGrader'> must be a subclass"),
        ("unfinished", "is not a grader"),
        ("unversioned", "`version` must be a text"),
        ("gone", "cannot be imported"),
        ("lenght", "did you mean 'length'"),
        ({"choosy": {"most": 1}}, r"graders\[0\].choosy: TypeError: choosy"),
        ({"returns": {"value": object}}, r"graders\[0\].returns: PydanticSerializationError"),
    ],
)
def test_a_third_partys_grader_that_cannot_be_used_is_refused(spec: Any, problem: str) -> None:
    with pytest.raises(GraderError, match=problem):
        graders(spec)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("answer", "problem"),
    [("key", "KeyError"), ("exit", "SystemExit"), ("stack", "RecursionError")],
)
def test_a_third_partys_grader_that_raises_is_named(answer: str, problem: str) -> None:
    with pytest.raises(GraderError, match=f"^raises: {problem}: '?gone'?$"):
        grade_answer(graders("raises"), answer, None)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("answer", ["none", "text", "reason", "score", "nan", "large", "small"])
def test_a_third_partys_grader_that_returns_no_grade_is_named(answer: str) -> None:
    with pytest.raises(GraderError, match=r"^returns: (returned|the score) "):
        grade_answer(graders("returns"), answer, None)


def test_the_known_graders_are_our_table() -> None:
    assert grader_types() == GRADERS
    assert all(issubclass(found, Grader) for found in grader_types().values())


@pytest.mark.usefixtures("acme")
def test_a_plugin_that_cannot_be_used_is_told_when_all_are_asked_for() -> None:
    with pytest.raises(GraderError, match="plugin"):
        grader_types()
