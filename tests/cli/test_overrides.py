"""Overrides and the default route: declared in the project, and shown in the policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from loopback import Loopback, Received, Response, chat

from calibrate.policy import load_policy

OVERRIDES = "overrides: {model: large, owner: ana, reason: an incident, expires: 9999-12-31}"


@pytest.fixture
def served(project: Any) -> Iterator[Loopback]:
    """A server whose models say `urgent` to everything, which is right at every case."""
    rows = [
        {"id": f"m-{n}", "input": {"message": f"message {n}"}, "expected": "urgent"}
        for n in range(40)
    ]
    project.write("datasets/triage.jsonl", "\n".join(map(json.dumps, rows)))

    def script(received: Received) -> Response:
        return chat("urgent", model=received.model)

    with Loopback(script) as server:
        project.edit("evals/tiers.yaml", "http://127.0.0.1:9/v1", server.base_url)
        yield server


def override(project: Any, text: str = OVERRIDES) -> None:
    project.edit("evals/triage.yaml", "seed: 7", f"seed: 7\n{text}")


@pytest.mark.usefixtures("served")
def test_an_override_leaves_the_evidence_as_it_is(calibrate: Any, project: Any) -> None:
    assert calibrate("run", "triage").status == 0
    before = load_policy("routing-policy.yaml").workflows["triage"]
    override(project)
    assert calibrate("check").stdout.splitlines() == [
        "triage: override: the override changed",
        "stale; run `calibrate run triage` and commit the policy",
    ]
    status, stdout, stderr = calibrate("run", "triage", "--offline")
    assert (status, stderr) == (0, "")
    assert (
        "overridden: large serves it until 9999-12-31, by decision of ana: an incident\n" in stdout
    )
    policy = load_policy("routing-policy.yaml", verify=True)
    after = policy.workflows["triage"]
    assert (after.status, after.model, after.evidence) == ("certified", "small", before.evidence)
    assert after.override is not None
    assert (after.override.model, after.override.tier) == ("large", "frontier")
    assert policy.route("triage").alias == "large"
    assert load_policy("routing-policy.yaml", today=date.max).route("triage").alias == "large"
    assert calibrate("check") == (0, "fresh: triage\n", "")


@pytest.mark.usefixtures("served")
def test_a_run_tells_of_the_override_in_json(calibrate: Any, project: Any) -> None:
    override(project)
    (row,) = json.loads(calibrate("run", "--json").stdout)["workflows"]
    assert row["model"] == "small"
    assert row["override"] == {
        "model": "large",
        "tier": "frontier",
        "owner": "ana",
        "reason": "an incident",
        "expires": "9999-12-31",
    }


@pytest.mark.usefixtures("served")
def test_the_same_override_is_the_same_bytes_on_any_day(calibrate: Any, project: Any) -> None:
    override(project, OVERRIDES.replace("9999-12-31", "2020-02-29"))
    status, stdout, _ = calibrate("run", "triage")
    assert status == 0
    assert (
        "the override to 'large' expired on 2020-02-29; take it out of evals/triage.yaml, or ana "
        "renews it\n" in stdout
    )
    assert "overridden" not in stdout
    before = (project.root / "routing-policy.yaml").read_bytes()
    assert b"expires: '2020-02-29'" in before
    assert load_policy("routing-policy.yaml").route("triage").alias == "small"
    assert load_policy("routing-policy.yaml", today=date(2020, 2, 29)).route("triage").override
    assert calibrate("run", "triage", "--changed").stderr == "nothing changed\n"
    assert calibrate("run", "triage").status == 0
    assert (project.root / "routing-policy.yaml").read_bytes() == before
    assert calibrate("check").status == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            OVERRIDES.replace("large", "larg"),
            "evals/triage.yaml:13: overrides.model: no model of the workflow's tiers is called "
            "'larg'; did you mean 'large'?",
        ),
        (
            OVERRIDES.replace("large", "medium") + "\ntiers: [cheap]",
            "evals/triage.yaml:13: overrides.model: no model of the workflow's tiers is called "
            "'medium'",
        ),
        (
            OVERRIDES.replace("owner: ana, ", ""),
            "evals/triage.yaml:13: overrides.owner: is missing",
        ),
        (
            OVERRIDES.replace("an incident", "''"),
            "evals/triage.yaml:13: overrides.reason: expected a text, not an empty one, got ''",
        ),
        (
            OVERRIDES.replace(", expires: 9999-12-31", ""),
            "evals/triage.yaml:13: overrides.expires: is missing",
        ),
    ],
)
def test_an_override_that_cannot_be_is_refused(
    calibrate: Any, project: Any, text: str, problem: str
) -> None:
    override(project, text)
    assert calibrate("run", "triage") == (2, "", f"error: {problem}\n")


@pytest.mark.usefixtures("served")
def test_the_baseline_may_always_be_the_override(calibrate: Any, project: Any) -> None:
    override(project, OVERRIDES + "\ntiers: [cheap]")
    assert calibrate("run", "triage").status == 0
    assert load_policy("routing-policy.yaml").route("triage").alias == "large"


@pytest.mark.parametrize("day", ["soon", "2026-02-30", "'2026-01-31'", "20260131"])
def test_an_override_without_a_day_is_refused(calibrate: Any, project: Any, day: str) -> None:
    override(project, OVERRIDES.replace("9999-12-31", day))
    status, stdout, stderr = calibrate("check")
    assert (status, stdout) == (2, "")
    assert stderr.startswith("error: evals/triage.yaml")


def test_an_override_to_a_model_that_cannot_serve_is_refused(calibrate: Any, project: Any) -> None:
    project.edit(
        "evals/tiers.yaml",
        "    context_window: 4000\n    parameters: {temperature: 0}\n",
        "    method: nearest_example\n",
    )
    override(project, OVERRIDES.replace("large", "small"))
    assert calibrate("run", "triage") == (
        2,
        "",
        "error: evals/triage.yaml: overrides.model: 'small' is no candidate of this workflow "
        "(known: medium, large)\n",
    )


@pytest.mark.usefixtures("served")
def test_the_declared_default_serves_unknown_names(calibrate: Any, project: Any) -> None:
    project.edit("evals/tiers.yaml", "baseline: frontier", "baseline: frontier\ndefault_route: b")
    assert calibrate("run", "triage") == (
        2,
        "",
        "error: evals/tiers.yaml: default_route: no workflow is called 'b'\n",
    )
    text = (project.root / "evals/triage.yaml").read_bytes()
    project.write("evals/b.yaml", text)
    assert calibrate("run", "triage").status == 0
    assert load_policy("routing-policy.yaml").default is None  # it has no route yet
    assert calibrate("run", "b").status == 0
    assert load_policy("routing-policy.yaml").default == "b"
    assert calibrate("route", "other", "--or-default").stdout.startswith("b: small ")
    assert calibrate("check").status == 0


def test_workflows_that_differ_by_case_are_refused(calibrate: Any, project: Any) -> None:
    text = (project.root / "evals/triage.yaml").read_bytes()
    project.write("evals/Triage.yaml", text)
    if len(list((project.root / "evals").glob("*riage.yaml"))) < 2:
        pytest.skip("this file system knows no difference")
    assert calibrate("check") == (
        2,
        "",
        "error: evals/triage.yaml: its name differs from 'Triage' by case only; rename one\n",
    )
