"""With `--json` there is one document on stdout, however a command ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from answered import record, write_cases

import calibrate.cli.schema as calibrate_schema
from calibrate.cli.json_output import asks_for_json
from calibrate.errors import ConfigError


def document(found: Any) -> dict[str, Any]:
    """Return the one document that a command has printed."""
    read: dict[str, Any] = json.loads(found.stdout)
    assert read["schema"] == 1
    return read


@pytest.mark.parametrize(
    ("arguments", "is_asked"),
    [
        (["run", "--json"], True),
        (["diff", "a", "b", "--format", "json"], True),
        (["diff", "a", "b", "--format=json"], True),
        (["diff", "a", "b", "--format", "markdown"], False),
        (["run", "json"], False),
        ([], False),
    ],
)
def test_a_document_is_asked_for_by_json_or_by_its_format(
    arguments: list[str], is_asked: bool
) -> None:
    assert asks_for_json(arguments) is is_asked


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (ConfigError(["a.yaml:1: x", "a.yaml:2: y"]), 2, ["a.yaml:1: x", "a.yaml:2: y"]),
        (KeyboardInterrupt(), 130, ["interrupted; every answer that had arrived is kept"]),
        (OSError(28, "No space left on device", "a.html"), 2, ["a.html: No space left on device"]),
        (
            ZeroDivisionError("oh"),
            3,
            ["this is a bug in calibrate; please report it with the traceback on stderr"],
        ),
    ],
)
def test_an_error_is_a_document_and_is_told_on_stderr_as_well(
    error: BaseException,
    status: int,
    problem: list[str],
    calibrate: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handle(_: object) -> int:
        raise error

    monkeypatch.setattr(calibrate_schema, "handle", handle)
    found = calibrate("schema", "case", "--json")
    assert found.status == status
    assert document(found)["error"] == {"exit_status": status, "problems": problem}
    assert all(line in found.stderr for line in problem)
    assert calibrate("schema", "case").stdout == ""


def test_a_mistake_on_the_command_line_is_one_too(calibrate: Any) -> None:
    for arguments in (("chek", "--json"), ("run", "--max-usd", "x", "--json"), ("cache", "--json")):
        found = calibrate(*arguments)
        assert found.status == 2
        (problem,) = document(found)["error"]["problems"]
        assert found.stderr.endswith(f"error: {problem}\n")


def test_a_run_has_its_results_and_its_errors_in_one_document(calibrate: Any, project: Any) -> None:
    other = (project.root / "evals/triage.yaml").read_text()
    project.write("evals/other.yaml", other.replace("Answer", "Reply"))
    write_cases(project, 20)
    record(project, {"small": ()})
    found = calibrate("run", "--offline", "--json")
    assert found.status == 2
    told = document(found)
    assert [row["workflow"] for row in told["workflows"]] == ["triage"]
    (problem,) = told["error"]["problems"]
    assert problem.startswith("other: an answer of 'small-1' is not recorded")
    assert f"error: {problem}\n" in found.stderr
    assert "error" not in document(calibrate("run", "triage", "--offline", "--json"))


def test_a_run_without_any_result_says_why(calibrate: Any, project: Any) -> None:
    write_cases(project, 20)
    told = document(calibrate("run", "--offline", "--json"))
    assert told["workflows"] == []
    assert told["error"]["exit_status"] == 2
    assert told["error"]["problems"]


def test_a_report_names_its_pages_and_what_has_none(calibrate: Any, project: Any) -> None:
    other = (project.root / "evals/triage.yaml").read_text()
    project.write("evals/other.yaml", other.replace("Answer", "Reply"))
    write_cases(project, 20)
    record(project, {"small": ()})
    told = document(calibrate("report", "--json"))
    assert told["reports"] == ["reports/triage.html"]
    assert told["error"]["problems"] == [
        "other: not all of its answers are stored, so it has no page; "
        "`calibrate run other` asks for them"
    ]
