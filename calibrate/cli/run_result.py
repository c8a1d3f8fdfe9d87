"""What `calibrate run` says at its end: of each workflow, in words or as JSON, and what failed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from calibrate.batches import Detached
from calibrate.cli.console import print_line
from calibrate.cli.json_output import error_json
from calibrate.cli.measuring import Spent
from calibrate.cli.summary import calibration_json, print_calibration
from calibrate.decide import Calibration, Status
from calibrate.drift import expiry, override_of
from calibrate.errors import CalibrateError
from calibrate.family import expected_wrong
from calibrate.policy import utc_today
from calibrate.report.index import Totals

__all__ = ["print_failed", "print_result", "result_json"]


def result_json(
    done: Sequence[tuple[Calibration, Spent]],
    reports: Sequence[str],
    policy: Mapping[str, str | None],
    totals: Totals | None,
    failed: Sequence[CalibrateError],
) -> dict[str, Any]:
    """Return a run's document; `policy` is where each workflow's route was written, if it was."""
    rows = [
        {
            **calibration_json(calibration),
            "requests_sent": spent.sent,
            "requests_cached": spent.cached + spent.recorded,
            "requests_recorded": spent.recorded,
            "cost_usd": float(spent.paid_usd),
            "override": _override_json(calibration),
            "policy": policy[calibration.task.name],
            "report": report,
        }
        for (calibration, spent), report in zip(done, reports, strict=True)
    ]
    waiting = [line for error in failed if isinstance(error, Detached) for line in error.problems]
    problems = [
        line for error in failed if not isinstance(error, Detached) for line in error.problems
    ]
    return {
        "workflows": rows,
        "totals": None if totals is None else asdict(totals),
        "expected_wrong_at_most": expected_wrong([calibration for calibration, _ in done]),
        **({"waiting": waiting} if waiting else {}),
        **(error_json(problems) if problems else {}),
    }


def print_result(
    arguments: argparse.Namespace,
    done: Sequence[tuple[Calibration, Spent]],
    reports: Sequence[str],
    policy: Mapping[str, str | None],
) -> None:
    """Print a run's result in words."""
    for (calibration, spent), report in zip(done, reports, strict=True):
        print_calibration(calibration)
        print_line(
            f"asked {spent.sent}, from the cache {spent.cached}, replayed from recordings "
            f"{spent.recorded}; spent ${spent.paid_usd:.4f}"
        )
        for line in _override_lines(calibration):
            print_line(line)
        print_line(f"policy {policy[calibration.task.name] or _why_not_written(arguments)}")
        print(f"report {report}\n")
    certified = sum(c.decision.status is Status.CERTIFIED for c, _ in done)
    if arguments.family is None and certified > 1:
        wrong = expected_wrong([calibration for calibration, _ in done])
        print_line(
            f"of {certified:,} certified routes, at most {wrong:.3g} is expected to miss its bar; "
            "--family tests them together"
        )


def print_failed(failed: Sequence[CalibrateError]) -> None:
    """Tell on stderr why workflows have no result."""
    for error in failed:
        label = "waiting" if isinstance(error, Detached) else "error"
        for problem in error.problems:
            print(f"{label}: {problem}", file=sys.stderr)


def _why_not_written(arguments: argparse.Namespace) -> str:
    if arguments.policy is None and isinstance(arguments.cases, int):
        return "not written: --cases took a part (--policy FILE writes one)"
    return "left as it is for this workflow; see below"


def _override_json(calibration: Calibration) -> dict[str, str] | None:
    override = override_of(calibration.task)
    return None if override is None else asdict(override)


def _override_lines(calibration: Calibration) -> Iterator[str]:
    override = override_of(calibration.task)
    expired = expiry(calibration.task, utc_today())
    for change in expired:
        yield change.text
    if override is not None and not expired:
        yield (
            f"overridden: {override.model} serves it until {override.expires}, by decision of "
            f"{override.owner}: {override.reason}"
        )
