"""Streams whose reader goes away, or that were never there: what a command does all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from answered import record, write_cases

from calibrate.cli.streams import standard_streams

PYTHON = [sys.executable, "-m", "calibrate"]
NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@contextmanager
def unread() -> Iterator[int]:
    """Yield a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@pytest.fixture
def answered(project: Any) -> Any:
    """A project of two workflows, of which one has all of its answers."""
    write_cases(project, 20)
    other = (project.root / "evals/triage.yaml").read_text()
    project.write("evals/other.yaml", other.replace("Answer", "Reply"))
    record(project, {"small": ()})
    return project


def run(*arguments: str, project: Any, **streams: int) -> subprocess.CompletedProcess[bytes]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run([*PYTHON, *arguments], cwd=project.root, check=False, **streams)


def test_a_closed_stdout_ends_a_command_quietly_and_without_an_answer(answered: Any) -> None:
    with unread() as stdout:
        done = run("plan", project=answered, stdout=stdout)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_run_whose_result_nobody_reads_leaves_it_and_tells_what_failed(answered: Any) -> None:
    with unread() as stdout:
        done = run("run", "--offline", project=answered, stdout=stdout)
    assert done.returncode == 141
    assert done.stderr.startswith(b"error: other: an answer of 'small-1' is not recorded")
    assert (answered.root / "routing-policy.yaml").is_file()
    assert (answered.root / "reports/triage.html").is_file()


def shell(command: str, root: Path) -> subprocess.CompletedProcess[bytes]:
    line = f'exec "$0" -m calibrate {command}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable], cwd=root, capture_output=True, check=False
    )


def test_talk_that_nobody_hears_costs_no_result(answered: Any) -> None:
    with unread() as stderr:
        done = run("run", "--offline", project=answered, stderr=stderr)
    assert done.returncode == 2  # of the workflow without answers, which is told on stderr
    assert b"triage goes to small" in done.stdout
    assert (answered.root / "routing-policy.yaml").is_file()


@NEEDS_FULL
def test_a_full_disk_beneath_stderr_changes_no_status(answered: Any) -> None:
    assert shell("plan nope 2>/dev/full", answered.root).returncode == 2


def test_a_command_without_stdout_does_what_it_does(answered: Any) -> None:
    done = shell("run triage --offline >&-", answered.root)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (answered.root / "routing-policy.yaml").is_file()


def test_without_stderr_no_talk_gets_among_the_data(answered: Any) -> None:
    done = shell("plan nope 2>&-", answered.root)
    assert (done.returncode, done.stdout) == (2, b"")


def test_missing_streams_are_there_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with standard_streams():
        print("nowhere")
        print("nowhere", file=sys.stderr, flush=True)
        assert not sys.stderr.isatty()
    assert (sys.stdout, sys.stderr) == (None, None)
