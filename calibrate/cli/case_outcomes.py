"""Which cases newly fail: both routes replayed on the answers that are stored. Offline."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass

from calibrate.candidates import Candidate
from calibrate.cli.base import Base
from calibrate.cli.session import open_client
from calibrate.client import Client
from calibrate.comparison import CasesCompared, NotKnown
from calibrate.drift import input_digests
from calibrate.errors import CalibrateError, PolicyError
from calibrate.policy import Inputs, Policy, PolicyModel
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.regression import Pairs, Served, paired_scores
from calibrate.task import Task, load_task

__all__ = ["Side", "compared_cases"]


@dataclass(frozen=True, slots=True)
class Side:
    """A policy as it is served, with what its routes can be replayed in."""

    name: str  # as the command line calls it
    policy: Policy
    here: Project
    base: Base | None = None  # the project of the policy's revision, where it is of one

    @property
    def project(self) -> Project:
        """The project as it was; raises `PolicyError` where it cannot be read."""
        if self.base is None:
            return self.here
        if self.base.project is None:
            raise PolicyError(self.base.problem)
        return self.base.project

    def task(self, workflow: str) -> Task:
        if workflow not in self.project.workflows:
            raise PolicyError(f"the project of {self.name} has no evals/{workflow}.yaml")
        return load_task(self.project, workflow) if self.base is None else self.base.task(workflow)

    def open_client(self, workflow: str) -> AbstractContextManager[Client]:
        """Return a client for the workflow that asks nothing."""
        if self.base is None:
            return open_client(self.here, workflow, Budget(None), offline=True)
        return self.base.open_client(self.here, workflow, Budget(None), offline=True)


@dataclass(frozen=True, slots=True)
class _Replayable:
    """A route that its project still answers for, and the inputs that it has there now."""

    side: Side
    served: Served
    digests: Inputs


def compared_cases(workflow: str, old: Side, new: Side) -> CasesCompared | NotKnown:
    """Return which cases fail by the new route and passed by the old one, or why that is unknown.

    Both are graded as the new side's project grades. A route counts only where its project still
    has the prompt that it was decided with, and calls its models by the same names and parameters.
    """
    try:
        before, now = _replayable(workflow, old), _replayable(workflow, new)
        if now.digests.graders != new.policy.workflows[workflow].inputs.graders:
            raise PolicyError(f"{new.name} was decided with other graders than the project has")
        pairs = asyncio.run(_pairs(before, now))
    except CalibrateError as error:
        return NotKnown(error.problems[0])
    if not pairs.scores:
        return NotKnown("the answers of both routes are not stored here")
    return CasesCompared(
        compared=len(pairs.scores),
        newly_failing=pairs.lost,
        newly_passing=pairs.won,
        not_compared=len(now.served.task.cases) - len(pairs.scores),
        is_graded=now.served.task.workflow.bar.measure == "mean_score",
        notes=tuple(_notes(workflow, before, now)),
    )


def _replayable(workflow: str, side: Side) -> _Replayable:
    """Return a route that can be replayed; raises where that would not be its own answers."""
    entry, project = side.policy.workflows[workflow], side.project
    task = side.task(workflow)
    digests = input_digests(task, project)
    if digests.prompt != entry.inputs.prompt:
        raise PolicyError(f"{side.name} was decided with another prompt than the project has")
    escalation = entry.escalation
    for alias in (entry.model, *(() if escalation is None else (escalation.to,))):
        _require_same(side, alias, task)
    return _Replayable(side, Served(task, entry.model, escalation), digests)


def _require_same(side: Side, alias: str, task: Task) -> None:
    for candidate in task.field.candidates:
        if candidate.alias == alias:
            if not _is_called(side.policy.models[alias], candidate):
                raise PolicyError(f"{side.name}'s model {alias!r} is another in the project")
            return
    raise PolicyError(f"{side.name}'s model {alias!r} is no candidate in the project")


def _is_called(model: PolicyModel, candidate: Candidate) -> bool:
    """Return whether a candidate is the model of the policy, whatever address it is asked at."""
    now = candidate.model
    return (model.kind, model.name, model.method, model.parameters) == (
        candidate.kind,
        now.name,
        now.method,
        now.parameters,
    )


async def _pairs(before: _Replayable, now: _Replayable) -> Pairs:
    async with AsyncExitStack() as stack:
        clients = []
        for found in (before, now):
            opened = found.side.open_client(found.served.task.name)
            clients.append(await stack.enter_async_context(stack.enter_context(opened)))
        return await paired_scores((before.served, clients[0]), (now.served, clients[1]))


def _notes(workflow: str, before: _Replayable, now: _Replayable) -> list[str]:
    """Return in what the comparison is not that of the two decisions."""
    notes = []
    for found in (before, now):
        if found.digests.dataset != found.side.policy.workflows[workflow].inputs.dataset:
            notes.append(f"{found.side.name} was decided on other cases than these.")
    old, new = (found.side.policy.workflows[workflow].inputs for found in (before, now))
    if old.graders != new.graders:
        notes.append(f"Both are graded as {now.side.name} is.")
    return notes
