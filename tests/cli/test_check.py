"""`calibrate check`: is the committed policy what the inputs imply? Offline."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from calibrate.drift import input_digests, override_of, serving_limits
from calibrate.policy import Evidence, Policy, PolicyModel, WorkflowPolicy, sealed, write_policy
from calibrate.project import load_project
from calibrate.task import load_task


@pytest.fixture
def policy(project) -> Policy:
    """A policy that is what the small project's inputs imply, written to its place."""
    found = load_project(project.root)
    task = load_task(found, "triage")
    entry = WorkflowPolicy(
        status="uncertified",
        tier="frontier",
        model="large",
        fallbacks=(),
        escalation=None,
        over_context=None,
        limits=serving_limits(task),
        evidence=Evidence(
            bar={"pass_rate": 0.5, "confidence": 0.9},
            rule="full",
            floor=0.5,
            candidates=3,
            alpha_spent=0.0333333,
            cases_used=0,
            cases=6,
            passed=0,
            failed_calls=0,
            estimate=None,
            lower_bound=None,
            cost_usd_per_1k_requests=0.4,
            cost_basis="estimated",
            baseline="large",
            baseline_cost_usd_per_1k_requests=0.4,
            baseline_cost_basis="estimated",
            saving=None,
            latency_p95_s=None,
            signature="triage|model:large|n:0",
        ),
        inputs=input_digests(task, found),
    )
    written = Policy(
        version=1,
        generated_by="calibrate 0.1.0",
        models={"large": PolicyModel("local", "openai", "large-1")},
    )
    return write_entries(project, written, triage=entry)


def write_entries(project, policy: Policy, **entries: WorkflowPolicy) -> Policy:
    """Put entries into the project's policy as a run does."""
    workflows = {name: sealed(name, entry, policy.models) for name, entry in entries.items()}
    written = replace(policy, workflows=workflows)
    write_policy(project.root / "routing-policy.yaml", written)
    return written


def kinds(calibrate) -> list[str]:
    status, stdout, stderr = calibrate("check", "--json")
    document = json.loads(stdout)
    assert (status, stderr) == (int(not document["fresh"]), "")
    return [change["kind"] for change in document["changes"]]


@pytest.mark.usefixtures("policy")
def test_a_policy_that_its_inputs_imply_is_fresh(calibrate, project) -> None:
    before = project.files()
    assert calibrate("check") == (0, "fresh: triage\n", "")
    assert calibrate("check", "triage", "--json").stdout == (
        '{\n  "schema": 1,\n  "fresh": true,\n  "workflows": [\n    {\n'
        '      "workflow": "triage",\n      "fresh": true,\n      "status": "uncertified"\n'
        '    }\n  ],\n  "changes": []\n}\n'
    )
    assert project.files() == before


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("name", "old", "new", "kind"),
    [
        ("evals/triage.yaml", "Answer with one word", "Answer in one word", "prompt"),
        (
            "evals/triage.yaml",
            "max_output_tokens: 8",
            "stop: ['.']\nmax_output_tokens: 8",
            "prompt",
        ),
        ("evals/triage.yaml", "[urgent, normal]", "[urgent, normal, other]", "prompt graders"),
        ("evals/triage.yaml", "- one_of", "- one_of: {ignore_case: false}", "graders"),
        ("evals/triage.yaml", "- one_of", "- exact_match", "graders"),
        ("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.6", "bar"),
        ("evals/triage.yaml", "confidence: 0.9", "confidence: 0.8", "bar"),
        ("evals/triage.yaml", "seed: 7", "seed: 8", "bar"),
        ("evals/triage.yaml", "timeout_s: 10", "timeout_s: 20", "limits"),
        ("evals/triage.yaml", "budget_usd_per_day: 100", "budget_usd_per_day: 50", "limits"),
        ("evals/triage.yaml", "seed: 7", "seed: 7\ntiers: [cheap]", "models prices"),
        ("datasets/triage.jsonl", "Lunch on Thursday?", "Lunch on Friday?", "dataset"),
        ("datasets/triage.jsonl", '"id": "m-2"', '"id": "m-9"', "dataset"),
        ("datasets/triage.jsonl", '"id": "m-2"', '"critical": true, "id": "m-2"', "dataset"),
        ("evals/tiers.yaml", "small-1", "small-2", "models"),
        ("evals/tiers.yaml", "temperature: 0", "temperature: 1", "models"),
        ("evals/tiers.yaml", "127.0.0.1:9/v1", "127.0.0.1:9/v2", "models"),
        ("evals/tiers.yaml", "output_usd_per_mtok: 20", "output_usd_per_mtok: 25", "prices"),
    ],
)
def test_what_changed_is_named_by_its_kind(
    calibrate, project, name: str, old: str, new: str, kind: str
) -> None:
    project.edit(name, old, new)
    assert kinds(calibrate) == kind.split()


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("evals/triage.yaml", "description: Say", "description: Tell"),
        ("evals/triage.yaml", "confidence: 0.9", "confidence: 0.90"),
        ("evals/triage.yaml", "seed: 7", "seed: 7\ntraffic: {requests_per_day: 5}\nmax_usd: 2"),
        ("evals/tiers.yaml", "output_usd_per_mtok: 20", "output_usd_per_mtok: 20.0"),
        ("evals/tiers.yaml", "/v1}", "/v1, concurrency: 2, timeout_s: 30}"),
        ("datasets/triage.jsonl", "\n", "\n\n"),
    ],
)
def test_what_cannot_change_a_route_leaves_it_fresh(
    calibrate, project, name: str, old: str, new: str
) -> None:
    text = (project.root / name).read_text()
    project.write(name, text.replace(old, new))
    assert kinds(calibrate) == []


