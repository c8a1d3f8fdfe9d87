"""Two policies side by side: which routes moved, what of their inputs changed, what that costs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from calibrate.policy import (
    Escalation,
    Inputs,
    Override,
    Policy,
    ServingLimits,
    WorkflowPolicy,
)

__all__ = [
    "CasesCompared",
    "Comparison",
    "Kind",
    "Move",
    "NotKnown",
    "WorkflowComparison",
    "compare",
]

_PARTS = (
    "status",
    "model",
    "tier",
    "fallbacks",
    "escalation",
    "over_context",
    "limits",
    "override",
)
# What a request is sent with. The price is no part of it, and the origin is a remark.
_CALLED_BY = (
    "endpoint",
    "kind",
    "name",
    "base_url",
    "api_key_env",
    "method",
    "context_window",
    "parameters",
)
_ANSWERED_BY = ("kind", "name", "method", "parameters")  # of them, what an answer depends on


class Kind(StrEnum):
    """What became of a workflow's entry."""

    NEW = "new"
    GONE = "gone"
    MOVED = "moved"  # something of the route is another
    EVIDENCE = "evidence"  # the same route, on other evidence or inputs
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Move:
    """One part of a route that is no longer what it was; None where there is none."""

    part: str
    old: str | None
    new: str | None
    model: str | None = None  # whose definition it is a part of, by its alias


@dataclass(frozen=True, slots=True)
class CasesCompared:
    """How both routes do on the same cases, of those that both have stored answers to.

    Where the bar is a mean score, a case newly fails that scores lower than it did.
    """

    compared: int
    newly_failing: tuple[str, ...]
    newly_passing: tuple[str, ...]
    not_compared: int  # others of the new side: not in both sets alike, or without a stored answer
    is_graded: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotKnown:
    """Why it cannot be said which cases newly fail."""

    why: str


@dataclass(frozen=True, slots=True)
class WorkflowComparison:
    """One workflow's entry before and now."""

    workflow: str
    old: WorkflowPolicy | None
    new: WorkflowPolicy | None
    moves: tuple[Move, ...]
    inputs: tuple[str, ...]  # the kinds that changed
    requests_per_day: int | None = None
    cases: CasesCompared | NotKnown | None = None  # None: nothing that answers depend on changed

    @property
    def kind(self) -> Kind:
        if self.old is None or self.new is None:
            return Kind.NEW if self.old is None else Kind.GONE
        if self.moves:
            return Kind.MOVED
        is_same = self.old.evidence == self.new.evidence and not self.inputs
        return Kind.SAME if is_same else Kind.EVIDENCE

    @property
    def may_answer_otherwise(self) -> bool:
        """Whether the same case may get another answer: from another model or prompt."""
        if self.old is None or self.new is None:
            return False
        return "prompt" in self.inputs or any(
            move.part in (("model", "escalation", "override") if not move.model else _ANSWERED_BY)
            for move in self.moves
        )

    @property
    def usd_per_day(self) -> tuple[float | None, float | None]:
        """What the stated traffic costs before and now; None where either is not known."""
        return self._usd_per_day(self.old), self._usd_per_day(self.new)

    def _usd_per_day(self, entry: WorkflowPolicy | None) -> float | None:
        if entry is None or self.requests_per_day is None:
            return None
        return entry.evidence.cost_usd_per_1k_requests * self.requests_per_day / 1000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two policies, workflow by workflow in the order of the names."""

    workflows: tuple[WorkflowComparison, ...]
    default: Move | None  # the workflow that serves unknown names, where that is another

    @property
    def same_routes(self) -> bool:
        return self.default is None and not self.moved

    @property
    def moved(self) -> tuple[WorkflowComparison, ...]:
        """The workflows whose requests may be served in another way, or under another status."""
        unmoved = (Kind.SAME, Kind.EVIDENCE)
        return tuple(found for found in self.workflows if found.kind not in unmoved)

    @property
    def changed(self) -> tuple[WorkflowComparison, ...]:
        """The workflows of which anything is to be told."""
        return tuple(found for found in self.workflows if found.kind is not Kind.SAME)

    @property
    def usd_per_day(self) -> tuple[float, float] | None:
        """What the traffic costs before and now, of workflows in both; None without any."""
        pairs = [found.usd_per_day for found in self.workflows]
        known = [(old, new) for old, new in pairs if old is not None and new is not None]
        if not known:
            return None
        return sum(old for old, _ in known), sum(new for _, new in known)

    def with_cases(self, cases: Mapping[str, CasesCompared | NotKnown]) -> Comparison:
        """Return the comparison with what is known of the workflows' cases."""
        found = (replace(w, cases=cases.get(w.workflow)) for w in self.workflows)
        return replace(self, workflows=tuple(found))


def compare(
    old: Policy, new: Policy, requests_per_day: Mapping[str, int] | None = None
) -> Comparison:
    """Return what is different in the new policy; traffic is by workflow, where it is known."""
    traffic = requests_per_day or {}
    return Comparison(
        tuple(
            _compared(name, old, new, traffic.get(name))
            for name in sorted({*old.workflows, *new.workflows})
        ),
        None if old.default == new.default else Move("default", old.default, new.default),
    )


def _compared(name: str, old: Policy, new: Policy, requests: int | None) -> WorkflowComparison:
    before, now = old.workflows.get(name), new.workflows.get(name)
    moves: tuple[Move, ...] = ()
    inputs: tuple[str, ...] = ()
    if before is not None and now is not None:
        moves = (*_route_moves(before, now), *_model_moves(before, now, old, new))
        kinds = (item.name for item in fields(Inputs))
        inputs = tuple(k for k in kinds if getattr(before.inputs, k) != getattr(now.inputs, k))
    return WorkflowComparison(name, before, now, moves, inputs, requests)


def _route_moves(old: WorkflowPolicy, new: WorkflowPolicy) -> Iterator[Move]:
    for part in _PARTS:
        before, now = getattr(old, part), getattr(new, part)
        if before != now:
            yield Move(part, _text(before), _text(now))


def _model_moves(
    before: WorkflowPolicy, now: WorkflowPolicy, old: Policy, new: Policy
) -> Iterator[Move]:
    """Yield how the models that both entries name are called in another way."""
    both = {alias for _, alias in before.named} & {alias for _, alias in now.named}
    for alias in sorted(both):
        for part in _CALLED_BY:
            was, is_now = (getattr(policy.models[alias], part) for policy in (old, new))
            if was != is_now:
                yield Move(part, _text(was), _text(is_now), alias)


def _text(value: Any) -> str | None:
    """Return a part of a route in a few words; None where there is none."""
    if value is None or value == ():
        return None
    if isinstance(value, Escalation):
        scale = "" if value.scale is None else f" ({value.scale})"
        return f"to {value.to} where {value.signal} < {value.below}{scale}"
    if isinstance(value, Override):
        return f"to {value.model} until {value.expires} ({value.owner}: {value.reason})"
    if isinstance(value, ServingLimits):
        return _limits(value)
    if isinstance(value, tuple):
        return ", ".join(value)
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)


def _limits(limits: ServingLimits) -> str:
    parts = [f"{limits.max_output_tokens} output tokens"]
    if limits.timeout_s is not None:
        parts.append(f"{_exact(limits.timeout_s)} s")
    if limits.budget_usd_per_day is not None:
        parts.append(f"${_exact(limits.budget_usd_per_day)} a day")
    return ", ".join(parts)


def _exact(value: float) -> str:
    """Return a number in full: two that differ must not read alike."""
    return f"{value:,}".removesuffix(".0")
