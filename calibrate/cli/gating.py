"""The gate over a change: which workflows it touches, what they are decided as, what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from calibrate.certificate import policy_entry
from calibrate.cli.again import in_its_family, share_again
from calibrate.cli.base import Base
from calibrate.cli.session import open_client
from calibrate.decide import Calibration, Status, has_outage
from calibrate.drift import Change, changes_of, expiry, input_digests
from calibrate.errors import CacheMiss, CalibrateError, ProviderError
from calibrate.pipeline import calibrate
from calibrate.policy import Policy, WorkflowPolicy, utc_today
from calibrate.policy.records import plain
from calibrate.pricing import Budget
from calibrate.project import Project
from calibrate.regression import Found, Pairs, Regression, Served, in_words, paired_scores
from calibrate.task import Task

__all__ = [
    "Finding",
    "Gate",
    "Kind",
    "Row",
    "decide_again",
    "difference",
    "findings_of",
    "gate_row",
]
_NOT_RECORDED = (
    "it could not be decided: not all answers are recorded; `calibrate run {} --record` records "
    "them, to be committed, and --live asks for them"
)


class Kind(StrEnum):
    """What stops a change."""

    STALE = "stale"
    UNMET = "unmet"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to stop a change; `part` is what of the workflow it is about."""

    workflow: str
    kind: Kind
    part: str
    text: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What one gate has to go by."""

    project: Project
    policy: Policy
    base: Base | None
    budget: Budget
    offline: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One workflow as the gate sees it."""

    workflow: str
    entry: WorkflowPolicy | None  # as it is committed
    changes: tuple[Change, ...]
    is_touched: bool
    decided: Calibration | None = None
    difference: str = ""  # between what is committed and what is decided; empty where there is none
    no_answer: str = ""  # why it could not be decided, or not be compared
    pairs: Pairs | None = None
    not_compared: str = ""  # why there is nothing to compare it with
    regression: Regression | None = None

    @property
    def status(self) -> str | None:
        """The status that the change gives it: the decided one, else the committed one."""
        if self.decided is not None:
            return self.decided.decision.status.value
        return None if self.entry is None else self.entry.status


def gate_row(task: Task, gate: Gate) -> Row:
    """Check a workflow and, where the change touches it, decide it and pair it with before."""
    entry = gate.policy.workflows.get(task.name)
    changes = (*changes_of(task, gate.project, gate.policy), *expiry(task, utc_today()))
    before = _before(task, gate)
    row = Row(task.name, entry, changes, bool(changes) or _is_touched(task, entry, before, gate))
    if not row.is_touched:
        return row
    try:
        decided = asyncio.run(decide_again(task, gate))
        row = replace(row, decided=decided, difference=difference(decided, entry, gate.project))
    except CacheMiss:
        row = replace(row, no_answer=_NOT_RECORDED.format(task.name))
    except CalibrateError as error:
        row = replace(row, no_answer=f"it could not be decided: {error.problems[0]}")
    return _paired(task, row, before, gate)


def findings_of(row: Row) -> Iterator[Finding]:
    """Yield what stops the change, of one workflow."""
    for change in row.changes:
        yield Finding(row.workflow, Kind.STALE, change.kind, change.text)
    if row.difference and not row.changes:
        yield Finding(row.workflow, Kind.STALE, "decision", row.difference)
    if row.status == Status.UNMET.value:
        yield Finding(row.workflow, Kind.UNMET, "bar", "no model meets the bar")
    if row.regression is not None and row.regression.found is Found.WORSE:
        yield Finding(row.workflow, Kind.WORSE, "prompt", in_words(row.regression))


def _before(task: Task, gate: Gate) -> Task | str:
    """Return the workflow as it was, or why there is none."""
    if gate.base is None:
        return "no revision to compare with was named"
    if gate.base.project is not None and task.name not in gate.base.project.workflows:
        return f"it is new since {gate.base.name}"
    try:
        return gate.base.task(task.name)
    except CalibrateError as error:
        return error.problems[0]


def _is_touched(task: Task, entry: WorkflowPolicy | None, before: Task | str, gate: Gate) -> bool:
    if gate.base is None or gate.base.project is None or isinstance(before, str):
        return True
    if entry != gate.base.policy.workflows.get(task.name):
        return True
    if input_digests(before, gate.base.project) != input_digests(task, gate.project):
        return True
    return not gate.base.has_recordings_of(gate.project, task.name)


async def decide_again(task: Task, gate: Gate) -> Calibration:
    """Return what a run would decide now, in the family that the policy's entry was decided in.

    Raises `CacheMiss` where an answer is not stored and asking is not allowed.
    """
    share = share_again(task, gate.project, gate.policy)
    with open_client(gate.project, task.name, gate.budget, offline=gate.offline) as opened:
        async with opened as client:
            found = await calibrate(task, client, share=share)
    if has_outage(found.verdicts) and found.decision.status is not Status.CERTIFIED:
        raise ProviderError("too many calls failed for a verdict")
    return in_its_family(found, gate.policy)


def difference(decided: Calibration, entry: WorkflowPolicy | None, project: Project) -> str:
    """Return the first thing in which the committed entry is not what is decided now, in words."""
    if entry is None:
        return ""
    now, committed = map(_decided_part, (policy_entry(decided, project), entry))
    for place in _places(now, committed):
        was, found = (_at(entry, place) for entry in (committed, now))
        return (
            f"the policy's {'.'.join(place)} is {was!r}, and deciding again from the answers "
            f"gives {found!r}"
        )
    return ""


def _decided_part(entry: WorkflowPolicy) -> Any:
    """Return what an entry says, without how that came about and what decided nothing.

    A run may have measured more of the fallbacks than a decision needs.
    """
    evidence = replace(entry.evidence, when_down=())
    return plain(replace(entry, attempts=(), digests=None, evidence=evidence))


def _places(now: Mapping[str, Any], committed: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key in dict.fromkeys([*now, *committed]):
        one, other = now.get(key), committed.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from ((key, *place) for place in _places(one, other))
        elif one != other:
            yield (key,)


def _at(value: Any, place: Sequence[str]) -> Any:
    for key in place:
        value = value.get(key)
    return value


def _paired(task: Task, row: Row, before: Task | str, gate: Gate) -> Row:
    """Put the cases to the certified route of before and to that of now."""
    if gate.base is None or isinstance(before, str):
        return replace(row, not_compared=str(before))
    was = gate.base.policy.workflows.get(task.name)
    if was is None or was.status != Status.CERTIFIED.value:
        why = gate.base.problem or f"its route was not certified at {gate.base.name}"
        return replace(row, not_compared=why)
    now = row.entry if row.decided is None else policy_entry(row.decided, gate.project)
    if now is None:
        return replace(row, not_compared="it has no route now")
    routes = (
        Served(before, was.model, was.escalation),
        Served(task, now.model, now.escalation),
    )
    try:
        return replace(row, pairs=asyncio.run(_pairs(routes, gate.base, gate)))
    except CalibrateError as error:
        why = f"it could not be compared with {gate.base.name}: {error.problems[0]}"
        return replace(row, no_answer="; ".join(filter(None, [row.no_answer, why])))


async def _pairs(routes: tuple[Served, Served], base: Base, gate: Gate) -> Pairs:
    before, now = routes
    name, budget, offline = now.task.name, gate.budget, gate.offline
    with (
        base.open_client(gate.project, name, budget, offline=offline) as old,
        open_client(gate.project, name, budget, offline=offline) as new,
    ):
        async with old as old_client, new as new_client:
            return await paired_scores((before, old_client), (now, new_client))
