"""What changed since the policy was made; offline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date

from calibrate.errors import ConfigError
from calibrate.fingerprint import digest
from calibrate.gate import PROCEDURE
from calibrate.policy import Inputs, Override, Policy, ServingLimits, WorkflowPolicy, edits
from calibrate.policy.records import plain
from calibrate.pricing import policy_price
from calibrate.project import Project
from calibrate.task import Task

__all__ = [
    "Change",
    "changes_of",
    "expiry",
    "input_digests",
    "orphans",
    "other_default",
    "override_of",
    "serving_limits",
]


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of input that is no longer what the policy was made from."""

    workflow: str
    kind: str  # of an input, or: edited, limits, override, default, workflow
    text: str


_TEXTS = {
    "prompt": "the prompt, its examples, labels, schema or output limit changed",
    "dataset": "golden cases changed",
    "graders": "a grader, its options or its version changed",
    "models": "a candidate model, its endpoint or parameters, or the tiers changed",
    "prices": "a price changed",
    "bar": "the bar, the confidence, the repeats or the seed changed",
    "procedure": "this calibrate decides by another procedure",
}


def input_digests(task: Task, project: Project) -> Inputs:
    """Return the digests of everything that determines a workflow's route, by kind."""
    workflow, tiers = task.workflow, project.tiers
    candidates = task.field.candidates
    return Inputs(
        prompt=digest(
            {
                "prompt": [message.model_dump() for message in workflow.prompt],
                "max_output_tokens": workflow.max_output_tokens,
                "stop": workflow.stop,
                "output_schema": workflow.output_schema,
                "labels": workflow.labels,
                "examples": [[e.input, e.expected] for e in task.examples],
            }
        ),
        dataset=task.dataset_digest,
        graders=digest(_graders(task)),
        models=digest(
            {
                "baseline": task.field.baseline.alias,
                "candidates": [
                    [
                        c.alias,
                        c.tier,
                        c.kind,
                        tiers.endpoints[c.model.endpoint].base_url,
                        c.model.name,
                        c.model.method,
                        c.context_window,
                        c.model.parameters,
                    ]
                    for c in candidates
                ],
            }
        ),
        prices=digest({c.alias: plain(policy_price(c.price)) for c in candidates}),
        bar=digest(
            {
                "bar": workflow.bar.model_dump(),
                "seed": workflow.seed,
                "repeats": workflow.repeats,
                **_escalated_by(task),
            }
        ),
        procedure=PROCEDURE,
    )


def _escalated_by(task: Task) -> dict[str, object]:
    """Return the signals, where a route may rest on them."""
    if not task.workflow.bar.cascades:
        return {}
    specs = task.workflow.signals or ()
    named: list[object] = [s if isinstance(s, str) else s.model_dump() for s in specs]
    return {"signals": named}


def _graders(task: Task) -> list[object]:
    return [task.workflow.score, *(grader.fingerprint() for grader in task.graders)]


def serving_limits(task: Task) -> ServingLimits:
    """Return the limits that a gateway is told to enforce."""
    limits = task.workflow.limits
    budget = limits.budget_usd_per_day
    return ServingLimits(
        max_output_tokens=task.workflow.max_output_tokens,
        timeout_s=limits.timeout_s,
        budget_usd_per_day=None if budget is None else float(budget),
    )


def override_of(task: Task) -> Override | None:
    """Return the override that a workflow file has; raises where its model cannot serve it."""
    found = task.workflow.overrides
    if found is None:
        return None
    tiers = {candidate.alias: candidate.tier for candidate in task.field.candidates}
    if found.model not in tiers:
        raise ConfigError(
            f"evals/{task.name}.yaml: overrides.model: {found.model!r} is no candidate of this "
            f"workflow (known: {', '.join(tiers)})"
        )
    return Override(
        model=found.model,
        tier=tiers[found.model],
        owner=found.owner,
        reason=found.reason,
        expires=found.expires.isoformat(),
    )


def changes_of(task: Task, project: Project, policy: Policy) -> list[Change]:
    """Return what makes a workflow's entry stale; empty when it is what the inputs imply."""
    entry = policy.workflows.get(task.name)
    if entry is None:
        text = f"the policy has no entry; run `calibrate run {task.name}`"
        return [Change(task.name, "workflow", text)]
    return [*_edits(task, policy, entry), *_changes(task, project, entry)]


def expiry(task: Task, today: date) -> list[Change]:
    """Return that a workflow's override has expired, where it has one that did."""
    override = override_of(task)
    if override is None or override.expires >= today.isoformat():
        return []
    text = (
        f"the override to {override.model!r} expired on {override.expires}; take it out of "
        f"evals/{task.name}.yaml, or {override.owner} renews it"
    )
    return [Change(task.name, "override", text)]


def other_default(project: Project, policy: Policy) -> list[Change]:
    """Return that another workflow serves unknown names than the project says."""
    declared = project.tiers.default_route
    if declared == policy.default:
        return []
    text = (
        f"unknown names are served as {declared or 'none'} by the tiers file, and as "
        f"{policy.default or 'none'} by the policy"
    )
    return [Change(declared or str(policy.default), "default", text)]


def orphans(project: Project, policy: Policy) -> list[Change]:
    """Return the policy's workflows that the project no longer has."""
    return [
        Change(name, "workflow", f"evals/{name}.yaml is gone; take it out of the policy")
        for name in policy.workflows
        if name not in project.workflows
    ]


def _edits(task: Task, policy: Policy, entry: WorkflowPolicy) -> Iterator[Change]:
    for place, text in edits(task.name, entry, policy.models):
        where = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in place).lstrip(".")
        yield Change(task.name, "edited", f"{where}: {text}" if where else text)


def _changes(task: Task, project: Project, entry: WorkflowPolicy) -> Iterator[Change]:
    now = input_digests(task, project)
    for item in fields(Inputs):
        if getattr(now, item.name) != getattr(entry.inputs, item.name):
            yield Change(task.name, item.name, _TEXTS[item.name])
    if serving_limits(task) != entry.limits:
        yield Change(task.name, "limits", "the limits changed")
    if override_of(task) != entry.override:
        yield Change(task.name, "override", "the override changed")
