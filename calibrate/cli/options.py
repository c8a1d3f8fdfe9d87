"""Options that several commands share, and how their values become a project."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from calibrate.errors import CalibrateError, ConfigError, UsageError
from calibrate.policy import Policy, load_policy
from calibrate.project import TIERS_FILE, Project, load_project
from calibrate.task import Task, load_task

__all__ = [
    "add_format",
    "add_json",
    "add_project",
    "add_workflows",
    "case_count",
    "chosen_names",
    "confidence_level",
    "dollars",
    "load_tasks",
    "percentage",
    "policy_so_far",
    "port_number",
    "project_of",
    "rate",
    "shown_path",
    "token_count",
]


def add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--project", metavar="DIR", type=Path, help="the project's folder (default: found upwards)"
    )
    parser.add_argument(
        "--tiers",
        metavar="FILE",
        default=TIERS_FILE,
        help=f"another tiers file of the project (default: {TIERS_FILE})",
    )


def add_workflows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflows", metavar="WORKFLOW", nargs="*", help="default: every workflow")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_format(parser: argparse.ArgumentParser, markdown: str) -> None:
    """Let a command choose among three forms, by `format`; `markdown` says what that one is for."""
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--format",
        choices=("text", "markdown", "json"),
        default="text",
        help=f"markdown: {markdown}; json: one document (default: text)",
    )
    forms.add_argument(
        "--json", dest="format", action="store_const", const="json", help="like --format json"
    )


def project_of(arguments: argparse.Namespace) -> Project:
    if arguments.project is not None and not arguments.project.is_dir():
        raise ConfigError(f"{arguments.project}: no such folder")
    return load_project(arguments.project, arguments.tiers)


def chosen_names(project: Project, names: Iterable[str]) -> list[str]:
    """Return the workflows asked for, each once, or all; raises for a name that none has."""
    wanted = list(dict.fromkeys(names)) or sorted(project.workflows)
    if not wanted:
        raise ConfigError(f"{project.root / 'evals'}: no workflow; add evals/<workflow>.yaml")
    problems: list[str] = []
    for name in wanted:
        try:
            project.workflow(name)
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(problems)
    return wanted


def load_tasks(project: Project, names: Iterable[str]) -> list[Task]:
    """Return every workflow made ready; raises with the problems of all of them at once."""
    tasks: list[Task] = []
    problems: list[str] = []
    for name in names:
        try:
            tasks.append(load_task(project, name))
        except CalibrateError as error:
            problems += error.problems
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return tasks


def dollars(text: str) -> Decimal:
    """Parse an amount of money; for argparse."""
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount of dollars") from None
    if not amount.is_finite() or amount < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount of dollars")
    return amount


def case_count(text: str) -> int | str:
    """Parse `--cases`: a number of cases, or `all`; for argparse."""
    if text == "all":
        return text
    if not text.isdecimal() or len(text) > 15 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of cases nor `all`")
    return int(text)


def percentage(text: str) -> int:
    """Parse a whole number of percent; for argparse."""
    if not text.isdecimal() or len(text) > 3 or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 1 to 100")
    return int(text)


def rate(text: str) -> float:
    """Parse a number between 0 and 1, both excluded; for argparse."""
    return _between(0.0, text)


def confidence_level(text: str) -> float:
    """Parse a number between 0.5 and 1, both excluded; for argparse."""
    return _between(0.5, text)


def _between(low: float, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = low
    if not low < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between {low:g} and 1")
    return value


def port_number(text: str) -> int:
    """Parse a TCP port, or 0 for any; for argparse."""
    if not text.isdecimal() or len(text) > 5 or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def token_count(text: str) -> int:
    """Parse a number of tokens; for argparse."""
    if not text.isdecimal() or len(text) > 15:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens")
    return int(text)


def policy_so_far(path: Path) -> Policy:
    """Return the policy that a run goes on from; an empty one where there is none yet."""
    return load_policy(path) if path.exists() else Policy(1, "")


def shown_path(path: Path) -> str:
    """Return a path as a reader finds it: from the current folder where it lies below that."""
    absolute, here = path.resolve(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else path)
