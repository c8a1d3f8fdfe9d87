"""`calibrate check`: is the committed policy what the inputs imply? Offline."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from calibrate.cli.json_output import print_json
from calibrate.cli.options import (
    add_json,
    add_project,
    add_workflows,
    chosen_names,
    load_tasks,
    project_of,
)
from calibrate.drift import Change, changes_of, expiry, orphans, other_default
from calibrate.policy import DEFAULT_PATH, Policy, load_policy, utc_today

DESCRIPTION = (
    "Say whether the committed policy is what the inputs imply, and as it was written; and what\n"
    "changed, was edited or has expired. Offline."
)
EXAMPLE = "calibrate check"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_workflows(parser)
    add_project(parser)
    parser.add_argument("--policy", metavar="FILE", type=Path, help=f"default: {DEFAULT_PATH}")
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    project = project_of(arguments)
    policy = load_policy(arguments.policy or project.root / DEFAULT_PATH)
    names = chosen_names(project, arguments.workflows)
    changes = [
        change
        for task in load_tasks(project, names)
        for change in (*changes_of(task, project, policy), *expiry(task, utc_today()))
    ]
    if not arguments.workflows:
        changes += [*orphans(project, policy), *other_default(project, policy)]
    stale = sorted({change.workflow for change in changes})
    if arguments.json:
        print_json(
            {
                "fresh": not changes,
                "workflows": [
                    {"workflow": name, "fresh": name not in stale, "status": _status(policy, name)}
                    for name in names
                ],
                "changes": [asdict(change) for change in changes],
            }
        )
    else:
        _print(names, changes, stale)
    return 1 if changes else 0


def _print(names: list[str], changes: list[Change], stale: list[str]) -> None:
    for change in changes:
        print(f"{change.workflow}: {change.kind}: {change.text}")
    again = [name for name in names if name in stale]
    if again:
        print(f"stale; run `calibrate run {' '.join(again)}` and commit the policy")
    elif not stale:
        print(f"fresh: {', '.join(names)}")


def _status(policy: Policy, name: str) -> str | None:
    entry = policy.workflows.get(name)
    return None if entry is None else entry.status
