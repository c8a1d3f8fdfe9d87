"""Fixtures that any test may use: a small project, and the command as a function."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from calibrate.cli import main

# A shell starts what ends in `&` with Ctrl-C ignored; tests that press it need it to be heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine and nothing of the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

TIERS = """\
version: 1
endpoints:
  local: {kind: openai, base_url: http://127.0.0.1:9/v1}
recordings: datasets/recordings
models:
  small:
    endpoint: local
    name: small-1
    price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}
    context_window: 4000
    parameters: {temperature: 0}
  medium:
    endpoint: local
    name: medium-1
    price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}
    context_window: 8000
  large:
    endpoint: local
    name: large-1
    price: {input_usd_per_mtok: 10, output_usd_per_mtok: 20}
    context_window: 16000
tiers:
  cheap: [small]
  balanced: [medium]
  frontier: [large]
baseline: frontier
"""

TRIAGE = """\
version: 1
description: Say whether a message is urgent.
dataset: datasets/triage.jsonl
labels: [urgent, normal]
prompt:
  - {role: system, content: 'Answer with one word: {{ labels | join(" or ") }}.'}
  - {role: user, content: "{{ input.message }}"}
max_output_tokens: 8
graders:
  - one_of
bar: {pass_rate: 0.5, confidence: 0.9}
seed: 7
limits: {timeout_s: 10, budget_usd_per_day: 100}
"""

CASES = """\
{"id": "m-1", "input": {"message": "The server room is on fire."}, "expected": "urgent"}
{"id": "m-2", "input": {"message": "Lunch on Thursday?"}, "expected": "normal"}
{"id": "m-3", "input": {"message": "Payments fail since ten."}, "expected": "urgent"}
{"id": "m-4", "input": {"message": "The logo is the old one."}, "expected": "normal"}
{"id": "m-5", "input": {"message": "We are leaking customer data."}, "expected": "urgent"}
{"id": "m-6", "input": {"message": "Please tidy the calendar."}, "expected": "normal"}
"""


@dataclass(frozen=True)
class Folder:
    """A project on disk that a test may change."""

    root: Path

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the project and return its path."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one place where `old` stands in a file."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {text.count(old)} times {old!r}"
        self.write(name, text.replace(old, new))

    def files(self) -> dict[str, bytes]:
        """Return every file's content by its name, to see that nothing was written."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A small project in an empty folder, which is the current folder.

    Its endpoint refuses connections: nothing can be asked by accident.
    """
    folder = Folder(tmp_path / "project")
    folder.write("evals/tiers.yaml", TIERS)
    folder.write("evals/triage.yaml", TRIAGE)
    folder.write("datasets/triage.jsonl", CASES)
    monkeypatch.chdir(folder.root)
    return folder


@pytest.fixture
def calibrate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """`calibrate("plan", "triage")` runs a command in this process and returns how it ended."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        status = main(list(arguments))
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return run
