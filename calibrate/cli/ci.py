"""`calibrate ci`: the whole gate over a change, in order; it writes what a reviewer reads."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from calibrate.certificate import rounded, with_entry
from calibrate.cli.base import Base, open_base
from calibrate.cli.comment import comment
from calibrate.cli.gating import Finding, Gate, Kind, Row, findings_of, gate_row
from calibrate.cli.json_output import print_json
from calibrate.cli.junit import junit_xml
from calibrate.cli.options import (
    add_json,
    add_project,
    add_workflows,
    chosen_names,
    confidence_level,
    dollars,
    load_tasks,
    project_of,
    shown_path,
)
from calibrate.cli.places import Place, place_of, workflow_command
from calibrate.cli.session import require_writable
from calibrate.comparison import compare as compare_policies
from calibrate.drift import Change, orphans, other_default
from calibrate.errors import OutputError, UsageError
from calibrate.files import replace_file
from calibrate.policy import DEFAULT_PATH, Policy, load_policy, write_policy
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.regression import Regression, compare, in_words
from calibrate.report import write_reports

DESCRIPTION = (
    "Gate a change: check every policy entry, decide again what the change touches, compare its\n"
    "certified routes with those of --base on the same cases, and write the report, a comment and\n"
    "JUnit XML. Exits 1 where an entry is stale, a bar is unmet or a certified route is worse."
)
EXAMPLE = "calibrate ci --base origin/main"

OUT = ".calibrate/ci"
COMMENT, JUNIT, REPORTS = "comment.md", "junit.xml", "reports"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_workflows(parser)
    add_project(parser)
    parser.add_argument(
        "--base",
        metavar="REVISION",
        help="the git revision to compare with; without it every workflow counts as touched",
    )
    parser.add_argument("--policy", metavar="FILE", type=Path, help=f"default: {DEFAULT_PATH}")
    asking = parser.add_mutually_exclusive_group()
    asking.add_argument(
        "--offline", action="store_true", help="use only stored answers (the default)"
    )
    asking.add_argument(
        "--live", action="store_true", help="ask for answers that are not stored; needs --max-usd"
    )
    parser.add_argument("--max-usd", metavar="N", type=dollars, help="a spending cap, never passed")
    parser.add_argument(
        "--tolerance",
        metavar="POINTS",
        type=_points,
        default=0.0,
        help="how far a certified route may drop (default: 0)",
    )
    parser.add_argument(
        "--drop",
        metavar="POINTS",
        type=_points,
        default=0.05,
        help="a route is `not worse` where a drop of this size is ruled out (default: 5)",
    )
    parser.add_argument(
        "--confidence",
        metavar="C",
        type=confidence_level,
        default=0.95,
        help="1 - the chance to call any route worse that is not (default: 0.95)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help=f"for {COMMENT}, {JUNIT}, {REPORTS}/ and the policy as decided (default: {OUT})",
    )
    add_json(parser)


def _points(text: str) -> float:
    """Parse percentage points as a difference of shares; for argparse."""
    try:
        return float(Fraction(text) / 100)
    except (ArithmeticError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of points") from None


@dataclass(frozen=True, slots=True)
class Result:
    """What the gate found, and where a reader finds it."""

    rows: tuple[Row, ...]
    general: tuple[Change, ...]  # of no workflow of the project
    placed: tuple[tuple[Finding, Place], ...]
    budget: Budget
    out: Path

    @property
    def findings(self) -> list[Finding]:
        return [finding for finding, _ in self.placed]

    @property
    def status(self) -> int:
        """1 for a finding, 2 where a workflow has no answer, else 0."""
        if self.placed:
            return 1
        return 2 if any(row.no_answer for row in self.rows) else 0


def handle(arguments: argparse.Namespace) -> int:
    _require_options(arguments)
    project = project_of(arguments)
    policy_path = arguments.policy or project.root / DEFAULT_PATH
    out = arguments.out or project.root / OUT
    policy = load_policy(policy_path)
    tasks = load_tasks(project, chosen_names(project, arguments.workflows))
    require_writable(out)
    budget = Budget(arguments.max_usd)
    opened = (
        nullcontext(None)
        if arguments.base is None
        else open_base(arguments.base, project, arguments.tiers, policy_path)
    )
    with opened as base:
        gate = Gate(project, policy, base, budget, offline=not arguments.live)
        rows = _compared([gate_row(task, gate) for task in tasks], arguments)
        general = () if arguments.workflows else _general(project, policy)
        findings = [f for row in rows for f in findings_of(row)]
        findings += [Finding(c.workflow, Kind.STALE, c.kind, c.text) for c in general]
        placed = [(f, place_of(f, project, arguments.tiers, policy_path)) for f in findings]
        result = Result(tuple(rows), general, tuple(placed), budget, out)
        _write(result, gate, base)
    if arguments.json:
        print_json(_json(result, base))
    else:
        _print(result, base)
    _mark(result)
    return result.status


def _require_options(arguments: argparse.Namespace) -> None:
    if arguments.live and arguments.max_usd is None:
        raise UsageError("--live spends money: give it a cap with --max-usd")
    compare([], tolerance=arguments.tolerance, least_drop=arguments.drop)  # raises before a run


def _general(project: Project, policy: Policy) -> tuple[Change, ...]:
    return (*orphans(project, policy), *other_default(project, policy))


def _compared(rows: Sequence[Row], arguments: argparse.Namespace) -> list[Row]:
    """Return the rows with what the pairs of all of them say together."""
    found = compare(
        [row.pairs for row in rows if row.pairs is not None],
        tolerance=arguments.tolerance,
        least_drop=arguments.drop,
        alpha=1 - arguments.confidence,
    )
    by_name = {regression.pairs.workflow: regression for regression in found}
    return [replace(row, regression=by_name.get(row.workflow)) for row in rows]


def _write(result: Result, gate: Gate, base: Base | None) -> None:
    """Write the files of the gate, and the step summary where a CI service names a file for it."""
    decided = [row.decided for row in result.rows if row.decided is not None]
    proposed = gate.policy
    for calibration in decided:
        proposed = with_entry(proposed, calibration, gate.project)
    before = gate.policy if base is None else base.policy
    out = result.out
    write_policy(out / DEFAULT_PATH, proposed)
    write_reports(decided, gate.project, proposed, out / REPORTS, previous=before)
    moves = compare_policies(before, proposed, _traffic(gate.project))
    text = comment(result.rows, result.findings, moves)
    replace_file(out / COMMENT, text.encode())
    replace_file(out / JUNIT, junit_xml(result.rows, result.general))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(f"{summary}: cannot be written: {error.strerror}") from error


def _traffic(project: Project) -> dict[str, int]:
    stated = ((name, workflow.traffic) for name, workflow in project.workflows.items())
    return {name: traffic.requests_per_day for name, traffic in stated if traffic is not None}


def _mark(result: Result) -> None:
    """Mark the lines in a pull request, where GitHub runs the gate."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for finding, place in result.placed:
            print(workflow_command(finding, place), file=sys.stderr)


