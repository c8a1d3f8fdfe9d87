"""`calibrate plan`: what a run would ask and cost, and whether the data can certify the bar."""

from __future__ import annotations

import argparse
from typing import Any

from rich.markup import escape
from rich.table import Table

from calibrate.cli.console import data_console
from calibrate.cli.options import (
    add_json,
    add_project,
    add_workflows,
    case_count,
    chosen_names,
    load_tasks,
    print_json,
    project_of,
)
from calibrate.cli.session import open_client
from calibrate.pipeline import TaskPlan, plan
from calibrate.pricing import Budget
from calibrate.words import percent

DESCRIPTION = "Say what a run would ask and cost at most, before a cent is spent. Asks nothing."
EXAMPLE = "calibrate plan support-simple"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_workflows(parser)
    add_project(parser)
    parser.add_argument(
        "--cases", metavar="N|all", type=case_count, help="only the first N of the seeded order"
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    project = project_of(arguments)
    cases = arguments.cases if isinstance(arguments.cases, int) else None
    plans = []
    for task in load_tasks(project, chosen_names(project, arguments.workflows)):
        with open_client(project, task.name, Budget(None)) as client:
            plans.append(plan(task, client, cases=cases))
    if arguments.json:
        print_json({"workflows": [_as_json(found) for found in plans]})
    else:
        for found in plans:
            _print(found)
    return 0 if all(found.can_certify for found in plans) else 1


def _print(found: TaskPlan) -> None:
    console = data_console()
    floor = found.task.workflow.bar.floor
    console.print(
        f"[bold]{escape(found.task.name)}[/]: {found.gate.cases} cases, bar {percent(floor)}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "tier", "requests", "stored", "likely", "at most"):
        table.add_column(title, justify="left" if title in ("model", "tier") else "right")
    for row in found.candidates:
        table.add_row(
            escape(row.candidate.alias),
            escape(row.candidate.tier),
            f"{row.requests:,}",
            f"{row.stored:,}",
            f"${row.likely_usd:.4f}",
            f"${row.most_usd:.4f}",
        )
    console.print(table)
    for out in found.task.field.inapplicable:
        print(f"{out.alias} ({out.tier}) is no candidate: {out.why}")
    most = sum(row.most_usd for row in found.candidates)
    print(f"a run asks cheapest first and stops at a certified model; at most ${most:.4f}")
    print("\n".join(_verdict(found)) + "\n")


def _verdict(found: TaskPlan) -> list[str]:
    gate, floor = found.gate, percent(found.task.workflow.bar.floor)
    lines = [
        f"slice {part.tag}={part.value}: {part.lines.n} cases cannot certify "
        f"{percent(part.lines.floor)}; add cases, or leave the slice out of the bar"
        for part in gate.slices_too_small
    ]
    if found.cases_needed is None or gate.cases < found.cases_needed:
        lines.append(
            f"these {gate.cases} cases cannot certify {floor} at alpha {gate.alpha:.4g}: "
            f"at least {found.cases_needed} are needed, all of them passed"
        )
    elif not lines:
        lines.append(
            f"a model whose true rate is {percent(found.design_rate)} has a chance of "
            f"{percent(found.power, 0)} to be certified; it is asked {found.expected_cases:.0f} "
            f"cases on average, {gate.lines.n} at most"
        )
    return lines


def _as_json(found: TaskPlan) -> dict[str, Any]:
    return {
        "workflow": found.task.name,
        "cases": found.gate.cases,
        "floor": found.task.workflow.bar.floor,
        "alpha_per_candidate": found.gate.alpha,
        "can_certify": found.can_certify,
        "cases_needed_at_least": found.cases_needed,
        "slices_too_small": [f"{p.tag}={p.value}" for p in found.gate.slices_too_small],
        "cases_at_most": found.gate.lines.n,
        "cases_expected": round(found.expected_cases, 1),
        "design_rate": found.design_rate,
        "power": found.power,
        "candidates": [
            {
                "model": row.candidate.alias,
                "tier": row.candidate.tier,
                "requests": row.requests,
                "stored": row.stored,
                "likely_usd": float(row.likely_usd),
                "most_usd": float(row.most_usd),
            }
            for row in found.candidates
        ],
        "most_usd": float(sum(row.most_usd for row in found.candidates)),
        "inapplicable": [
            {"model": out.alias, "tier": out.tier, "why": out.why}
            for out in found.task.field.inapplicable
        ],
    }
