"""What a policy has that an earlier one had not, workflow by workflow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from calibrate.policy import Policy, WorkflowPolicy
from calibrate.report.badges import STATUS_BADGES
from calibrate.words import money, percent

__all__ = ["Change", "changes_between"]

_INPUTS = {
    "prompt": "the prompt",
    "dataset": "the cases",
    "graders": "the graders",
    "models": "the models",
    "prices": "the prices",
    "bar": "the bar or the seed",
    "procedure": "the procedure",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one workflow."""

    workflow: str
    lines: tuple[str, ...]


def changes_between(earlier: Policy, policy: Policy) -> tuple[Change, ...]:
    """Return the workflows that differ, by name."""
    names = sorted({*earlier.workflows, *policy.workflows})
    found = (
        Change(name, tuple(_lines(earlier.workflows.get(name), policy.workflows.get(name))))
        for name in names
    )
    return tuple(change for change in found if change.lines)


def _lines(old: WorkflowPolicy | None, new: WorkflowPolicy | None) -> Iterator[str]:
    if new is None:
        yield "has no route any more"
    elif old is None:
        yield f"is new: {new.model} ({new.tier}), {STATUS_BADGES[new.status].text.lower()}"
    else:
        yield from _route_lines(old, new)
        yield from _evidence_lines(old, new)


def _route_lines(old: WorkflowPolicy, new: WorkflowPolicy) -> Iterator[str]:
    if old.model != new.model:
        yield f"moved from {old.model} ({old.tier}) to {new.model} ({new.tier})"
    elif old.tier != new.tier:
        yield f"{new.model} moved from tier {old.tier} to {new.tier}"
    if old.escalation != new.escalation:
        before, after = (
            "none" if e.escalation is None else f"to {e.escalation.to} by {e.escalation.signal}"
            for e in (old, new)
        )
        yield f"escalation: {before} before, {after} now"
    if old.status != new.status:
        before, after = STATUS_BADGES[old.status].text, STATUS_BADGES[new.status].text
        yield f"{before.lower()} before, {after.lower()} now"
    if old.fallbacks != new.fallbacks:
        before, after = (", ".join(entry.fallbacks) or "none" for entry in (old, new))
        yield f"fallbacks: {before} before, {after} now"


def _evidence_lines(old: WorkflowPolicy, new: WorkflowPolicy) -> Iterator[str]:
    before, after = old.evidence, new.evidence
    if before.floor != after.floor:
        yield f"bar {percent(before.floor)} before, {percent(after.floor)} now"
    if before.lower_bound != after.lower_bound:
        yield (
            f"lower bound {percent(before.lower_bound)} before, {percent(after.lower_bound)} now"
        )
    if before.cost_usd_per_1k_requests != after.cost_usd_per_1k_requests:
        yield (
            f"{money(before.cost_usd_per_1k_requests)} per 1,000 requests before, "
            f"{money(after.cost_usd_per_1k_requests)} now"
        )
    changed = [
        _INPUTS.get(item.name, item.name)
        for item in fields(new.inputs)
        if getattr(old.inputs, item.name) != getattr(new.inputs, item.name)
    ]
    if changed:
        yield f"changed: {', '.join(changed)}"
