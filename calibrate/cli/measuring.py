"""Measure one workflow for a command: open what it needs, show progress, keep what was paid for."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal

from calibrate.cli.batching import open_rounds
from calibrate.cli.interruption import until_interrupted
from calibrate.cli.progress import Progress
from calibrate.cli.session import open_client, save_recordings
from calibrate.client import Client, Source
from calibrate.decide import Calibration, Status, has_outage
from calibrate.errors import CalibrateError, ProviderError
from calibrate.family import same_route
from calibrate.pipeline import ByRounds, calibrate
from calibrate.planning import Share
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.task import Task
from calibrate.trial import FailedTrial

__all__ = ["Measured", "Spent", "measure"]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a workflow's run asked for."""

    sent: int
    cached: int
    recorded: int
    paid_usd: Decimal


@dataclass(frozen=True, slots=True)
class Measured:
    """A workflow decided at one error, or at each of several until it is no longer certified."""

    calibrations: tuple[Calibration, ...]
    spent: Spent


async def measure(
    task: Task,
    project: Project,
    arguments: argparse.Namespace,
    budget: Budget,
    shares: Sequence[Share],
) -> Measured:
    """Measure and decide a workflow; raises where an outage keeps it from its verdict.

    Ctrl-C ends it with `KeyboardInterrupt`: once in order, twice now. What has arrived is kept.
    """
    with open_client(
        project,
        task.name,
        budget,
        offline=arguments.offline,
        read_stored=not arguments.no_cache,
        retry_failed=arguments.retry_failed,
        keep_given=arguments.record,
    ) as opened:
        async with opened as client:
            is_rate = task.workflow.bar.measure == "pass_rate"
            with (
                _notes(task, client),
                Progress(task.name, budget, is_rate=is_rate) as progress,
                _recording(arguments.record, project, task, client),
            ):
                async with open_rounds(
                    project, task, client, arguments, budget, progress.say
                ) as rounds:
                    work = _at_each(shares, task, client, arguments, rounds, progress)
                    found = await until_interrupted(work, budget, progress.say)
    if has_outage(found[-1].verdicts) and found[-1].decision.status is not Status.CERTIFIED:
        raise ProviderError(
            f"{task.name}: too many calls failed for a verdict, most of them with "
            f"{_commonest_failure(found[-1])!r}; the policy was left as it is: mend the cause "
            "and run again with --retry-failed"
        )
    return Measured(tuple(found), _spent(client, budget))


async def _at_each(
    shares: Sequence[Share],
    task: Task,
    client: Client,
    arguments: argparse.Namespace,
    rounds: ByRounds | None,
    progress: Progress,
) -> list[Calibration]:
    """Decide a workflow at each error until it is no longer certified."""
    found: list[Calibration] = []
    for share in shares:
        calibration = await calibrate(
            task,
            client,
            share=share,
            cases=arguments.cases if isinstance(arguments.cases, int) else None,
            ask_all=arguments.cases == "all",
            rounds=rounds,
            watcher=progress,
        )
        found.append(calibration)
        if same_route(found) < len(found):
            break
    return found


@contextmanager
def _notes(task: Task, client: Client) -> Iterator[None]:
    """Say at the end, however the run ends, which stored answers it did not use, and why."""
    try:
        yield
    finally:
        for note in client.notes():
            print(f"note: {task.name}: {note}", file=sys.stderr)


@contextmanager
def _recording(wanted: bool, project: Project, task: Task, client: Client) -> Iterator[None]:
    """Keep the answers as recordings, also those of a run that is cut short."""
    try:
        yield
    except BaseException:
        if wanted:
            with suppress(CalibrateError):  # the first error is the one to tell
                save_recordings(project, task.name, list(client.given.values()))
        raise
    if wanted:
        save_recordings(project, task.name, list(client.given.values()))


def _commonest_failure(calibration: Calibration) -> str:
    messages = Counter(
        trial.failure.message
        for trials in calibration.trials.values()
        for trial in trials
        if isinstance(trial, FailedTrial)
    )
    return messages.most_common(1)[0][0]


def _spent(client: Client, budget: Budget) -> Spent:
    sources = client.sources()
    return Spent(
        sources[Source.ASKED],
        sources[Source.CACHED],
        sources[Source.RECORDED],
        budget.spent_usd,
    )
