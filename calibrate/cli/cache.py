"""`calibrate cache`: what is stored, thin it out, take it along."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from calibrate.cache.recordings import Recorded, write_recordings
from calibrate.cache.upkeep import (
    CacheInfo,
    Kept,
    ModelAnswers,
    Selection,
    describe,
    kept_answers,
    prune,
)
from calibrate.cli.actions import Action, add_actions, run_action
from calibrate.cli.console import data_console, print_table
from calibrate.cli.json_output import print_json
from calibrate.cli.options import (
    add_workflows,
    chosen_names,
    load_tasks,
    project_of,
    shown_path,
)
from calibrate.cli.session import CACHE_FILE, open_client
from calibrate.errors import ConfigError, UsageError
from calibrate.methods import method_for
from calibrate.pricing import Budget
from calibrate.project import Project, find_root
from calibrate.providers import provider
from calibrate.providers.base import bounded
from calibrate.task import Task

DESCRIPTION = (
    "Show what is stored of the models' answers, remove some of it, or export it. Offline."
)
EXAMPLE = "calibrate cache prune --older-than 30d --dry-run"

_AGE = re.compile(r"([0-9]{1,4})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_actions(
        parser,
        [
            Action("info", "what is stored: answers by model and endpoint, failures, dates", _info),
            Action(
                "prune",
                "remove the answers for which all that is given holds",
                _prune,
                _add_prune,
            ),
            Action(
                "export",
                "write the answers that count in the form of recordings",
                _export,
                _add_export,
            ),
        ],
    )


def handle(arguments: argparse.Namespace) -> int:
    return run_action(arguments)


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than", metavar="AGE", type=_age, help="asked longer ago: 12h, 30d, 8w"
    )
    parser.add_argument("--model", metavar="NAME", help="of this model, as `info` names it")
    parser.add_argument("--failed", action="store_true", help="calls that failed for good")
    parser.add_argument(
        "--set-aside", action="store_true", help="of names that the model is not served under now"
    )
    parser.add_argument("--dry-run", action="store_true", help="say it, and remove nothing")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="one JSON line an answer; packed if it ends in .gz"
    )
    add_workflows(parser)


def _age(text: str) -> timedelta:
    """Parse an age such as `30d`; for argparse."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 12h, 30d or 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _cache_path(arguments: argparse.Namespace) -> Path:
    """Return where the project's cache is; its other files need not be in order for that."""
    folder: Path | None = arguments.project
    if folder is None:
        return find_root(Path.cwd()) / CACHE_FILE
    if not (folder / arguments.tiers).is_file():
        raise ConfigError(
            f"{folder}: " + (f"no {arguments.tiers}" if folder.is_dir() else "no such folder")
        )
    return folder / CACHE_FILE


def _info(arguments: argparse.Namespace) -> int:
    path = _cache_path(arguments)
    info = describe(path)
    if arguments.json:
        print_json(
            {
                "file": shown_path(path),
                "bytes": info.size,
                **_totals(info.models),
                "models": [_as_json(row) for row in info.models],
            }
        )
    else:
        _print_info(path, info)
    return 0


def _print_info(path: Path, info: CacheInfo) -> None:
    if not info.models:
        print(f"{shown_path(path)}: no answers are stored")
        return
    count = _totals(info.models)["answers"]
    print(f"{shown_path(path)}: {count:,} answers, {info.size / 1e6:,.1f} MB")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "at", "served as"):
        table.add_column(title)
    for title in ("answers", "failed", "set aside", "tokens in", "out"):
        table.add_column(title, justify="right")
    for title in ("oldest", "newest"):
        table.add_column(title)
    for row in info.models:
        counts = (row.answers, row.failures, row.set_aside, row.input_tokens, row.output_tokens)
        table.add_row(
            *(escape(row.model.name), escape(row.model.base_url)),
            escape(", ".join(map(bounded, row.served)) or "–"),
            *(f"{count:,}" for count in counts),
            *(row.oldest, row.newest),
        )
    print_table(data_console(), table)


def _prune(arguments: argparse.Namespace) -> int:
    path = _cache_path(arguments)
    selection = Selection(
        None if arguments.older_than is None else datetime.now(UTC) - arguments.older_than,
        arguments.model,
        arguments.failed,
        arguments.set_aside,
    )
    if selection == Selection():
        raise UsageError(
            "say which answers to remove: --older-than AGE, --model NAME, --failed, --set-aside; "
            f"to remove all of them, delete {shown_path(path)}"
        )
    lost = prune(path, selection, dry_run=arguments.dry_run)
    if arguments.json:
        print_json(
            {
                "dry_run": arguments.dry_run,
                "removed": _totals(lost),
                "models": [_as_json(row) for row in lost],
            }
        )
        return 0
    did = "would remove" if arguments.dry_run else "removed"
    for row in lost:
        failures = f", {row.failures:,} of them failures" if row.failures else ""
        print(f"{did} {row.answers:,} of {row.model.name} at {row.model.base_url}{failures}")
    if not lost:
        print("nothing to remove")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    path = _cache_path(arguments)
    found: Iterable[Kept] = kept_answers(path)
    if arguments.workflows:
        project = project_of(arguments)
        tasks = load_tasks(project, chosen_names(project, arguments.workflows))
        asked = {name for task in tasks for name in _asked_by(task, project)}
        found = (kept for kept in found if _name_of(kept) in asked)
    answers: dict[str, Recorded] = {}
    others = 0
    for kept in found:  # a recording has no address: of two servers' answers the later stays
        others += kept.recorded.request.key in answers
        answers[kept.recorded.request.key] = kept.recorded
    if not answers:
        raise UsageError(f"{shown_path(path)}: holds no answer to export")
    count = write_recordings(arguments.file, answers.values())
    if arguments.json:
        print_json({"file": shown_path(arguments.file), "answers": count, "left_out": others})
        return 0
    print(f"{count:,} answers written to {shown_path(arguments.file)}")
    if others:
        print(f"{others:,} left out: another server answered the same request later")
    return 0


def _asked_by(task: Task, project: Project) -> Iterator[tuple[str, str]]:
    """Yield address and key of what a workflow asks, as if it asked everything once."""
    base_urls = {
        name: endpoint.base_url or provider(endpoint.kind).DEFAULT_BASE_URL or ""
        for name, endpoint in project.tiers.endpoints.items()
    }
    with open_client(project, task.name, Budget(None), offline=True) as client:
        for candidate in task.field.candidates:
            base_url = base_urls[candidate.model.endpoint]
            method = method_for(
                candidate, task.workflow, task.prompt, task.examples, client, task.noting
            )
            requests = [method.preparation(), *(method.requests(case, 0) for case in task.cases)]
            yield from ((base_url, replace(r, repeat=0).key) for some in requests for r in some)
            for case in task.cases:
                for repeat in range(task.workflow.repeats):
                    others = method.others(case, repeat)
                    yield from ((base_urls[ask.endpoint], ask.request.key) for ask in others)


def _name_of(kept: Kept) -> tuple[str, str]:
    return kept.base_url, replace(kept.recorded.request, repeat=0).key


def _totals(rows: Iterable[ModelAnswers]) -> dict[str, int]:
    rows = list(rows)
    return {
        "answers": sum(row.answers for row in rows),
        "failures": sum(row.failures for row in rows),
        "set_aside": sum(row.set_aside for row in rows),
    }


def _as_json(row: ModelAnswers) -> dict[str, Any]:
    counts = {name: value for name, value in asdict(row).items() if name != "model"}
    return {**row.model._asdict(), **counts}
