"""`calibrate report`: render the HTML again from stored answers, offline."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

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
from calibrate.policy import DEFAULT_PATH
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
    calibrations = [asyncio.run(_replayed(task, project, arguments.all_cases)) for task in tasks]
    path = project.root / DEFAULT_PATH
    policy = policy_so_far(path)
    paths = write_reports(calibrations, project, policy, folder)
    if arguments.json:
        print_json({"reports": [shown_path(path) for path in paths]})
    else:
        for path in paths:
            print(shown_path(path))
    return 0


async def _replayed(task: Task, project: Project, all_cases: bool) -> Calibration:
    with open_client(project, task.name, Budget(None), offline=True) as opened:
        async with opened as client:
            return await calibrate(task, client, ask_all=all_cases)
