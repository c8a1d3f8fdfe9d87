"""`calibrate run`: measure, decide, write the policy and the report."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from calibrate.certificate import with_entry
from calibrate.cli.options import (
    add_json,
    add_project,
    add_workflows,
    case_count,
    chosen_names,
    dollars,
    load_tasks,
    policy_so_far,
    print_json,
    project_of,
    shown_path,
)
from calibrate.cli.progress import Progress
from calibrate.cli.session import (
    open_client,
    recordings_folder,
    require_writable,
    save_recordings,
)
from calibrate.cli.summary import calibration_json, print_calibration
from calibrate.client import Client, Source
from calibrate.decide import Calibration, Status, has_outage
from calibrate.drift import changes_of
from calibrate.errors import BudgetError, CalibrateError, ProviderError
from calibrate.pipeline import calibrate
from calibrate.policy import DEFAULT_PATH, write_policy
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.report import write_reports
from calibrate.task import Task
from calibrate.trial import FailedTrial

DESCRIPTION = "Measure a workflow's models, cheapest first; write the policy and the report."
EXAMPLE = "calibrate run support-simple --max-usd 2"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a workflow's run asked for."""

    sent: int
    cached: int
    recorded: int
    paid_usd: Decimal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_workflows(parser)
    add_project(parser)
    parser.add_argument("--max-usd", metavar="N", type=dollars, help="a spending cap, never passed")
    parser.add_argument("--offline", action="store_true", help="use only stored answers")
    parser.add_argument(
        "--changed", action="store_true", help="only workflows whose inputs changed"
    )
    parser.add_argument("--no-cache", action="store_true", help="ask again what is stored")
    parser.add_argument(
        "--retry-failed", action="store_true", help="ask again what failed for good before"
    )
    parser.add_argument("--record", action="store_true", help="add the answers to the recordings")
    parser.add_argument("--report", metavar="DIR", type=Path, help="default: reports/")
    parser.add_argument("--policy", metavar="FILE", type=Path, help=f"default: {DEFAULT_PATH}")
    parser.add_argument(
        "--cases",
        metavar="N|all",
        type=case_count,
        help="only the first N of the seeded order, without writing the policy; "
        "`all`: every case of every model",
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    project = project_of(arguments)
    policy_path = arguments.policy or project.root / DEFAULT_PATH
    reports = arguments.report or project.root / "reports"
    policy = policy_so_far(policy_path)
    tasks = load_tasks(project, chosen_names(project, arguments.workflows))
    if arguments.changed:
        tasks = [task for task in tasks if changes_of(task, project, policy)]
        if not tasks:
            print("nothing changed", file=sys.stderr)
    require_writable(reports)
    if arguments.record:
        require_writable(recordings_folder(project))
    require_writable(policy_path.resolve().parent)

    is_whole = not isinstance(arguments.cases, int)
    done: list[tuple[Calibration, Spent]] = []
    failed: list[CalibrateError] = []
    left = arguments.max_usd
    for task in tasks:
        caps = [cap for cap in (left, task.workflow.max_usd) if cap is not None]
        budget = Budget(min(caps, default=None))
        try:
            calibration, spent = asyncio.run(_measure(task, project, arguments, budget))
        except CalibrateError as error:
            failed.append(error)
            if isinstance(error, BudgetError):
                break
            continue
        finally:
            left = None if left is None else left - budget.spent_usd
        policy = with_entry(policy, calibration, project)
        if is_whole or arguments.policy:
            write_policy(policy_path, policy)
        done.append((calibration, spent))
    paths = write_reports([c for c, _ in done], project, policy, reports) if done else []
    written = shown_path(policy_path) if is_whole or arguments.policy else None
    if done or not failed:
        _print(arguments, done, [shown_path(path) for path in paths], written)
    for problem in (text for error in failed for text in error.problems):
        print(f"error: {problem}", file=sys.stderr)
    return _status([c for c, _ in done], failed)


async def _measure(
    task: Task, project: Project, arguments: argparse.Namespace, budget: Budget
) -> tuple[Calibration, Spent]:
    with open_client(
        project,
        task.name,
        budget,
        offline=arguments.offline,
        read_stored=not arguments.no_cache,
        retry_failed=arguments.retry_failed,
    ) as opened:
        async with opened as client:
            with (
                Progress(task.name) as progress,
                _recording(arguments.record, project, task, client),
            ):
                calibration = await calibrate(
                    task,
                    client,
                    cases=arguments.cases if isinstance(arguments.cases, int) else None,
                    ask_all=arguments.cases == "all",
                    on_start=progress.start,
                    on_trial=progress.advance,
                )
    if has_outage(calibration.verdicts) and calibration.decision.status is not Status.CERTIFIED:
        raise ProviderError(
            f"{task.name}: too many calls failed for a verdict, most of them with "
            f"{_commonest_failure(calibration)!r}; the policy was left as it is: mend the cause "
            "and run again with --retry-failed"
        )
    return calibration, _spent(client, budget)


@contextmanager
def _recording(wanted: bool, project: Project, task: Task, client: Client) -> Iterator[None]:
    """Keep the answers as recordings, also those of a run that is cut short."""
    try:
        yield
    except BaseException:
        if wanted:
            with suppress(CalibrateError):  # the first error is the one to tell
                save_recordings(project, task.name, list(client.given.values()))
        raise
    if wanted:
        save_recordings(project, task.name, list(client.given.values()))


def _commonest_failure(calibration: Calibration) -> str:
    messages = Counter(
        trial.failure.message
        for trials in calibration.trials.values()
        for trial in trials
        if isinstance(trial, FailedTrial)
    )
    return messages.most_common(1)[0][0]


def _spent(client: Client, budget: Budget) -> Spent:
    sources = Counter(answer.source for answer in client.given.values())
    return Spent(
        sources[Source.ASKED],
        sources[Source.CACHED],
        sources[Source.RECORDED],
        budget.spent_usd,
    )


def _print(
    arguments: argparse.Namespace,
    done: list[tuple[Calibration, Spent]],
    reports: list[str],
    policy: str | None,
) -> None:
    if arguments.json:
        rows = [
            {
                **calibration_json(calibration),
                "requests_sent": spent.sent,
                "requests_cached": spent.cached + spent.recorded,
                "requests_recorded": spent.recorded,
                "cost_usd": float(spent.paid_usd),
                "policy": policy,
                "report": report,
            }
            for (calibration, spent), report in zip(done, reports, strict=True)
        ]
        print_json({"workflows": rows})
        return
    for (calibration, spent), report in zip(done, reports, strict=True):
        print_calibration(calibration)
        print(
            f"asked {spent.sent}, from the cache {spent.cached}, replayed from recordings "
            f"{spent.recorded}; spent ${spent.paid_usd:.4f}"
        )
        print(f"policy {policy or 'not written: --cases took a part (--policy FILE writes one)'}")
        print(f"report {report}\n")


def _status(done: list[Calibration], failed: list[CalibrateError]) -> int:
    if failed:
        return 2
    return 1 if any(c.decision.status is Status.UNMET for c in done) else 0
