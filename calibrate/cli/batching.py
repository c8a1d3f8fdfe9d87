"""Batches for the commands: where they are written down, and a run that asks by them."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from calibrate.batches import Journal, Post, Rounds
from calibrate.client import Client
from calibrate.errors import ConfigError
from calibrate.pipeline import ByRounds
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.task import Task

__all__ = ["open_post", "open_rounds"]

JOURNAL_FILE = ".calibrate/batches.sqlite"


@asynccontextmanager
async def open_post(project: Project) -> AsyncIterator[Post]:
    """Yield the way to the batch APIs of a project's endpoints."""
    with Journal(project.root / JOURNAL_FILE) as journal:
        async with Post(project.tiers.endpoints, journal) as post:
            yield post


@asynccontextmanager
async def open_rounds(
    project: Project,
    task: Task,
    client: Client,
    arguments: argparse.Namespace,
    budget: Budget,
    say: Callable[[str], None],
) -> AsyncIterator[ByRounds | None]:
    """Yield how a run gets whole rounds of answers; None where it asks directly.

    Raises `ConfigError` for a workflow whose bar has a latency: in a batch there is none.
    """
    if not arguments.batch:
        yield None
        return
    if task.workflow.bar.latency_p95_s is not None:
        raise ConfigError(
            f"evals/{task.name}.yaml: bar.latency_p95_s: is not measured in a batch; run without "
            "--batch, or without this part of the bar"
        )
    async with open_post(project) as post:
        endpoints = project.tiers.endpoints
        rounds = Rounds(client, post, endpoints, budget, detach=arguments.detach, say=say)
        yield ByRounds(rounds.fetch, arguments.round / 100)
