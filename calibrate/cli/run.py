"""`calibrate run`: measure, decide, write the policy and the report."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from calibrate.certificate import with_entry
from calibrate.cli.json_output import print_json
from calibrate.cli.measuring import Measured, Spent, measure
from calibrate.cli.options import (
    add_json,
    add_project,
    add_workflows,
    case_count,
    chosen_names,
    dollars,
    load_tasks,
    percentage,
    policy_so_far,
    project_of,
    shown_path,
)
from calibrate.cli.run_result import print_failed, print_result, result_json
from calibrate.cli.session import recordings_folder, require_writable
from calibrate.decide import Calibration, Status
from calibrate.drift import changes_of, override_of
from calibrate.errors import BudgetError, CacheMiss, CalibrateError, PolicyError, UsageError
from calibrate.family import Family, allowed, levels, same_route, withheld
from calibrate.ledger import attempt_numbers
from calibrate.planning import Share
from calibrate.policy import DEFAULT_PATH, Policy, update_policy
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.replacing import overtaken, unsettled, weaker
from calibrate.report import write_reports
from calibrate.report.index import totals_of
from calibrate.task import Task

DESCRIPTION = "Measure a workflow's models, cheapest first; write the policy and the report."
EXAMPLE = "calibrate run support-simple --max-usd 2"


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
    parser.add_argument(
        "--batch", action="store_true", help="ask by the providers' batch APIs, round by round"
    )
    parser.add_argument(
        "--detach", action="store_true", help="with --batch: end once a round is handed in"
    )
    parser.add_argument(
        "--round",
        metavar="PERCENT",
        type=percentage,
        default=25,
        help="with --batch: of the cases that a model can take, so many are asked in a round at "
        "least (default: 25)",
    )
    parser.add_argument("--record", action="store_true", help="add the answers to the recordings")
    parser.add_argument("--report", metavar="DIR", type=Path, help="default: reports/")
    parser.add_argument("--policy", metavar="FILE", type=Path, help=f"default: {DEFAULT_PATH}")
    parser.add_argument(
        "--replace-certified",
        action="store_true",
        help="let a part of the cases, or a run in which an endpoint failed, replace a "
        "certified route",
    )
    parser.add_argument(
        "--cases",
        metavar="N|all",
        type=case_count,
        help="only the first N of the seeded order, without writing the policy; "
        "`all`: every case of every model",
    )
    parser.add_argument(
        "--family",
        choices=["holm", "bh"],
        help="one error for all workflows of this run: against any wrong route (holm), "
        "or for the share of wrong ones (bh); default: each has its own",
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    _require_batch_options(arguments)
    project = project_of(arguments)
    policy_path = arguments.policy or project.root / DEFAULT_PATH
    reports = arguments.report or project.root / "reports"
    policy = policy_so_far(policy_path)
    tasks = load_tasks(project, chosen_names(project, arguments.workflows))
    for task in tasks:
        override_of(task)  # one that cannot be is told before anything is asked
    if arguments.changed:
        tasks = [task for task in tasks if changes_of(task, project, policy)]
        if not tasks:
            print("nothing changed", file=sys.stderr)
    require_writable(reports)
    if arguments.record:
        require_writable(recordings_folder(project))
    require_writable(policy_path.resolve().parent)

    is_whole = not isinstance(arguments.cases, int)
    writes_policy = is_whole or arguments.policy is not None
    measured, failed = _measure_all(tasks, project, arguments, policy)
    done = _decided(arguments.family, measured)
    found = [calibration for calibration, _ in done]
    held: dict[str, str] = {}
    if done and writes_policy:
        policy, held = _write(policy_path, found, project, arguments.replace_certified)
    for calibration in found if not writes_policy else ():
        policy = with_entry(policy, calibration, project)
    paths = write_reports(found, project, policy, reports) if done else []
    written = {
        c.task.name: shown_path(policy_path) if writes_policy and c.task.name not in held else None
        for c in found
    }
    failed += [PolicyError(f"{name}: {why}") for name, why in held.items()]
    status = _status(found, failed)
    shown = [shown_path(path) for path in paths]
    try:
        if arguments.json:
            print_json(result_json(done, shown, written, totals_of(policy, project), failed))
        else:
            print_result(arguments, done, shown, written)
    finally:  # also where nobody reads the result
        print_failed(failed)
    return status


def _write(
    path: Path, found: Sequence[Calibration], project: Project, replace_certified: bool
) -> tuple[Policy, dict[str, str]]:
    """Put what was found into the policy as it is by now; return it, and why some was held back."""
    held: dict[str, str] = {}

    def merged(policy: Policy) -> Policy:
        for calibration in found:
            name, too_late = calibration.task.name, overtaken(calibration, project, policy)
            too_little = None if replace_certified else weaker(calibration, policy)
            if too_late:
                held[name] = f"{too_late}; the policy was left as it is"
            elif too_little:
                held[name] = f"{too_little}; the policy was left as it is (--replace-certified)"
            else:
                policy = with_entry(policy, calibration, project)
        return policy

    policy = update_policy(path, merged)
    for name in unsettled(policy, (calibration.task.name for calibration in found)):
        print(
            f"note: {name}: a model of its route is no longer the one that it was decided for; "
            f"run it, too: calibrate run {name}",
            file=sys.stderr,
        )
    return policy, held


def _measure_all(
    tasks: Sequence[Task], project: Project, arguments: argparse.Namespace, policy: Policy
) -> tuple[list[Measured], list[CalibrateError]]:
    """Measure every workflow; one that cannot be measured does not keep the others from it."""
    done: list[Measured] = []
    failed: list[CalibrateError] = []
    left = arguments.max_usd
    for task, errors in zip(tasks, _levels(arguments.family, tasks), strict=True):
        caps = [cap for cap in (left, task.workflow.max_usd) if cap is not None]
        budget = Budget(min(caps, default=None))
        cases = arguments.cases if isinstance(arguments.cases, int) else None
        attempts = attempt_numbers(task, project, policy, cases=cases)
        shares = [Share(attempts, error) for error in errors]
        try:
            done.append(asyncio.run(measure(task, project, arguments, budget, shares)))
        except CalibrateError as error:
            failed.append(_placed(task.name, error))
            if isinstance(error, BudgetError):
                break
        finally:
            left = None if left is None else left - budget.spent_usd
    return done, failed


def _placed(name: str, error: CalibrateError) -> CalibrateError:
    """Return an error with the workflow that it ended, where it does not say so itself."""
    if not isinstance(error, BudgetError | CacheMiss):
        return error
    return type(error)(f"{name}: {problem}" for problem in error.problems)


def _levels(family: Family | None, tasks: Sequence[Task]) -> Sequence[Sequence[float | None]]:
    """Return the errors that each workflow is decided at: its own, or the steps of the family."""
    if family is None or not tasks:
        return [[None] for _ in tasks]
    return levels(family, _models(tasks), _family_alpha(tasks))


def _decided(
    family: Family | None, measured: Sequence[Measured]
) -> list[tuple[Calibration, Spent]]:
    """Return one calibration a workflow: what its own error allows, or that of the family."""
    if family is None or not measured:
        return [(found.calibrations[0], found.spent) for found in measured]
    tasks = [found.calibrations[0].task for found in measured]
    alpha, models = _family_alpha(tasks), _models(tasks)
    steps = levels(family, models, alpha)
    certified = [same_route(found.calibrations) for found in measured]
    found_at = [step[n - 1] if n else None for step, n in zip(steps, certified, strict=True)]
    kept = allowed(family, found_at, models, alpha)
    done = []
    for found, n, is_kept in zip(measured, certified, kept, strict=True):
        calibration = replace(found.calibrations[max(n - 1, 0)], family=family)
        done.append((calibration if is_kept or not n else withheld(calibration), found.spent))
    return done


def _models(tasks: Sequence[Task]) -> list[int]:
    return [len(task.field.candidates) for task in tasks]


def _family_alpha(tasks: Sequence[Task]) -> float:
    """Return the error that the workflows share; they must ask for the same."""
    cascading = [task.name for task in tasks if task.workflow.bar.cascades]
    if cascading:
        raise UsageError(
            f"--family decides between single models; run {', '.join(cascading)} without it"
        )
    asked = {task.workflow.bar.confidence: task.name for task in tasks}
    if len(asked) > 1:
        shown = ", ".join(f"{name} {confidence:g}" for confidence, name in sorted(asked.items()))
        raise UsageError(
            f"--family needs one confidence for all of its workflows, found {shown}; "
            "give them the same `bar.confidence` or name workflows that have it"
        )
    return tasks[0].workflow.bar.alpha


def _require_batch_options(arguments: argparse.Namespace) -> None:
    if arguments.batch and arguments.offline:
        raise UsageError("--batch asks, and --offline forbids that: leave one of them out")
    if arguments.detach and not arguments.batch:
        raise UsageError("--detach goes with --batch")


def _status(done: list[Calibration], failed: list[CalibrateError]) -> int:
    if failed:
        return 2
    return 1 if any(c.decision.status is Status.UNMET for c in done) else 0
