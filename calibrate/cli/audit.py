"""`calibrate audit`: simulate calibrations with known truth and count the broken promises."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrate.audit.design import Design, design_of, grid
from calibrate.audit.finding import Finding
from calibrate.audit.run import audit, scenario_count
from calibrate.certificate import rounded
from calibrate.cli.console import data_console, print_table
from calibrate.cli.json_output import print_json
from calibrate.cli.options import (
    add_json,
    add_project,
    chosen_names,
    load_tasks,
    project_of,
)
from calibrate.errors import UsageError
from calibrate.project import TIERS_FILE
from calibrate.words import percent, share_saved

DESCRIPTION = "Simulate calibrations with known truth and count the broken promises. Asks nothing."
EXAMPLE = "calibrate audit support-simple --runs 2000"

MOST_RUNS = 1_000_000
MOST_JOBS = 256
_TITLES = (
    *("scenario", "wrong", "95 % interval", "right", "calls", "calls saved", "money saved"),
    *("× least", "promise"),
)
_LEGEND = """\
wrong: a model that misses the bar was certified; right: the cheapest that meets it was.
calls: up to where each verdict falls; what is in flight then comes on top. saved: against
asking every model every case. × least: against the fewest calls that any rule with the same
errors could need, where that is known; it is far from attainable for models at the bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workflows",
        metavar="WORKFLOW",
        nargs="*",
        help="default: a grid of three models on 100 and 300 cases",
    )
    add_project(parser)
    parser.add_argument(
        "--runs",
        metavar="N",
        type=_up_to(MOST_RUNS),
        default=10_000,
        help="simulated calibrations of each scenario (default: 10000)",
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_up_to(MOST_JOBS),
        default=_cores(),
        help="processes (default: one a core); they change nothing but the time it takes",
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    designs = _designs(arguments)
    with _progress(scenario_count(designs) * arguments.runs) as on_done:
        found = audit(
            designs,
            runs=arguments.runs,
            seed=arguments.seed,
            jobs=arguments.jobs,
            on_done=on_done,
        )
    if arguments.json:
        print_json(_as_json(found, arguments.runs, arguments.seed))
    else:
        _print(found, arguments.runs)
    return 0 if all(finding.keeps_promise for finding in found) else 1


def _designs(arguments: argparse.Namespace) -> list[Design]:
    if arguments.workflows:
        project = project_of(arguments)
        tasks = load_tasks(project, chosen_names(project, arguments.workflows))
        return [design_of(task) for task in tasks]
    if arguments.project is not None or arguments.tiers != TIERS_FILE:
        raise UsageError("name a WORKFLOW of the project; without one, a grid is audited")
    return grid()


def _up_to(most: int) -> Callable[[str], int]:
    """Return a parser of numbers from 1 to `most`; for argparse."""

    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > 15 or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {most}")
        return int(text)

    return parse


def _cores() -> int:
    """Return how many cores this process may use; not every system can say so."""
    may_ask = hasattr(os, "sched_getaffinity")
    return min(MOST_JOBS, len(os.sched_getaffinity(0)) if may_ask else os.cpu_count() or 1)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Yield what is told of calibrations done; shown on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=total)
        yield lambda done: bars.update(bar, advance=done)


def _print(found: Sequence[Finding], runs: int) -> None:
    console = data_console()
    for _, group in groupby(found, key=lambda finding: id(finding.design)):
        _print_design(console, list(group))
    kept = sum(finding.keeps_promise for finding in found)
    print(f"{_LEGEND}\n")
    print(f"{kept} of {len(found)} scenarios keep the promise, in {runs:,} calibrations each")


def _print_design(console: Console, found: Sequence[Finding]) -> None:
    design = found[0].design
    console.print(f"[bold]{escape(_title(design))}[/]")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in _TITLES:
        table.add_column(title, justify="left" if title in ("scenario", "promise") else "right")
    for finding in found:
        table.add_row(*_row(finding))
    print_table(console, table)
    if not design.can_certify:
        print("these cases cannot certify any model: there is nothing that could be wrong")
    if design.left_out:
        print(f"left out: {', '.join(design.left_out)} (can only take a certification away)")
    print()


def _title(design: Design) -> str:
    models = len(design.models)
    name = "" if design.workflow is None else f"{design.workflow}: "
    groups = f" in {len(design.groups):,} groups" if design.is_grouped else ""
    repeats = f", {design.repeats} repeats" if design.repeats > 1 else ""
    return (
        f"{name}{models} model{'s' if models > 1 else ''}, "
        f"{design.cases:,} cases{groups}{repeats}, bar {percent(design.bar.floor)}, "
        f"wrong at most {percent(design.bar.alpha)}"
    )


def _row(finding: Finding) -> tuple[str, ...]:
    wrong, least = finding.wrong, finding.least_calls
    saved = finding.cost_saved
    return (
        escape(finding.truth.name),
        percent(wrong.estimate, 2),
        f"{100 * wrong.low:.2f} – {percent(wrong.high, 2)}",
        percent(finding.right),
        f"{finding.calls:,.0f}",
        share_saved(finding.calls_saved),
        "–" if saved is None else share_saved(saved),
        "–" if least is None else f"{finding.calls / least:.2f}",
        "[green]kept[/]" if finding.keeps_promise else "[red]broken[/]",
    )


def _as_json(found: Sequence[Finding], runs: int, seed: int) -> dict[str, Any]:
    groups = [list(group) for _, group in groupby(found, key=lambda finding: id(finding.design))]
    return {
        "runs": runs,
        "seed": seed,
        "audits": [
            {
                **_design_json(group[0].design),
                "scenarios": [_finding_json(finding) for finding in group],
            }
            for group in groups
        ],
        "scenarios": len(found),
        "promises_kept": sum(finding.keeps_promise for finding in found),
    }


def _design_json(design: Design) -> dict[str, Any]:
    return {
        "workflow": design.workflow,
        "models": list(design.models),
        "cases": design.cases,
        "groups": len(design.groups) if design.is_grouped else None,
        "repeats": design.repeats,
        "floor": design.bar.floor,
        "alpha": design.bar.alpha,
        "alpha_by_model": [rounded(plan.alpha) for plan in design.plans],
        "calls_of_all": design.calls,
        "cost_of_all_usd": rounded(design.cost_usd),
        "can_certify": design.can_certify,
        "left_out": list(design.left_out),
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    truth, wrong = finding.truth, finding.wrong
    return {
        "scenario": truth.name,
        "true_rates": [rounded(rate) for rate in truth.rates],
        "meets_bar": list(truth.meets),
        "wrong": wrong.estimate,
        "wrong_low": rounded(wrong.low),
        "wrong_high": rounded(wrong.high),
        "keeps_promise": finding.keeps_promise,
        "right": finding.right,
        "calls": finding.calls,
        "calls_saved": rounded(finding.calls_saved),
        "calls_at_least": _maybe(finding.least_calls),
        "cost_usd": rounded(finding.cost_usd),
        "cost_saved": _maybe(finding.cost_saved),
    }


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)