@pytest.mark.usefixtures("policy")
def test_the_order_of_the_cases_in_the_file_does_not_matter(calibrate, project) -> None:
    lines = (project.root / "datasets/triage.jsonl").read_text().splitlines()
    project.write("datasets/triage.jsonl", "\n".join(reversed(lines)))
    assert kinds(calibrate) == []


@pytest.mark.usefixtures("policy")
def test_a_stale_policy_says_what_to_run(calibrate, project) -> None:
    project.edit("evals/triage.yaml", "Answer with one word", "Answer in one word")
    project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.6")
    assert calibrate("check") == (
        1,
        "triage: prompt: the prompt, its examples, labels, schema or output limit changed\n"
        "triage: bar: the bar, the confidence, the repeats or the seed changed\n"
        "stale; run `calibrate run triage` and commit the policy\n",
        "",
    )


@pytest.mark.usefixtures("policy")
def test_a_workflow_that_the_policy_does_not_have_is_stale(calibrate, project) -> None:
    project.write("evals/other.yaml", (project.root / "evals/triage.yaml").read_bytes())
    assert calibrate("check") == (
        1,
        "other: workflow: the policy has no entry; run `calibrate run other`\n"
        "stale; run `calibrate run other` and commit the policy\n",
        "",
    )
    assert calibrate("check", "triage") == (0, "fresh: triage\n", "")


def test_a_workflow_that_the_project_no_longer_has_is_stale(calibrate, project, policy) -> None:
    (entry,) = policy.workflows.values()
    write_entries(project, policy, gone=entry, triage=entry)
    assert calibrate("check") == (
        1,
        "gone: workflow: evals/gone.yaml is gone; take it out of the policy\n",
        "",
    )


def test_another_procedure_is_stale(calibrate, project, policy) -> None:
    (entry,) = policy.workflows.values()
    older = replace(entry, inputs=replace(entry.inputs, procedure="0"))
    write_entries(project, policy, triage=older)
    assert kinds(calibrate) == ["procedure"]


def test_no_policy_is_no_answer(calibrate, project) -> None:
    path = project.root / "routing-policy.yaml"
    assert calibrate("check") == (
        *(2, "", f"error: {path}: no such file; `calibrate run` makes a policy\n"),
    )


@pytest.mark.usefixtures("policy")
def test_another_policy_file_can_be_named(calibrate, project) -> None:
    (project.root / "routing-policy.yaml").rename(project.root / "other.yaml")
    assert calibrate("check", "--policy", "other.yaml").status == 0


@pytest.mark.usefixtures("policy")
def test_a_policy_of_a_newer_version_is_no_answer(calibrate, project) -> None:
    project.edit("routing-policy.yaml", "version: 1\n", "version: 2\nnews: [1]\n")
    path = project.root / "routing-policy.yaml"
    assert calibrate("check") == (
        2,
        "",
        f"error: {path}: version 2 is newer than this calibrate understands (1); "
        "upgrade calibrate-llm\n",
    )


