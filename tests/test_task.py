"""A workflow made ready: everything read and checked before the first request."""

from __future__ import annotations

import pytest

from calibrate.errors import CalibrateError, ConfigError
from calibrate.project import load_project
from calibrate.task import Task, load_task


def load(project) -> Task:
    return load_task(load_project(project.root), "triage")


def problems_of(project) -> tuple[str, ...]:
    with pytest.raises(CalibrateError) as caught:
        load(project)
    return caught.value.problems


def test_a_task_has_its_cases_in_the_seeded_order(project) -> None:
    task = load(project)
    assert [case.id for case in task.cases] == [f"m-{number}" for number in (6, 2, 1, 5, 4, 3)]
    assert [candidate.alias for candidate in task.field.candidates] == ["small", "medium", "large"]
    assert task.field.baseline.alias == "large"
    assert [grader.name for grader in task.graders] == ["one_of"]


def test_every_problem_of_a_workflow_is_told_at_once(project) -> None:
    project.edit("datasets/triage.jsonl", '{"id": "m-4"', "{'id': 'm-4'")
    project.edit("datasets/triage.jsonl", '"m-6"', '"m-1"')
    project.edit("evals/triage.yaml", "- one_of", "- one_off\n  - regex: {pattern: '('}")
    project.edit("evals/triage.yaml", "{{ input.message }}", "{{ input.message")
    project.edit("evals/tiers.yaml", "kind: openai", "kind: opnai")
    assert problems_of(project) == (
        "datasets/triage.jsonl:4: not JSON: Expecting property name enclosed in double quotes "
        "at column 2",
        "datasets/triage.jsonl:6: id 'm-1' was given at datasets/triage.jsonl:1 already",
        "evals/triage.yaml: graders[0]: no calibrate.graders plugin is called 'one_off'; did you "
        "mean 'one_of'? (known: contains, exact_match, json_fields, json_schema, numeric, one_of, "
        "regex)",
        "evals/triage.yaml: graders[1].regex.pattern: not a regular expression: missing ) "
        "at position 1",
        "evals/triage.yaml: prompt[1]: line 1: unexpected end of template, expected "
        "'end of print statement'.",
        "endpoints.local.kind: no calibrate.providers plugin is called 'opnai'; did you mean "
        "'openai'? (known: anthropic, azure, gemini, openai)",
    )


def test_a_prompt_is_not_blamed_for_examples_that_cannot_be_read(project) -> None:
    project.edit("evals/triage.yaml", "seed: 7", "examples: datasets/none.jsonl")
    project.edit(
        "evals/triage.yaml",
        "prompt:\n",
        "prompt:\n  - examples: [{role: user, content: '{{ example.input }}'}]\n",
    )
    assert problems_of(project) == ("datasets/none.jsonl: no such file",)


def test_a_workflows_output_schema_reaches_its_grader(project) -> None:
    project.edit("evals/triage.yaml", "- one_of", "- json_schema")
    project.edit("evals/triage.yaml", "seed: 7", "output_schema: {type: string}")
    (grader,) = load(project).graders
    assert grader.fingerprint()["options"]["schema"] == {"type": "string"}


def test_an_answer_that_is_no_label_is_refused_in_cases_and_examples(project) -> None:
    project.edit("evals/triage.yaml", "seed: 7", "examples: datasets/examples.jsonl")
    project.write(
        "datasets/examples.jsonl",
        '{"input": "x", "expected": "normal"}\n{"input": "y", "expected": "Urgent"}\n',
    )
    project.edit(
        "datasets/triage.jsonl",
        '"Lunch on Thursday?"}, "expected": "normal"',
        '"Lunch on Thursday?"}, "expected": ["normal"]',
    )
    assert problems_of(project) == (
        "datasets/triage.jsonl: case 'm-2': ['normal'] is not one of the labels; "
        "did you mean 'normal'?",
        "datasets/examples.jsonl: example 2: 'Urgent' is not one of the labels; "
        "did you mean 'urgent'?",
    )


def test_a_prompt_is_rendered_for_every_case_before_anything_is_asked(project) -> None:
    project.edit("datasets/triage.jsonl", '{"message": "Lunch on', '{"mesage": "Lunch on')
    assert problems_of(project) == (
        "evals/triage.yaml: prompt[1]: 'dict object' has no attribute 'message'; "
        "known: `examples`, `labels`, `id`, `tags`, `input.mesage` (case 'm-2')",
    )


def test_a_price_that_the_catalogue_does_not_know_is_refused(project) -> None:
    project.edit(
        "evals/tiers.yaml",
        "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}",
        "price: auto",
    )
    assert problems_of(project) == (
        "models.small.price: the catalogue knows no 'small-1' at http://127.0.0.1:9/v1; "
        "give price: {input_usd_per_mtok: …, output_usd_per_mtok: …}",
    )


@pytest.mark.parametrize("place", ["datasets/linked.jsonl", "linked/outside.jsonl"])
def test_a_dataset_that_leaves_the_project_by_a_link_is_refused(project, place: str) -> None:
    outside = project.write("../outside.jsonl", '{"id": "x", "input": "y", "expected": "urgent"}')
    (project.root / "datasets/linked.jsonl").symlink_to(outside)
    (project.root / "linked").symlink_to(outside.parent)
    project.edit("evals/triage.yaml", "datasets/triage.jsonl", place)
    assert problems_of(project) == (f"{place}: leaves the project through a link",)


def test_the_workflow_must_exist(project) -> None:
    with pytest.raises(CalibrateError, match="no workflow is called 'other'"):
        load_task(load_project(project.root), "other")


def test_a_baseline_that_cannot_serve_the_workflow_is_refused(project) -> None:
    project.edit("evals/tiers.yaml", "name: large-1", "name: large-1\n    method: nearest_example")
    with pytest.raises(ConfigError) as caught:
        load(project)
    assert caught.value.problems == (
        "evals/triage.yaml: the baseline 'large' cannot serve this workflow",
    )


def test_without_labels_any_answer_is_an_answer(project) -> None:
    project.edit("evals/triage.yaml", "labels: [urgent, normal]\n", "")
    project.edit("evals/triage.yaml", '{{ labels | join(" or ") }}', "urgent or normal")
    project.edit("evals/triage.yaml", "- one_of", "- exact_match")
    project.edit(
        "datasets/triage.jsonl",
        '"expected": "normal"}\n{"id": "m-3"',
        '"expected": "?"}\n{"id": "m-3"',
    )
    assert {case.expected for case in load(project).cases} == {"urgent", "normal", "?"}
