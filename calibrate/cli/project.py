"""`calibrate project`: what the traffic costs by the baseline, the route and every alternative."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from calibrate.cli.console import data_console
from calibrate.cli.json_output import print_json
from calibrate.cli.money_table import footnotes, markdown_table, print_projection, projection_json
from calibrate.cli.options import (
    add_format,
    add_project,
    add_workflows,
    chosen_names,
    load_tasks,
    policy_so_far,
    project_of,
)
from calibrate.cli.projecting import project_workflow
from calibrate.config import Traffic
from calibrate.errors import ConfigError, UsageError
from calibrate.policy import DEFAULT_PATH, load_policy
from calibrate.project import Project
from calibrate.projection import (
    DAYS_A_MONTH,
    DAYS_A_YEAR,
    Projection,
    Stated,
    load_scenario,
    project_scenario,
    total,
)

DESCRIPTION = (
    "Say what the stated traffic costs a day, a month and a year: by the baseline, by the policy\n"
    "and by each alternative, without fallbacks and retries. Offline."
)
EXAMPLE = "calibrate project support-simple --batch-share 0.4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_workflows(parser)
    add_project(parser)
    parser.add_argument("--policy", metavar="FILE", type=Path, help=f"default: {DEFAULT_PATH}")
    parser.add_argument(
        "--file",
        metavar="SCENARIO",
        type=Path,
        help="mixes of models at stated prices, in place of workflows",
    )
    parser.add_argument(
        "--all-cases",
        action="store_true",
        help="measure on all cases where their answers are stored, not on those of the verdicts",
    )
    parser.add_argument(
        "--batch-share",
        metavar="S",
        type=_share,
        help="the share of the requests that is sent in batches (default: the workflow's)",
    )
    parser.add_argument(
        "--cached-share",
        metavar="S",
        type=_share,
        help="the share of the input that the prompt cache gives (default: as measured)",
    )
    add_format(parser, "tables for a comment on a change")


def handle(arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        found, lacking = _of_workflows(project_of(arguments), arguments)
    elif arguments.workflows:
        raise UsageError("give either workflows or --file")
    else:
        found, lacking = [_of_scenario(arguments.file, arguments)], []
    whole = total(found) if len(found) > 1 else None
    if arguments.format == "json":
        print_json(_as_json(found, whole, lacking))
        return 0
    shown = found if whole is None else [*found, whole]
    notes = [*footnotes(found)]
    if lacking:
        notes.append(f"Left out, without `traffic`: {', '.join(lacking)}.")
    if arguments.format == "markdown":
        print("\n".join([*map(markdown_table, shown), *notes]))
        return 0
    console = data_console()
    for one in shown:
        print_projection(one, console)
    print("\n".join(notes))
    return 0


def _of_scenario(path: Path, arguments: argparse.Namespace) -> Projection:
    scenario = load_scenario(path)
    return project_scenario(path.stem, scenario, _stated(scenario.traffic, arguments))


def _of_workflows(
    project: Project, arguments: argparse.Namespace
) -> tuple[list[Projection], list[str]]:
    """Return those of the workflows that state their traffic, and the names of the others.

    Raises where one that was named does not, or none at all does.
    """
    names = chosen_names(project, arguments.workflows)
    stated = [(name, project.workflows[name].traffic) for name in names]
    traffics = {name: traffic for name, traffic in stated if traffic is not None}
    lacking = [name for name in names if name not in traffics]
    if lacking and (arguments.workflows or not traffics):
        raise ConfigError(
            f"evals/{name}.yaml: states no traffic; add `traffic: {{requests_per_day: …}}`"
            for name in lacking
        )
    path = arguments.policy
    policy = policy_so_far(project.root / DEFAULT_PATH) if path is None else load_policy(path)
    found = [
        project_workflow(
            task,
            project,
            policy,
            _stated(traffics[task.name], arguments),
            requests=traffics[task.name].requests_per_day,
            all_cases=arguments.all_cases,
        )
        for task in load_tasks(project, traffics)
    ]
    return found, lacking


def _stated(traffic: Traffic, arguments: argparse.Namespace) -> Stated:
    """Return what is stated of the requests; the command line wins over the file."""
    cached, batched = arguments.cached_share, arguments.batch_share
    return Stated(
        traffic.input_tokens,
        traffic.output_tokens,
        traffic.cached_share if cached is None else cached,
        traffic.batch_share if batched is None else batched,
    )


def _as_json(
    found: Sequence[Projection], whole: Projection | None, lacking: Sequence[str]
) -> dict[str, Any]:
    return {
        "days_a_month": DAYS_A_MONTH,
        "days_a_year": DAYS_A_YEAR,
        "projections": [{"name": one.name, **projection_json(one)} for one in found],
        "total": None if whole is None else projection_json(whole),
        "without_traffic": list(lacking),
    }


def _share(text: str) -> Decimal:
    """Parse a share; for argparse."""
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal("NaN")
    if not share.is_finite() or not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1")
    return share