@pytest.mark.usefixtures("policy")
def test_a_mistake_in_the_project_is_no_answer(calibrate, project) -> None:
    project.edit("evals/triage.yaml", "seed: 7", "sead: 7")
    assert calibrate("check") == (
        2,
        "",
        "error: evals/triage.yaml:12: sead: unknown key; did you mean 'seed'?\n",
    )
    assert calibrate("check", "tirage").status == 2


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("tier: frontier", "tier: cheap", "the route was edited"),
        ("status: uncertified", "status: certified", "the route was edited"),
        ("max_output_tokens: 8", "max_output_tokens: 9", "the route was edited"),
        (
            "name: large-1",
            "name: large-2",
            "a model that the route names is not as it was when the route was decided",
        ),
        ("cases_used: 0", "cases_used: 3", "the evidence or its inputs were edited"),
    ],
)
def test_an_edited_policy_is_stale_and_names_what_was_edited(
    calibrate, project, old: str, new: str, text: str
) -> None:
    project.edit("routing-policy.yaml", old, new)
    status, stdout, stderr = calibrate("check")
    assert (status, stderr) == (1, "")
    assert stdout.startswith(f"triage: edited: {text}\n")
    assert stdout.endswith("stale; run `calibrate run triage` and commit the policy\n")


@pytest.mark.usefixtures("policy")
def test_a_figure_that_does_not_follow_from_the_evidence_is_named(calibrate, project) -> None:
    project.edit("routing-policy.yaml", "saving: null", "saving: 0.5")
    assert calibrate("check").stdout.splitlines()[:2] == [
        "triage: edited: the evidence or its inputs were edited",
        "triage: edited: evidence.saving: the evidence implies 0, not 0.5",
    ]


def test_an_entry_without_digests_is_stale(calibrate, project, policy) -> None:
    entry = replace(policy.workflows["triage"], digests=None)
    write_policy(project.root / "routing-policy.yaml", replace(policy, workflows={"triage": entry}))
    assert calibrate("check").stdout.startswith(
        "triage: edited: it has no digests: an older calibrate or a person wrote it\n"
    )


OVERRIDES = "overrides: {model: small, owner: ana, reason: an incident, expires: 9999-12-31}"


def test_an_override_that_the_policy_does_not_have_is_stale(calibrate, project, policy) -> None:
    project.edit("evals/triage.yaml", "seed: 7", f"seed: 7\n{OVERRIDES}")
    assert calibrate("check").stdout.startswith("triage: override: the override changed\n")
    task = load_task(load_project(project.root), "triage")
    entry = replace(policy.workflows["triage"], override=override_of(task))
    models = {**policy.models, "small": PolicyModel("local", "openai", "small-1")}
    write_entries(project, replace(policy, models=models), triage=entry)
    assert calibrate("check") == (0, "fresh: triage\n", "")
    project.edit("evals/triage.yaml", "owner: ana", "owner: ben")
    assert kinds(calibrate) == ["override"]
    project.edit("evals/triage.yaml", f"{OVERRIDES.replace('ana', 'ben')}\n", "")
    assert kinds(calibrate) == ["override"]


def test_an_override_that_has_expired_is_stale(calibrate, project, policy) -> None:
    expired = OVERRIDES.replace("9999-12-31", "2020-02-29")
    project.edit("evals/triage.yaml", "seed: 7", f"seed: 7\n{expired}")
    task = load_task(load_project(project.root), "triage")
    entry = replace(policy.workflows["triage"], override=override_of(task))
    models = {**policy.models, "small": PolicyModel("local", "openai", "small-1")}
    write_entries(project, replace(policy, models=models), triage=entry)
    assert calibrate("check") == (
        1,
        "triage: override: the override to 'small' expired on 2020-02-29; take it out of "
        "evals/triage.yaml, or ana renews it\n"
        "stale; run `calibrate run triage` and commit the policy\n",
        "",
    )


@pytest.mark.usefixtures("policy")
def test_another_default_than_the_project_declares_is_stale(calibrate, project) -> None:
    project.edit(
        "evals/tiers.yaml", "baseline: frontier", "baseline: frontier\ndefault_route: triage"
    )
    assert calibrate("check") == (
        1,
        "triage: default: unknown names are served as triage by the tiers file, and as none by "
        "the policy\n"
        "stale; run `calibrate run triage` and commit the policy\n",
        "",
    )
    project.edit("routing-policy.yaml", "generated_by:", "default: triage\ngenerated_by:")
    assert calibrate("check").status == 0
    project.edit("evals/tiers.yaml", "\ndefault_route: triage", "")
    assert kinds(calibrate) == ["default"]
