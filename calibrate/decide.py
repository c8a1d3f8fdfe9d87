"""From verdicts to the cheapest safe route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from calibrate.candidates import Candidate, Field
from calibrate.gate import Outcome, Reason, Verdict
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = ["Calibration", "Decision", "Status", "choose_route", "has_outage"]


class Status(StrEnum):
    """What a workflow's route may call itself."""

    CERTIFIED = "certified"  # some candidate was certified; the route is the cheapest of them
    UNCERTIFIED = "uncertified"  # not enough evidence; the route is the baseline, or what is left
    UNMET = "unmet"  # every candidate failed; the route has the best estimate


@dataclass(frozen=True, slots=True)
class Decision:
    """A workflow's route and what stands behind it."""

    status: Status
    chosen: Candidate
    verdict: Verdict
    fallbacks: tuple[Candidate, ...]
    over_context: Candidate | None


@dataclass(frozen=True, slots=True, repr=False)  # asyncio spells out what a task returns
class Calibration:
    """A workflow as it was measured, and what was decided; everything that a report shows."""

    task: Task
    trials: Mapping[str, tuple[AnyTrial, ...]]  # by model, in the seeded order
    verdicts: tuple[Verdict, ...]  # in the candidates' order
    decision: Decision
    family: Literal["holm", "bh"] | None = None  # that it was decided in, with other workflows


def choose_route(field: Field, verdicts: Sequence[Verdict]) -> Decision:
    """Return the route that the verdicts allow; `verdicts` stand in the candidates' order."""
    by_model = {verdict.model: verdict for verdict in verdicts}
    status, chosen = _status(field, by_model)
    return Decision(
        status=status,
        chosen=chosen,
        verdict=by_model[chosen.alias],
        fallbacks=_fallbacks(field, by_model, chosen),
        over_context=_over_context(field, by_model, chosen),
    )


def _status(field: Field, verdicts: dict[str, Verdict]) -> tuple[Status, Candidate]:
    with_outcome = {
        outcome: [c for c in field.candidates if verdicts[c.alias].outcome is outcome]
        for outcome in Outcome
    }
    if with_outcome[Outcome.CERTIFIED]:
        return Status.CERTIFIED, with_outcome[Outcome.CERTIFIED][0]
    undecided = with_outcome[Outcome.UNDECIDED]
    if not undecided:
        return Status.UNMET, max(field.candidates, key=lambda c: verdicts[c.alias].estimate or 0)
    chosen = field.baseline if field.baseline in undecided else undecided[-1]
    return Status.UNCERTIFIED, chosen


def _fallbacks(
    field: Field, verdicts: dict[str, Verdict], chosen: Candidate
) -> tuple[Candidate, ...]:
    """Return who answers when the chosen model gives none: dearer ones, then cheaper ones.

    Models that failed the bar stay out, and so do embeddings models: a gateway cannot ask them.
    """
    at = field.candidates.index(chosen)
    others = [*field.candidates[at + 1 :], *reversed(field.candidates[:at])]
    return tuple(
        other
        for other in others
        if verdicts[other.alias].outcome is not Outcome.FAILED and other.model.method == "chat"
    )


def _over_context(
    field: Field, verdicts: dict[str, Verdict], chosen: Candidate
) -> Candidate | None:
    """Return who takes an input that the chosen model's window cannot hold.

    That is the first fallback with a larger window; where there is none, the baseline, which would
    have answered without routing, or else the strongest model whose window is large enough.
    """
    window = chosen.context_window
    if window is None:
        return None
    preferred = [
        *_fallbacks(field, verdicts, chosen),
        field.baseline,
        *reversed(field.candidates),
    ]
    larger = [
        other
        for other in preferred
        if (other.context_window or 0) > window and other.model.method == "chat"
    ]
    return larger[0] if larger else None


def has_outage(verdicts: Sequence[Verdict]) -> bool:
    """Return whether failing endpoints kept a candidate from its verdict."""
    return any(verdict.reason is Reason.OUTAGE for verdict in verdicts)
