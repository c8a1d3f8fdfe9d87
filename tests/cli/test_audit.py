"""`calibrate audit`: simulated calibrations with known truth. Asks nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

COLUMNS = "scenario wrong 95 % interval right calls calls saved money saved × least promise"


def words(line: str) -> str:
    return " ".join(line.split())


def test_a_workflow_is_audited_as_it_stands(calibrate, project) -> None:
    before = project.files()
    status, stdout, stderr = calibrate("audit", "triage", "--runs", "200", "--jobs", "1")
    assert (status, stderr) == (0, "")
    title, columns, *rows = stdout.splitlines()
    assert title == "triage: 3 models, 6 cases, bar 50.0 %, wrong at most 10.0 %"
    assert words(columns) == COLUMNS
    assert [row.split("  ")[0] for row in rows[:10]] == [
        "all at the bar, independent",
        "all at the bar, correlated",
        "just under it, the dearest above, independent",
        "just under it, the dearest above, correlated",
        "staircase, independent",
        "staircase, correlated",
        "all well above it, independent",
        "all well above it, correlated",
        "2 % of calls fail, all at the bar",
        "10 % of calls fail, all at the bar",
    ]
    assert all(row.rstrip().endswith("kept") for row in rows[:10])
    assert rows[-1] == "10 of 10 scenarios keep the promise, in 200 calibrations each"
    assert project.files() == before


def test_json_has_the_same_figures(calibrate, project) -> None:
    options = ("audit", "triage", "--runs", "200", "--seed", "3", "--jobs", "1")
    status, stdout, stderr = calibrate(*options, "--json")
    assert (status, stderr) == (0, "")
    document = json.loads(stdout)
    (audit,) = document.pop("audits")
    scenarios = audit.pop("scenarios")
    assert document == {
        "schema": 1,
        "runs": 200,
        "seed": 3,
        "scenarios": 10,
        "promises_kept": 10,
    }
    assert audit.pop("cost_of_all_usd") > 0
    assert audit.pop("alpha_by_model") == pytest.approx([0.03] * 3)  # .9 x .1 / 3 at first
    assert audit == {
        "workflow": "triage",
        "models": ["small", "medium", "large"],
        "cases": 6,
        "groups": None,
        "repeats": 1,
        "floor": 0.5,
        "alpha": 0.1,
        "calls_of_all": 18,
        "can_certify": True,
        "left_out": [],
    }
    rows = calibrate(*options).stdout.splitlines()[2:12]
    for row, found in zip(rows, scenarios, strict=True):
        least, right, calls = found["calls_at_least"], found["right"], found["calls"]
        assert words(row) == words(
            f"{found['scenario']} {100 * found['wrong']:.2f} % "
            f"{100 * found['wrong_low']:.2f} – {100 * found['wrong_high']:.2f} % "
            f"{'–' if right is None else f'{100 * right:.1f} %'} {calls:.0f} "
            f"{100 * found['calls_saved']:.0f} % {100 * found['cost_saved']:.0f} % "
            f"{'–' if least is None else f'{calls / least:.2f}'} kept"
        )
        assert found["wrong_low"] <= found["wrong"] <= found["wrong_high"]
    above = scenarios[6]
    assert (above["true_rates"], above["meets_bar"]) == ([0.75, 0.85, 0.95], [True] * 3)


def test_a_broken_promise_is_status_1(calibrate, project) -> None:
    """One calibration of one is wrong by chance: 2.5 % to 100 %, and 2 % is promised."""
    project.edit("evals/triage.yaml", "pass_rate: 0.5, confidence: 0.9", "pass_rate: 0.3")
    project.edit("evals/triage.yaml", "pass_rate: 0.3", "pass_rate: 0.3, confidence: 0.98")
    for seed in range(400):
        found = calibrate("audit", "triage", "--runs", "1", "--jobs", "1", "--seed", str(seed))
        if found.status:
            break
    assert (found.status, found.stderr) == (1, "")
    rows = found.stdout.splitlines()
    broken = [words(row) for row in rows if row.rstrip().endswith("broken")]
    assert broken
    assert all("100.00 % 2.50 – 100.00 %" in row for row in broken)
    assert rows[-1] == (
        f"{10 - len(broken)} of 10 scenarios keep the promise, in 1 calibrations each"
    )


def test_every_part_of_a_bar_is_audited_or_named(calibrate, project) -> None:
    project.edit(
        "evals/triage.yaml",
        "confidence: 0.9",
        "confidence: 0.9, critical: must_pass, latency_p95_s: 2, of_baseline: 0.9",
    )
    status, stdout, _ = calibrate("audit", "triage", "--runs", "5", "--jobs", "1")
    assert status == 0
    assert "\njust the share of the baseline  " in stdout
    assert ("left out: critical, latency_p95_s (can only take a certification away)\n") in stdout


def test_cases_that_can_certify_nothing_are_said_to(calibrate, project) -> None:
    project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.9")
    project.edit("evals/triage.yaml", "seed: 7", "seed: 7\nrepeats: 2")
    status, stdout, _ = calibrate("audit", "triage", "--runs", "5", "--jobs", "1")
    assert (status, stdout.splitlines()[0]) == (
        0,
        "triage: 3 models, 6 cases, 2 repeats, bar 90.0 %, wrong at most 10.0 %",
    )
    assert "these cases cannot certify any model: there is nothing that could be wrong\n" in stdout


def test_without_a_workflow_a_grid_is_audited_anywhere(calibrate, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, stdout, stderr = calibrate("audit", "--runs", "2", "--jobs", "1")
    assert (status, stderr) == (0, "")
    titles = [line for line in stdout.splitlines() if line.startswith("3 models, ")]
    assert titles == [
        "3 models, 100 cases, bar 90.0 %, wrong at most 5.0 %",
        "3 models, 300 cases, bar 90.0 %, wrong at most 5.0 %",
        "3 models, 100 cases, bar 87.0 %, wrong at most 5.0 %",
        "3 models, 300 cases, bar 87.0 %, wrong at most 5.0 %",
        "3 models, 300 cases in 100 groups, bar 90.0 %, wrong at most 5.0 %",
    ]
    assert stdout.endswith("50 of 50 scenarios keep the promise, in 2 calibrations each\n")


@pytest.mark.parametrize(
    ("option", "value", "most"),
    [
        ("--runs", "0", 1_000_000),
        ("--runs", "-5", 1_000_000),
        ("--runs", "1000001", 1_000_000),
        ("--runs", "many", 1_000_000),
        ("--jobs", "0", 256),
        ("--jobs", "9" * 5000, 256),
    ],
)
def test_a_number_out_of_range_is_no_answer(calibrate, option: str, value: str, most: int) -> None:
    status, stdout, stderr = calibrate("audit", f"{option}={value}")
    assert (status, stdout) == (2, "")
    assert stderr.endswith(f"argument {option}: {value!r} is not a number from 1 to {most}\n")


def test_an_unknown_workflow_is_no_answer(calibrate, project) -> None:
    assert calibrate("audit", "triag") == (
        2,
        "",
        "error: no workflow is called 'triag'; did you mean 'triage'? (known: triage)\n",
    )


@pytest.mark.parametrize("option", ["--project", "--tiers"])
def test_a_project_without_a_workflow_is_not_a_grid(calibrate, project, option: str) -> None:
    assert calibrate("audit", option, ".") == (
        2,
        "",
        "error: name a WORKFLOW of the project; without one, a grid is audited\n",
    )


def test_a_terminal_sees_how_far_it_is_and_a_pipe_does_not(project) -> None:
    command = [sys.executable, "-m", "calibrate", "audit", "triage", "--runs", "30"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while part := read(ours):
            shown += part
        assert process.stdout is not None
        printed = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert b"300/300" in shown
    piped = subprocess.run(command, capture_output=True, check=False)
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, printed, b"")


def test_an_interruption_ends_every_process_without_a_traceback(project) -> None:
    command = [sys.executable, "-m", "calibrate", "audit", "--runs", "100000", "--jobs", "2"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        while not re.search(rb"[1-9]\d*/5000000", shown):
            part = read(ours)
            assert part, shown
            shown += part
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
        while part := read(ours):  # until none of them is left to write
            shown += part
    os.close(ours)
    assert process.returncode == 130
    assert b"interrupted" in shown
    assert b"Traceback" not in shown


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the other end of a terminal is closed
        return b""
