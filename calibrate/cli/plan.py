"""`calibrate plan`: what a run would ask and cost, and whether the data can certify the bar."""

from __future__ import annotations

import argparse
from typing import Any

from rich.markup import escape
from rich.table import Table

from calibrate.cli.caching import caching_json, caching_lines
from calibrate.cli.console import data_console, print_line, print_table
from calibrate.cli.json_output import print_json
from calibrate.cli.options import (
    add_json,
    add_project,
    add_workflows,
    case_count,
    chosen_names,
    load_tasks,
    policy_so_far,
    project_of,
)
from calibrate.cli.session import open_client
from calibrate.ledger import attempt_numbers
from calibrate.planning import CandidatePlan, Share, TaskPlan, plan
from calibrate.policy import DEFAULT_PATH
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.prompt_caching import PromptCaching, prompt_caching, repetition
from calibrate.providers import provider
from calibrate.task import Task
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
    policy = policy_so_far(project.root / DEFAULT_PATH)
    plans: list[tuple[TaskPlan, dict[str, PromptCaching]]] = []
    for task in load_tasks(project, chosen_names(project, arguments.workflows)):
        with open_client(project, task.name, Budget(None)) as client:
            attempts = attempt_numbers(task, project, policy, cases=cases)
            found = plan(task, client, share=Share(attempts), cases=cases)
            plans.append((found, _caching(project, task, cases)))
    if arguments.json:
        print_json({"workflows": [_as_json(found, caching) for found, caching in plans]})
    else:
        for found, caching in plans:
            _print(found, caching)
    return 0 if all(found.can_certify for found, _ in plans) else 1


def _caching(project: Project, task: Task, cases: int | None) -> dict[str, PromptCaching]:
    """Return what becomes of the prompts' same beginning, by the candidates that are paid so."""
    prompts = [task.prompt.messages(case) for case in task.cases[:cases]]
    candidates = task.field.candidates
    same = {kind: repetition(kind, prompts) for kind in {c.kind for c in candidates}}
    known: dict[str, PromptCaching] = {}
    for candidate in candidates:
        endpoint = project.tiers.endpoints[candidate.model.endpoint]
        base_url = endpoint.base_url or provider(candidate.kind).DEFAULT_BASE_URL or ""
        found = prompt_caching(candidate, base_url, same[candidate.kind])
        if found is not None:
            known[candidate.alias] = found
    return known


def _print(found: TaskPlan, caching: dict[str, PromptCaching]) -> None:
    console = data_console()
    floor = found.task.workflow.bar.floor
    console.print(
        f"[bold]{escape(found.task.name)}[/]: {found.gate.cases} cases, bar {percent(floor)}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "tier", "requests", "stored", "expected", "likely", "at most"):
        table.add_column(title, justify="left" if title in ("model", "tier") else "right")
    for row in found.candidates:
        table.add_row(
            escape(row.candidate.alias),
            escape(row.candidate.tier),
            f"{row.requests:,}",
            f"{row.stored:,}",
            f"{row.expected_cases * row.gate.repeats:.0f}",
            f"${row.likely_usd:.4f}",
            f"${row.most_usd:.4f}",
        )
    print_table(console, table)
    for out in found.task.field.inapplicable:
        print_line(f"{out.alias} ({out.tier}) is no candidate: {out.why}")
    most = sum(row.most_usd for row in found.candidates)
    manner = "asks cheapest first and stops at a certified model"
    if found.task.workflow.bar.cascades:
        manner = "asks every case of every model, unless the cheapest is certified by itself"
    print_line(f"a run {manner}; likely ${found.likely_usd:.4f}, at most ${most:.4f}")
    for line in (*_verdict(found), *caching_lines(caching)):
        print_line(line)
    print()


def _verdict(found: TaskPlan) -> list[str]:
    return [
        *_too_small(found),
        *(_retry(row) for row in found.candidates if row.gate.attempt > 1),
        *([_power(found)] if found.can_certify else []),
    ]


def _too_small(found: TaskPlan) -> list[str]:
    """Return why the cases cannot certify the bar; empty where they can."""
    gate, floor = found.gate, percent(found.task.workflow.bar.floor)
    lines = [
        f"slice {part.tag}={part.value}: {part.size} cases cannot certify "
        f"{percent(part.lines.floor)}; add cases, or leave the slice out of the bar"
        for part in gate.slices_too_small
    ]
    if gate.lines.can_accept:
        return lines
    if gate.test == "betting":
        groups = len(gate.criteria[0].units)
        of = f"{gate.cases} cases" + (f" in {groups} groups" if groups < gate.cases else "")
        lines.append(
            f"these {of} cannot certify {floor} at alpha {gate.alpha:.4g}, whatever the scores: "
            "add cases that do not depend on each other"
        )
    else:
        lines.append(
            f"these {gate.cases} cases cannot certify {floor} at alpha {gate.alpha:.4g}: "
            f"at least {found.cases_needed} are needed, all of them passed"
        )
    return lines


def _retry(row: CandidatePlan) -> str:
    gate = row.gate
    return (
        f"{row.candidate.alias}: attempt {gate.attempt} at this bar, so its share of the error is "
        f"{gate.alpha:.2g}, and its chance {percent(row.power, 0)}"
    )


def _power(found: TaskPlan) -> str:
    row, gate = found.candidates[0], found.gate
    what = "rate" if found.task.workflow.bar.measure == "pass_rate" else "mean score"
    basis = "" if gate.test == "exact" else " (simulated, with scores of 0 and 1)"
    return (
        f"a model whose true {what} is {percent(found.design_rate)} has a chance of "
        f"{percent(row.power, 0)} to be certified{basis}; it is asked {row.expected_cases:.0f} "
        f"cases on average, {gate.most_cases} at most"
    )


def _as_json(found: TaskPlan, caching: dict[str, PromptCaching]) -> dict[str, Any]:
    return {
        "workflow": found.task.name,
        "cases": found.gate.cases,
        "floor": found.task.workflow.bar.floor,
        "alpha_per_candidate": found.gate.alpha,
        "test": found.gate.test,
        "can_certify": found.can_certify,
        "cases_needed_at_least": found.cases_needed if found.gate.test == "exact" else None,
        "slices_too_small": [f"{p.tag}={p.value}" for p in found.gate.slices_too_small],
        "cases_at_most": found.gate.most_cases,
        "cases_expected": round(found.candidates[0].expected_cases, 1),
        "design_rate": found.design_rate,
        "power": found.candidates[0].power,
        "candidates": [
            {
                "model": row.candidate.alias,
                "tier": row.candidate.tier,
                "requests": row.requests,
                "stored": row.stored,
                "attempt": row.gate.attempt,
                "alpha": row.gate.alpha,
                "power": row.power,
                "requests_expected": round(row.expected_cases * row.gate.repeats, 1),
                "input_tokens_at_most": row.input_tokens,
                "output_tokens_at_most": row.output_tokens,
                "likely_usd": float(row.likely_usd),
                "most_usd": float(row.most_usd),
                "prompt_caching": caching_json(caching.get(row.candidate.alias)),
            }
            for row in found.candidates
        ],
        "likely_usd": float(found.likely_usd),
        "most_usd": float(sum(row.most_usd for row in found.candidates)),
        "inapplicable": [
            {"model": out.alias, "tier": out.tier, "why": out.why}
            for out in found.task.field.inapplicable
        ],
    }