def _print(result: Result, base: Base | None) -> None:
    for row in result.rows:
        for line in _lines(row):
            _say(f"{row.workflow}: {line}")
    for change in result.general:
        _say(f"{change.workflow}: stale: {change.text}")
    if base is not None and base.problem:
        _say(f"note: nothing was compared with {base.name}: {base.problem}")
    print(f"spent ${result.budget.spent_usd:.4f}; {shown_path(result.out / COMMENT)}")
    print({0: "yes", 1: "no", 2: "no answer"}[result.status])


def _say(text: str) -> None:
    """Print a line of others' words, without what a terminal or a CI service would obey."""
    print("".join(character if character.isprintable() else "?" for character in text))


def _lines(row: Row) -> Iterator[str]:
    findings = list(findings_of(row))
    for finding in findings:
        yield f"{finding.kind.value}: {finding.text}"
    if row.no_answer:
        yield f"no answer: {row.no_answer}"
    if not findings and not row.no_answer:
        yield f"fresh, {row.status}" + ("" if row.is_touched else ", not touched")
    if row.regression is not None and not any(f.kind is Kind.WORSE for f in findings):
        yield in_words(row.regression)


def _json(result: Result, base: Base | None) -> dict[str, Any]:
    return {
        "passed": result.status == 0,
        "status": result.status,
        "findings": [
            {
                "workflow": finding.workflow,
                "kind": finding.kind.value,
                "text": finding.text,
                **asdict(place),
            }
            for finding, place in result.placed
        ],
        "workflows": [_row_json(row) for row in result.rows],
        "base": None if base is None else base.name,
        "base_problem": None if base is None else base.problem or None,
        "cost_usd": float(result.budget.spent_usd),
        "out": shown_path(result.out),
    }


def _row_json(row: Row) -> dict[str, Any]:
    decision = None if row.decided is None else row.decided.decision
    return {
        "workflow": row.workflow,
        "touched": row.is_touched,
        "fresh": not row.changes,
        "status": row.status,
        "policy_status": None if row.entry is None else row.entry.status,
        "decided_model": None if decision is None else decision.chosen.alias,
        "no_answer": row.no_answer or None,
        "not_compared": row.not_compared or None,
        "regression": None if row.regression is None else _regression_json(row.regression),
    }


def _regression_json(found: Regression) -> dict[str, Any]:
    pairs = found.pairs
    return {
        "found": found.found.value,
        "text": in_words(found),
        "before": pairs.before,
        "now": pairs.now,
        "common_cases": len(pairs.common),
        "compared": len(pairs.scores),
        "lost": list(pairs.lost),
        "won": list(pairs.won),
        "drop": None if pairs.drop is None else rounded(pairs.drop),
        "tolerance": found.tolerance,
        "least_drop": found.least_drop,
        "p_worse": rounded(found.p_worse),
        "p_not_worse": rounded(found.p_not_worse),
    }
