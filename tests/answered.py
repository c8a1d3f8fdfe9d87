"""A project with many cases whose models have answered all of them: recorded, without a server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from calibrate.cache import Recorded, Recordings, write_recordings
from calibrate.candidates import chat_form
from calibrate.completion import Completion, Failure, FailureReason, Usage
from calibrate.project import load_project
from calibrate.task import load_task

MODELS = ("small", "medium", "large")


def write_cases(project: Any, count: int, **extra: object) -> None:
    """Write so many golden cases, `m-0` to the last, all of them urgent."""
    rows = [
        {"id": f"m-{n}", "input": {"message": f"message {n}"}, "expected": "urgent", **extra}
        for n in range(count)
    ]
    project.write("datasets/triage.jsonl", "\n".join(map(json.dumps, rows)))


def record(
    project: Any,
    wrong: Mapping[str, Collection[int]],
    *,
    first: int | None = None,
    failed: Collection[int] = (),
) -> None:
    """Record answers of each model to the cases (of the seeded order only the `first`).

    `wrong` has the numbers of the cases that a model gets wrong; `failed` those whose calls failed
    for good. What was recorded before stays.
    """
    found = load_project(project.root)
    task = load_task(found, "triage")
    path = project.root / "datasets/recordings/triage.jsonl.gz"
    rows = list(Recordings(path if path.is_file() else None).all())
    by_alias = {candidate.alias: candidate for candidate in task.field.candidates}
    for alias, missed in wrong.items():
        for case in task.cases[:first]:
            number = int(case.id.removeprefix("m-"))
            request = chat_form(by_alias[alias], task.workflow).request(task.prompt.messages(case))
            text = "normal" if number in missed else "urgent"
            reply: Completion | Failure = Completion(
                Usage(20, 1), by_alias[alias].model.name, 0.5, text=text
            )
            if number in failed:
                reply = Failure(FailureReason.SERVER_ERROR, "down", latency_s=0.1)
            rows.append(Recorded(request, reply))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_recordings(path, rows)


def commit(root: Path, *arguments: str) -> None:
    """Make the folder a git repository where it is none, and commit all that is in it."""
    git = ["git", "-c", "user.name=ana", "-c", "user.email=ana@example.com", "-C", str(root)]
    if not (root / ".git").exists():
        subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all", "--", ":(exclude).calibrate"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "a state"], check=True)
