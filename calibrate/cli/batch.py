"""`calibrate batch`: how far the batches are that runs have handed in, and their answers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.markup import escape
from rich.table import Table

from calibrate.batches import Batch, Collected, Keep, Outcome, Post, Remote
from calibrate.cache import Cache, Recordings, StoredAnswers
from calibrate.cli.actions import Action, add_actions, run_action
from calibrate.cli.batching import open_post
from calibrate.cli.console import data_console, print_table
from calibrate.cli.json_output import print_json
from calibrate.cli.options import project_of
from calibrate.cli.session import CACHE_FILE
from calibrate.completion import Reply, Request
from calibrate.errors import ProviderError, UsageError, did_you_mean
from calibrate.project import Project

DESCRIPTION = "See to the batches that `calibrate run --batch` has handed in."
EXAMPLE = "calibrate batch collect"

YES, NO_ANSWER = 0, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_actions(
        parser,
        [
            Action("status", "how far each batch is; nothing is fetched", _status),
            Action(
                "collect",
                "fetch the answers of the batches that are done into the cache",
                _collect,
            ),
            Action(
                "forget",
                "give a batch up: what is in it is asked, and paid for, again",
                _forget,
                _add_forget,
            ),
        ],
    )


def handle(arguments: argparse.Namespace) -> int:
    return run_action(arguments)


def _add_forget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("batch", metavar="BATCH", help="as `status` names it")


def _status(arguments: argparse.Namespace) -> int:
    seen = asyncio.run(_look_at_all(project_of(arguments)))
    if arguments.json:
        print_json({"batches": [_as_json(batch, remote, why) for batch, remote, why in seen]})
    elif not seen:
        print("no batch is out")
    else:
        _print_status(seen)
    return NO_ANSWER if any(why for _, _, why in seen) else YES


def _collect(arguments: argparse.Namespace) -> int:
    """Return 0 once nothing is out any more."""
    found, running, problems = asyncio.run(_collect_all(project_of(arguments)))
    if arguments.json:
        print_json(
            {
                "collected": [_collected_json(each) for each in found],
                "running": [batch.tag for batch in running],
                "problems": problems,
            }
        )
    else:
        for each in found:
            print(
                f"{each.batch.tag}: {each.answered:,} answers of {each.batch.model}, "
                f"{each.failed:,} failed, {each.left:,} left to ask again, "
                f"${each.paid_usd:.6f} paid"
            )
        if running:
            print(f"{len(running):,} still running; `calibrate batch status` tells how far")
        elif not found and not problems:
            print("no batch is out")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return NO_ANSWER if running or problems else YES


def _forget(arguments: argparse.Namespace) -> int:
    asyncio.run(_forget_one(project_of(arguments), arguments.batch))
    if arguments.json:
        print_json({"forgotten": arguments.batch})
    else:
        print(f"{arguments.batch}: forgotten; a run asks what was in it anew")
    return YES


Seen = list[tuple[Batch, Remote | None, str]]


async def _look_at_all(project: Project) -> Seen:
    """Return every batch with how far it is, or why that cannot be told."""
    seen: Seen = []
    async with open_post(project) as post:
        for batch in post.journal.batches():
            try:
                seen.append((batch, await post.look(batch), ""))
            except ProviderError as error:
                seen.append((batch, None, str(error)))
    return seen


async def _collect_all(project: Project) -> tuple[list[Collected], list[Batch], list[str]]:
    """Collect what is done; return that, what is still running, and what somebody must mend."""
    found: list[Collected] = []
    running: list[Batch] = []
    problems: list[str] = []
    async with open_post(project) as post:
        with _keeping(project) as keep:
            for batch in post.journal.batches():
                try:
                    each = await _collect_one(post, batch, keep)
                except ProviderError as error:
                    problems.append(str(error))
                    continue
                if each is None:
                    running.append(batch)
                    continue
                found.append(each)
                if each.problem:
                    problems.append(f"batch {batch.tag} of {batch.model}: {each.problem}")
    return found, running, problems


async def _collect_one(post: Post, batch: Batch, keep: Keep) -> Collected | None:
    remote = await post.look(batch)
    if remote is None or remote.outcome is Outcome.RUNNING:
        return None
    if remote.outcome is Outcome.UNKNOWN:
        post.journal.drop(batch)
        return Collected(batch, 0, 0, batch.requests, Decimal(0))
    return await post.collect(batch, remote, keep)


async def _forget_one(project: Project, tag: str) -> None:
    async with open_post(project) as post:
        batches = {batch.tag: batch for batch in post.journal.batches()}
        if tag not in batches:
            raise UsageError(f"no batch {tag!r} is out{did_you_mean(tag, batches)}")
        post.journal.drop(batches[tag])


@contextmanager
def _keeping(project: Project) -> Iterator[Keep]:
    """Yield what puts answers into the project's cache, as a run would do it."""
    with Cache(project.root / CACHE_FILE) as cache:
        storage = StoredAnswers(Recordings(None), cache)

        def keep(batch: Batch, request: Request, reply: Reply, paid_usd: Decimal) -> None:
            storage.put(request, batch.base_url, reply)
            storage.commit()

        yield keep
    for note in storage.notes():
        print(f"note: {note}", file=sys.stderr)


def _print_status(seen: Seen) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("batch", "model", "endpoint", "handed in (UTC)", "state"):
        table.add_column(title)
    for title in ("answered", "of"):
        table.add_column(title, justify="right")
    for batch, remote, why in seen:
        table.add_row(
            *(batch.tag, escape(batch.model), escape(batch.endpoint), _at(batch)[:16]),
            *(_state(remote, why), f"{remote.done:,}" if remote else "–", f"{batch.requests:,}"),
        )
    print_table(data_console(), table)
    for problem in (why for _, _, why in seen if why):
        print(f"error: {problem}", file=sys.stderr)


def _state(remote: Remote | None, why: str) -> str:
    return remote.outcome if remote else ("error" if why else "unknown")


def _at(batch: Batch) -> str:
    return datetime.fromtimestamp(batch.intended_at, UTC).isoformat(timespec="seconds")


def _as_json(batch: Batch, remote: Remote | None, why: str) -> Mapping[str, Any]:
    return {
        "batch": batch.tag,
        "remote": batch.remote,
        "endpoint": batch.endpoint,
        "model": batch.model,
        "handed_in": _at(batch),
        "state": _state(remote, why),
        "answered": remote.done if remote else None,
        "requests": batch.requests,
        "problem": why or None,
    }


def _collected_json(found: Collected) -> Mapping[str, Any]:
    return {
        "batch": found.batch.tag,
        "endpoint": found.batch.endpoint,
        "model": found.batch.model,
        "answered": found.answered,
        "failed": found.failed,
        "left": found.left,
        "cost_usd": float(found.paid_usd),
        "problem": found.problem or None,
    }
