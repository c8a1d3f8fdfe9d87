"""Bad input that only a run meets: each is one message, and nothing is half-written."""

from __future__ import annotations

import pytest

from calibrate.cache import Recorded, write_recordings
from calibrate.completion import ChatMessage, Completion, Request, Usage


def test_an_unwritable_reports_folder_is_found_before_anything_is_asked(calibrate, project) -> None:
    project.write("reports", "a file in the folder's place")
    before = project.files()
    status, stdout, stderr = calibrate("run")
    assert (status, stdout) == (2, "")
    assert stderr == f"error: {project.root / 'reports'}: cannot be written: File exists\n"
    assert project.files() == before


def written(project) -> list[str]:
    """Return what a failed run must not leave: a policy, a workflow's report, a half file."""
    ends = ("routing-policy.yaml", "triage.html", ".tmp")
    return [name for name in project.files() if name.endswith(ends)]


def recorded(message: str, answer: str) -> Recorded:
    """What the small project's cheapest model answered to one message."""
    request = Request(
        kind="openai",
        name="small-1",
        messages=(
            ChatMessage("system", "Answer with one word: urgent or normal."),
            ChatMessage("user", message),
        ),
        parameters={"temperature": 0, "max_output_tokens": 8},
        logprobs=True,
    )
    return Recorded(request, Completion(Usage(20, 1), "small-1", 0.1, text=answer))


def test_a_pattern_that_never_ends_is_a_message(calibrate, project) -> None:
    project.edit("evals/triage.yaml", "- one_of", "- regex: {pattern: '(a|aa|a.)+$'}")
    project.write(
        "datasets/triage.jsonl",
        '{"id": "m-1", "input": {"message": "hello"}, "expected": "urgent"}',
    )
    write_recordings(
        project.root / "datasets/recordings/triage.jsonl.gz", [recorded("hello", "a" * 200 + "!b")]
    )
    status, stdout, stderr = calibrate("run", "--offline")
    assert (status, stdout) == (2, "")
    assert stderr.startswith("error: ")
    assert "did not end within 1 s" in stderr
    assert "Traceback" not in stderr
    assert written(project) == []


@pytest.mark.parametrize("text", [b"not gzip", b""])
def test_a_recording_that_cannot_be_read_is_a_message(calibrate, project, text: bytes) -> None:
    project.write("datasets/recordings/triage.jsonl.gz", text)
    status, stdout, stderr = calibrate("run", "--offline")
    assert (status, stdout) == (2, "")
    assert stderr.startswith("error: ")
    assert written(project) == []
