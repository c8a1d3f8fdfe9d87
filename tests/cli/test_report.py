"""What the report commands say of evidence that is odd, or not there: a page, or one message."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from answered import record, write_cases

POLICY = "routing-policy.yaml"


def page(project: Any, name: str = "triage") -> str:
    text: str = (project.root / "reports" / f"{name}.html").read_text("utf-8")
    return text.replace("\u00a0", " ")


def with_other(project: Any) -> None:
    """Add a workflow of which nothing is stored."""
    text = (project.root / "evals/triage.yaml").read_text("utf-8")
    project.write("evals/other.yaml", text.replace("{{ input.message }}", "{{ input.message }}!"))


def test_a_workflow_without_evidence_is_named_and_has_no_page(calibrate: Any, project: Any) -> None:
    found = calibrate("report")
    assert (found.status, found.stdout) == (2, "")
    assert found.stderr == (
        "error: triage: not all of its answers are stored, so it has no page; "
        "`calibrate run triage` asks for them\n"
    )
    assert "<code>calibrate run triage</code>" in page(project, "index")
    assert not (project.root / "reports/triage.html").exists()


def test_one_without_evidence_does_not_keep_the_others_from_their_pages(
    calibrate: Any, project: Any
) -> None:
    with_other(project)
    write_cases(project, 20)
    record(project, {"small": ()})
    found = calibrate("report", "--json")
    assert found.status == 2
    assert json.loads(found.stdout)["reports"] == ["reports/triage.html"]
    assert found.stderr.startswith("error: other: not all of its answers are stored")
    assert "certify" in page(project)


def test_a_run_of_one_case_says_that_it_cannot_certify(calibrate: Any, project: Any) -> None:
    write_cases(project, 1)
    record(project, dict.fromkeys(("small", "medium", "large"), ()))
    found = calibrate("run", "--offline")
    assert (found.status, found.stderr) == (0, "")
    assert "1 case cannot certify 50.0 %; at least " in " ".join(found.stdout.split())
    assert "keep the baseline large" in " ".join(found.stdout.split())
    assert "1 of 1" in page(project)


def test_only_failed_calls_are_no_evidence(calibrate: Any, project: Any) -> None:
    write_cases(project, 20)
    every = range(20)
    record(project, dict.fromkeys(("small", "medium", "large"), ()), failed=every)
    found = calibrate("run", "--offline")
    assert (found.status, found.stdout) == (2, "")
    assert "triage: too many calls failed for a verdict" in found.stderr
    assert calibrate("report").status == 0
    assert re.search(r"\b(\d+) of \1 calls failed: no evidence", page(project))
    assert "too many calls failed to judge it" in page(project)
    assert "Cost by part" not in page(project)  # nothing was answered, so nothing was paid


def test_fifty_models_fit_the_terminal_and_the_page(
    calibrate: Any, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"model-{n:02}" for n in range(48)]
    for name in names:
        project.edit(
            "evals/tiers.yaml",
            "  medium:\n",
            f"  {name}:\n    endpoint: local\n    name: {name}\n    price: "
            "{input_usd_per_mtok: 0.2, output_usd_per_mtok: 0.2}\n  medium:\n",
        )
    project.edit("evals/tiers.yaml", "cheap: [small]", f"cheap: [small, {', '.join(names)}]")
    write_cases(project, 40)
    wrong = range(0, 40, 2)
    record(project, {**dict.fromkeys(("small", *names), wrong), "medium": (), "large": ()})
    project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.85")
    monkeypatch.setenv("COLUMNS", "80")
    found = calibrate("run", "--offline")
    assert (found.status, found.stderr) == (1 if "no model meets" in found.stdout else 0, "")
    assert max(map(len, found.stdout.splitlines())) <= 80
    rows = [line for line in found.stdout.splitlines() if line.startswith("model-")]
    assert len(rows) == 2 * len(names)  # one in the table, one that says why
    assert page(project).count('<bdi class="model">model-47</bdi>') >= 2


@pytest.mark.parametrize("command", [("report",), ("run", "--offline"), ("project",)])
def test_a_policy_that_cannot_be_read_is_named_before_anything_is_written(
    command: tuple[str, ...], calibrate: Any, project: Any
) -> None:
    project.edit("evals/triage.yaml", "seed: 7", "seed: 7\ntraffic: {requests_per_day: 10}")
    write_cases(project, 20)
    record(project, {"small": ()})
    project.write(POLICY, "version: [")
    before = project.files()
    found = calibrate(*command)
    assert (found.status, found.stdout) == (2, "")
    assert POLICY in found.stderr
    assert "not YAML" in found.stderr
    assert project.files() == before


def test_without_a_policy_before_the_index_tells_of_no_change(calibrate: Any, project: Any) -> None:
    write_cases(project, 20)
    record(project, {"small": ()})
    assert calibrate("report").status == 0
    assert "Changed since the policy before" not in page(project, "index")


@pytest.mark.parametrize("command", [("report",), ("run", "--offline")])
def test_a_reports_folder_that_cannot_be_written_is_one_message(
    command: tuple[str, ...], calibrate: Any, project: Any
) -> None:
    write_cases(project, 20)
    record(project, {"small": ()})
    before = project.files()
    # A folder without permission would stop nobody who runs the tests as root.
    for place in (Path("/proc/nothing"), Path("/dev/null")):
        found = calibrate(*command, "--report", str(place))
        assert (found.status, found.stdout) == (2, "")
        assert found.stderr.startswith(f"error: {place}: cannot be written: ")
        assert project.files() == before


def test_a_policy_that_cannot_be_written_is_one_message(calibrate: Any, project: Any) -> None:
    write_cases(project, 20)
    record(project, {"small": ()})
    before = project.files()
    found = calibrate("run", "--offline", "--policy", "/proc/nothing/policy.yaml")
    assert (found.status, found.stdout) == (2, "")
    assert found.stderr.startswith("error: /proc/nothing")
    assert project.files() == before


def test_a_name_of_200_characters_and_one_from_right_to_left_stand_in_the_pages(
    calibrate: Any, project: Any
) -> None:
    long, rtl = "n" * 200, "نموذج"
    project.edit("evals/tiers.yaml", "  small:\n", f"  {long}:\n")
    project.edit("evals/tiers.yaml", "cheap: [small]", f"{rtl}: [{long}]")
    write_cases(project, 20)
    record(project, {long: ()})
    assert calibrate("run", "--offline").status == 0
    for name in ("triage", "index"):
        assert f'<bdi class="model">{long}</bdi>' in page(project, name)
        assert f">{rtl}</bdi>" in page(project, name)  # kept apart from what stands beside it
