"""`calibrate report`: render the HTML again from stored answers, offline."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from calibrate.cli.again import in_its_family, share_again
from calibrate.cli.options import (
    add_json,
    add_project,
    add_workflows,
    chosen_names,
    load_tasks,
    policy_so_far,
    print_json,
    project_of,
    shown_path,
)
from calibrate.cli.session import open_client, require_writable
from calibrate.decide import Calibration
from calibrate.pipeline import calibrate
from calibrate.policy import DEFAULT_PATH, Policy
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.report import write_reports
from calibrate.task import Task

DESCRIPTION = (
    "Render the HTML reports again from stored answers. Offline; the policy stays as it is."
)
EXAMPLE = "calibrate report support-simple --report build/reports"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_workflows(parser)
    add_project(parser)
    parser.add_argument("--report", metavar="DIR", type=Path, help="default: reports/")
    parser.add_argument(
        "--all-cases", action="store_true", help="show the models that a run did not need, too"
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    project = project_of(arguments)
    folder = arguments.report or project.root / "reports"
    tasks = load_tasks(project, chosen_names(project, arguments.workflows))
    require_writable(folder)
    policy = policy_so_far(project.root / DEFAULT_PATH)
    calibrations = [
        asyncio.run(_replayed(task, project, policy, arguments.all_cases)) for task in tasks
    ]
    paths = write_reports(calibrations, project, policy, folder)
    if arguments.json:
        print_json({"reports": [shown_path(path) for path in paths]})
    else:
        for path in paths:
            print(shown_path(path))
    return 0


async def _replayed(task: Task, project: Project, policy: Policy, all_cases: bool) -> Calibration:
    """Return the calibration that the policy rests on, or else the one that a run would find."""
    share = share_again(task, project, policy)
    with open_client(project, task.name, Budget(None), offline=True) as opened:
        async with opened as client:
            found = await calibrate(task, client, share=share, ask_all=all_cases)
    return in_its_family(found, policy)
