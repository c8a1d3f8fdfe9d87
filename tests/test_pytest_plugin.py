"""`pytest evals/`: what is collected, what passes and fails, and what other projects pay for it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from answered import MODELS, record, write_cases

import calibrate.cli.gating
import calibrate.cli.run  # noqa: F401 - pytester forgets modules that a test imports first

pytest_plugins = ["pytester"]

GOOD = {"small": range(2), "medium": range(2), "large": range(1)}
ITEMS = ["fresh", "evidence", "status"]


@pytest.fixture
def measured(project: Any, calibrate: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project whose policy rests on recorded answers; plugins are named and not found."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    write_cases(project, 40)
    record(project, GOOD)
    assert calibrate("run", "--offline").status == 0
    return project


@pytest.fixture
def evals(pytester: pytest.Pytester) -> Any:
    """`evals("-k", "fresh")` runs pytest over the project's workflows."""

    def run(project: Any, *options: str) -> pytest.RunResult:
        folder = str(project.root / "evals")
        return pytester.runpytest_inprocess("-p", "calibrate.pytest_plugin", folder, *options)

    return run


def items(result: pytest.RunResult) -> list[str]:
    return [line.rpartition("::")[2] for line in result.outlines if "::" in line]


def test_a_workflow_has_an_item_for_each_question(evals, measured) -> None:
    assert items(evals(measured, "--collect-only", "-q")) == ITEMS
    evals(measured).assert_outcomes(passed=3)


def test_critical_cases_are_a_question_where_there_are_some(evals, measured, calibrate) -> None:
    write_cases(measured, 40, critical=True)
    assert items(evals(measured, "--collect-only", "-q")) == ITEMS
    bar = "bar: {pass_rate: 0.5, confidence: 0.9"
    measured.edit("evals/triage.yaml", bar, f"{bar}, critical: must_pass")
    assert items(evals(measured, "--collect-only", "-q")) == [*ITEMS, "critical"]
    assert calibrate("run", "--offline").status == 1
    result = evals(measured, "-k", "critical")
    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(["small fails critical cases: m-1, m-0"])


def test_what_is_stale_fails_and_says_why(evals, measured) -> None:
    measured.edit("evals/triage.yaml", "max_output_tokens: 8", "max_output_tokens: 9")
    result = evals(measured)
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            "stale: the prompt, its examples, labels, schema or output limit changed; *",
            "no answer: an answer of 'small-1' is not recorded, *",
        ]
    )


def test_a_policy_that_its_answers_do_not_give_fails(evals, measured) -> None:
    (measured.root / "datasets/recordings/triage.jsonl.gz").unlink()
    record(measured, {**GOOD, "small": range(40)})
    result = evals(measured)
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["the policy's tier is 'cheap', and deciding again *'balanced'"])


def test_an_unmet_bar_fails(evals, measured, calibrate) -> None:
    (measured.root / "datasets/recordings/triage.jsonl.gz").unlink()
    record(measured, dict.fromkeys(MODELS, range(40)))
    assert calibrate("run", "--offline").status == 1
    result = evals(measured)
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["triage: no model meets 50.0 %; small (cheap) comes nearest."])


def test_what_is_not_certified_is_skipped_with_the_model_that_serves_it(
    evals, measured, calibrate
) -> None:
    measured.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.99")
    assert calibrate("run", "--offline").status == 0
    result = evals(measured, "-rs")
    result.assert_outcomes(skipped=1, passed=2)
    result.stdout.fnmatch_lines(["*nothing is certified yet; large serves it"])


def test_a_workflow_that_the_policy_does_not_have_fails(evals, measured) -> None:
    old = (measured.root / "evals/triage.yaml").read_bytes()
    measured.write("evals/second.yaml", old)
    result = evals(measured, "-k", "second and status")
    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines(["the policy has no entry"])


def test_the_first_failure_can_end_it(evals, measured) -> None:
    measured.edit("evals/triage.yaml", "max_output_tokens: 8", "max_output_tokens: 9")
    evals(measured, "-x").assert_outcomes(failed=1)


def test_junit_has_a_test_case_for_each_item(evals, measured, tmp_path) -> None:
    evals(measured, "--junitxml", str(tmp_path / "found.xml")).assert_outcomes(passed=3)
    root = Xml.parse(tmp_path / "found.xml")  # noqa: S314 - made here
    cases = [case.attrib for case in root.iter("testcase")]
    assert [case["name"] for case in cases] == ITEMS
    assert all(case["classname"].endswith("evals.triage.yaml") for case in cases)


def test_workers_share_the_items(evals, measured) -> None:
    evals(measured, "-p", "xdist", "-n", "2").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("evals/triage.yaml", "version: 1\n", "*evals/triage.yaml*missing*"),
        ("datasets/triage.jsonl", "nonsense", "*datasets/triage.jsonl:1: *"),
        ("routing-policy.yaml", "version: 1\nnews: 1", "*routing-policy.yaml:2: news: *"),
    ],
)
def test_files_that_cannot_be_read_are_an_error_without_a_traceback(
    evals, measured, name, content, text
) -> None:
    measured.write(name, content)
    result = evals(measured)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([text])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_bug_shows_where_it_is(evals, measured, monkeypatch) -> None:
    monkeypatch.setattr("calibrate.cli.gating.difference", None)
    result = evals(measured, "-k", "evidence")
    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(["*TypeError: 'NoneType' object is not callable*"])


def test_yaml_of_other_projects_is_left_alone(evals, measured, pytester) -> None:
    measured.write("evals/tiers.ollama.yaml", "version: 1")
    measured.write("other/evals/a.yaml", "b: 1")
    measured.write("notes/a.yaml", "b: 1")
    assert items(evals(measured, "--collect-only", "-q", str(measured.root))) == ITEMS


def test_who_tests_something_else_imports_no_harness() -> None:
    code = (
        "import sys, calibrate.pytest_plugin;"
        "print([m for m in ('numpy', 'pandas', 'pydantic', 'calibrate.cli.gating')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
