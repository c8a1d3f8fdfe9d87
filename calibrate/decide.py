"""From verdicts to the cheapest safe route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from calibrate.candidates import Candidate, Field
from calibrate.gate import Outcome, Reason, Verdict
from calibrate.policy import InputScore
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = ["CASCADES", "Calibration", "Decision", "Status", "choose_route", "has_outage"]


CASCADES = "*"  # all cascades of a workflow, where models are named; no alias can be that


class Status(StrEnum):
    """What a workflow's route may call itself."""

    CERTIFIED = "certified"  # some candidate was certified; the route is the cheapest of them
    UNCERTIFIED = "uncertified"  # not enough evidence; the route is the baseline, or what is left
    UNMET = "unmet"  # every candidate failed; the route has the best estimate


@dataclass(frozen=True, slots=True)
class EscalatedRoute:
    """A certified cascade: `cheap` answers first, `strong` where the signal is below a threshold.

    The figures are those of the whole, on all cases but those of `fitted_on`: an escalated request
    costs, and waits for, both calls, but where the signal is the request's. At the share
    `break_even` it would cost as much as `strong` by itself. The bounds are one-sided at `alpha`;
    `passed` and they are None for graded scores and groups.
    """

    cheap: Candidate
    strong: Candidate
    signal: str
    below: float
    escalated: float  # the share of the cases
    break_even: float
    alpha: float
    cases: int
    estimate: float
    passed: int | None
    lower_bound: float | None
    cost_usd_per_request: float
    latency_p95_s: float | None
    failed_calls: int
    score: InputScore | None = None  # by which the signal is computed, where it has weights
    fitted_on: tuple[str, ...] = ()  # the cases that the weights were fitted on


@dataclass(frozen=True, slots=True)
class SignalFinding:
    """What a model's signal is worth; `auroc` is None where all answers are right, or all wrong.

    Of a signal whose weights were fitted, on `fitted_cases`, all else is about the other cases;
    `shortage` says why no cascade by it could be tested.
    """

    model: str
    signal: str | None  # None: it has none
    known: float  # the share of the cases that have it
    worth: Literal["informative", "useless", "harmful", "unknown"]
    auroc: float | None = None
    auroc_low: float | None = None
    auroc_high: float | None = None
    over_confidence: float | None = None
    fitted_cases: int | None = None
    shortage: str | None = None


@dataclass(frozen=True, slots=True)
class CascadePoint:
    """A pair at one threshold, on all cases; the bound as if that threshold were the only one.

    `passed` and the bound, one-sided at the cascades' share of the error, are None for graded
    scores and groups. `cases_to_settle` is how many cases in all would certify at the observed
    rate; None where it is not above the bar, or the bar has parts that it says nothing of.
    """

    below: float
    escalated: float  # the share of the cases
    cases: int
    estimate: float
    passed: int | None
    lower_bound: float | None
    cost_usd_per_request: float
    cases_to_settle: int | None


@dataclass(frozen=True, slots=True)
class CascadePair:
    """A cheap model and a dearer one at the thresholds of the cheap one's signal.

    Thresholds are tested from the highest down, where almost everything escalates, and only where
    the dearer model itself is certified first: so `certified` of them were, down to the share
    escalated `certified_from`, and the next one `stopped` the test. `best` is the threshold with
    the best score on these cases, chosen in hindsight: it flatters the pair.
    """

    cheap: str
    strong: str
    signal: str
    cheap_estimate: float
    strong_estimate: float
    thresholds: int
    tested: int
    certified: int
    certified_from: float | None
    best: CascadePoint
    stopped: CascadePoint | None


@dataclass(frozen=True, slots=True)
class Cascades:
    """What was found of cascades; `route` is the cheapest certified one."""

    attempt: int
    route: EscalatedRoute | None
    signals: tuple[SignalFinding, ...]
    thresholds: int  # of all pairs
    tested: int  # routes that a share of the error reached
    pairs: tuple[CascadePair, ...] = ()  # the best threshold's first


@dataclass(frozen=True, slots=True)
class Decision:
    """A workflow's route and what stands behind it."""

    status: Status
    chosen: Candidate
    verdict: Verdict
    fallbacks: tuple[Candidate, ...]
    over_context: Candidate | None
    escalation: EscalatedRoute | None = None


@dataclass(frozen=True, slots=True, repr=False)  # asyncio spells out what a task returns
class Calibration:
    """A workflow as it was measured, and what was decided; everything that a report shows."""

    task: Task
    trials: Mapping[str, tuple[AnyTrial, ...]]  # by model, in the seeded order
    verdicts: tuple[Verdict, ...]  # in the candidates' order
    decision: Decision
    family: Literal["holm", "bh"] | None = None  # that it was decided in, with other workflows
    cascades: Cascades | None = None  # None: they were not asked for


def choose_route(
    field: Field, verdicts: Sequence[Verdict], escalated: EscalatedRoute | None = None
) -> Decision:
    """Return the route that the verdicts allow; `verdicts` stand in the candidates' order.

    A certified cascade is chosen where it costs less than the cheapest certified model.
    """
    by_model = {verdict.model: verdict for verdict in verdicts}
    status, chosen = _status(field, by_model)
    fallbacks = _fallbacks(field, by_model, chosen)
    if escalated is not None and _pays(escalated, status, by_model[chosen.alias]):
        status, chosen = Status.CERTIFIED, escalated.cheap
        others = (c for c in _fallbacks(field, by_model, chosen) if c is not escalated.strong)
        fallbacks = (escalated.strong, *others)
    else:
        escalated = None
    return Decision(
        status=status,
        chosen=chosen,
        verdict=by_model[chosen.alias],
        fallbacks=fallbacks,
        over_context=_over_context(field, by_model, chosen),
        escalation=escalated,
    )


def _pays(escalated: EscalatedRoute, status: Status, chosen: Verdict) -> bool:
    if status is not Status.CERTIFIED or chosen.cost_usd_per_request is None:
        return True
    return escalated.cost_usd_per_request < chosen.cost_usd_per_request


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
