"""`calibrate report`: the HTML again from stored answers, offline: as files, or served live."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from calibrate.cli.again import in_its_family, share_again
from calibrate.cli.json_output import error_json, print_json
from calibrate.cli.options import (
    add_json,
    add_project,
    add_workflows,
    chosen_names,
    load_tasks,
    policy_so_far,
    port_number,
    project_of,
    shown_path,
)
from calibrate.cli.session import open_client, require_writable
from calibrate.decide import Calibration
from calibrate.errors import CacheMiss, UsageError
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
    parser.add_argument(
        "--serve",
        action="store_true",
        help="write no file: show the pages to this machine's browsers while a run goes on, at an "
        "address that is printed, until Ctrl-C",
    )
    parser.add_argument(
        "--port", metavar="N", type=port_number, help="with --serve (default: any that is free)"
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    project = project_of(arguments)
    if arguments.serve:
        return _serve(project, arguments)
    if arguments.port is not None:
        raise UsageError("--port goes with --serve")
    folder = arguments.report or project.root / "reports"
    tasks = load_tasks(project, chosen_names(project, arguments.workflows))
    require_writable(folder)
    policy = policy_so_far(project.root / DEFAULT_PATH)
    calibrations, lacking = [], []
    for task in tasks:
        try:
            found = asyncio.run(_replayed(task, project, policy, arguments.all_cases))
        except CacheMiss:
            lacking.append(
                f"{task.name}: not all of its answers are stored, so it has no page; "
                f"`calibrate run {task.name}` asks for them"
            )
        else:
            calibrations.append(found)
    written = write_reports(calibrations, project, policy, folder)
    shown = [shown_path(path) for path in written]
    if arguments.json:
        print_json({"reports": shown, **(error_json(lacking) if lacking else {})})
    else:
        for path in shown:
            print(path)
    for problem in lacking:
        print(f"error: {problem}", file=sys.stderr)
    return 2 if lacking else 0


async def _replayed(task: Task, project: Project, policy: Policy, all_cases: bool) -> Calibration:
    """Return the calibration that the policy rests on, or else the one that a run would find."""
    share = share_again(task, project, policy)
    with open_client(project, task.name, Budget(None), offline=True) as opened:
        async with opened as client:
            found = await calibrate(task, client, share=share, ask_all=all_cases)
    return in_its_family(found, policy)


def _serve(project: Project, arguments: argparse.Namespace) -> int:
    for option, value in (("--report", arguments.report), ("--all-cases", arguments.all_cases)):
        if value:
            raise UsageError(f"{option} is for files, and --serve writes none: leave one out")
    # Only here: a web server takes a while to import.
    from calibrate.cli.live import LiveReports
    from calibrate.cli.serving import listening, serve

    reports = LiveReports(project.root, arguments.tiers, arguments.workflows)

    def announce(url: str) -> None:
        print(json.dumps({"schema": 1, "url": url}) if arguments.json else url, flush=True)
        print("read-only, for this machine's browsers; Ctrl-C ends it", file=sys.stderr)

    serve(reports, listening(arguments.port or 0), announce)
    print("ended", file=sys.stderr)
    return 0
