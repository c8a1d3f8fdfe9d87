"""A workflow's ways to be served, and what each of them costs. Offline."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator

from calibrate.candidates import Candidate
from calibrate.cli.costing import Costing, discount_of
from calibrate.cli.session import open_client
from calibrate.drift import changes_of
from calibrate.policy import Policy, WorkflowPolicy, utc_today
from calibrate.policy.resolving import in_force
from calibrate.pricing import Budget, rates_at
from calibrate.project import Project
from calibrate.projection import Amount, Line, Projection, RequestCost, Stated
from calibrate.task import Task

__all__ = ["project_workflow"]


def project_workflow(
    task: Task, project: Project, policy: Policy, stated: Stated, *, requests: int, all_cases: bool
) -> Projection:
    """Return what a workflow's baseline, its route and every other candidate cost.

    Measured on the answers that the policy rests on, or with `all_cases` on those to all cases
    where they are stored. Where none are, the policy's figure stands in, or the pure formula's.
    """
    entry = policy.workflows.get(task.name)
    served = None if entry is None else in_force(entry, policy.models, utc_today())
    with open_client(project, task.name, Budget(None), offline=True) as client:
        costing = Costing(task, project, entry, stated, client, all_cases)
        costs = asyncio.run(_costs(costing, served))
    lines = [_line(task, entry, served, requests, name, cost) for name, cost in costs.items()]
    return Projection(
        name=task.name,
        requests_per_day=requests,
        lines=tuple(sorted(lines, key=lambda line: (not line.is_baseline, not line.is_route))),
        notes=tuple(_notes(task, project, policy, stated, served)),
    )


async def _costs(costing: Costing, served: WorkflowPolicy | None) -> dict[str, RequestCost]:
    """Return what a request costs, by model, and that of a route of two."""
    costs = {}
    async with costing.client:
        for candidate in costing.task.field.candidates:
            costs[candidate.alias] = await costing.of_model(candidate)
        if served is not None and served.escalation is not None and _is_served(served, costs):
            cascade = await costing.of_cascade(served, served.escalation)
            costs[_route_name(served)] = cascade
    return costs


def _is_served(served: WorkflowPolicy, known: Collection[str]) -> bool:
    """Return whether a route's models are candidates still."""
    models = {served.model, served.model if served.escalation is None else served.escalation.to}
    return models <= set(known)


def _route_name(served: WorkflowPolicy) -> str:
    escalation = served.escalation
    return served.model if escalation is None else f"{served.model}, then {escalation.to}"


def _line(
    task: Task,
    entry: WorkflowPolicy | None,
    served: WorkflowPolicy | None,
    requests: int,
    name: str,
    cost: RequestCost,
) -> Line:
    return Line(
        name=name,
        day=Amount.of(cost, requests),
        cost=cost,
        is_baseline=name == task.field.baseline.alias,
        is_route=served is not None and name == _route_name(served),
        verdict="" if entry is None or served is None else _verdict(entry, served, name),
    )


def _verdict(entry: WorkflowPolicy, served: WorkflowPolicy, name: str) -> str:
    """Return what the policy says of a model."""
    if served.override is not None and name == served.override.model:
        return f"override until {served.override.expires}"
    if name == _route_name(entry):
        return entry.status
    verdicts = {found.model: found.verdict for found in entry.evidence.rejected}
    return verdicts.get(name, "not asked")


def _notes(
    task: Task, project: Project, policy: Policy, stated: Stated, served: WorkflowPolicy | None
) -> Iterator[str]:
    if served is None:
        yield f"no route yet; `calibrate run {task.name}` decides it"
    elif changes_of(task, project, policy):
        yield "the policy is stale; `calibrate check` says why"
    candidates = task.field.candidates
    if served is not None and not _is_served(served, [c.alias for c in candidates]):
        yield f"the policy's route {_route_name(served)} is left out: it names no candidate"
    full = [c.alias for c in candidates if not discount_of(c, project)]
    if stated.batch_share and full:
        yield f"no batch discount is known for {', '.join(full)}"
    dear = [c.alias for c in candidates if not _has_cached_rate(c)]
    if stated.cached_share and dear:
        yield f"no price of cached input is known for {', '.join(dear)}"


def _has_cached_rate(candidate: Candidate) -> bool:
    rates = rates_at(candidate.price, 0)
    is_chat = candidate.model.method == "chat"
    return is_chat and rates is not None and rates.cached_input_usd_per_mtok is not None
