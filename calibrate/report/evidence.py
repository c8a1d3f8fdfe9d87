"""The models of a page: each candidate's verdict with its figures, and who is none and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from calibrate.candidates import Candidate
from calibrate.certificate import cost_of
from calibrate.decide import Calibration
from calibrate.gate import Outcome, Reason, Verdict
from calibrate.report.badges import Badge, verdict_badge
from calibrate.report.breakdown import measured
from calibrate.report.excerpt import unbroken
from calibrate.trial import AnyTrial, FailedTrial, Trial
from calibrate.words import money, p95, percent, why

__all__ = [
    "CandidateRow",
    "OriginNote",
    "Outsider",
    "candidate_rows",
    "origin_notes",
    "served_models",
]

_MOST_IDS = 3
_STOPPED = {
    (Outcome.CERTIFIED, Reason.QUALITY): "certified",
    (Outcome.FAILED, Reason.QUALITY): "below the bar",
    (Outcome.FAILED, Reason.CRITICAL): "critical cases",
    (Outcome.FAILED, Reason.SLICE): "slice below floor",
    (Outcome.FAILED, Reason.BASELINE): "below the baseline",
    (Outcome.UNDECIDED, Reason.BASELINE): "baseline undecided",
    (Outcome.UNDECIDED, Reason.SLICE): "slice undecided",
    (Outcome.FAILED, Reason.LATENCY): "too slow",
    (Outcome.UNDECIDED, Reason.FUTILITY): "futile",
    (Outcome.UNDECIDED, Reason.OUTAGE): "failed calls",
    (Outcome.UNDECIDED, Reason.OPEN): "still open",
    (Outcome.UNDECIDED, Reason.FAMILY): "family error",
    (Outcome.UNDECIDED, Reason.NOT_ASKED): "",
}


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """One candidate as the table shows it."""

    model: str
    tier: str
    role: str  # route, baseline, fallback …; empty for none
    chosen: bool
    badge: Badge
    why: str
    missed: str  # the critical cases that were failed, by id
    used: str  # how many of the cases the verdict used
    stopped: str  # why it fell there; empty where none did
    passed: str  # of the cases used, as is everything after it
    estimate: str
    lower: str
    upper: str
    cost: str
    cost_basis: str
    latency: str
    failed_calls: str
    origin: str  # a warning where the origin of the weights is not verified


@dataclass(frozen=True, slots=True)
class OriginNote:
    """Where a model's weights come from, as the project says."""

    model: str
    verified: bool
    note: str


@dataclass(frozen=True, slots=True)
class Outsider:
    """A model that is no candidate, and why."""

    model: str
    tier: str
    why: str


def candidate_rows(calibration: Calibration) -> tuple[CandidateRow, ...]:
    """Return a row a candidate, in the order in which they are tried."""
    pairs = zip(calibration.task.field.candidates, calibration.verdicts, strict=True)
    return tuple(_row(candidate, verdict, calibration) for candidate, verdict in pairs)


def origin_notes(calibration: Calibration) -> tuple[OriginNote, ...]:
    """Return what the project says of its candidates' weights; unverified ones first."""
    found = [
        OriginNote(candidate.alias, candidate.model.origin.verified, candidate.model.origin.note)
        for candidate in calibration.task.field.candidates
        if candidate.model.origin is not None
    ]
    return tuple(sorted(found, key=lambda origin: origin.verified))


def served_models(calibration: Calibration) -> tuple[tuple[str, str], ...]:
    """Return what the endpoint of each measured model said it served, over all cases asked."""
    return tuple((verdict.model, _served(trials)) for verdict, trials in measured(calibration))


def _row(candidate: Candidate, verdict: Verdict, calibration: Calibration) -> CandidateRow:
    cost = cost_of(candidate, verdict)
    trials = calibration.trials.get(verdict.model, ())
    origin = candidate.model.origin
    return CandidateRow(
        model=verdict.model,
        tier=verdict.tier,
        role=_role(candidate, calibration),
        chosen=candidate is calibration.decision.chosen,
        badge=verdict_badge(verdict, bool(trials)),
        why=unbroken(_why(verdict, trials, calibration)),
        missed=_listed(verdict.critical_missed),
        used=f"{verdict.cases_used:,} of {verdict.cases:,}",
        stopped=_stopped(verdict),
        passed=f"{verdict.passed:,}/{verdict.cases_used:,}" if verdict.cases_used else "–",
        estimate=percent(verdict.estimate),
        lower=percent(verdict.lower_bound),
        upper=percent(verdict.upper_bound),
        cost=money(cost.usd_per_1k),
        cost_basis=cost.basis,
        latency=p95(verdict.latency_p95_s, verdict.cases_used),
        failed_calls=_failed_calls(_used(verdict, trials, calibration)),
        origin="origin not verified" if origin is not None and not origin.verified else "",
    )


def _why(verdict: Verdict, trials: Sequence[AnyTrial], calibration: Calibration) -> str:
    if verdict.reason is Reason.NOT_ASKED and trials:
        return "an earlier model is certified; asked for this report only"
    return why(verdict, calibration)


def _stopped(verdict: Verdict) -> str:
    if verdict.reason is Reason.EXHAUSTED:
        return "cases ran out" if verdict.cases_used == verdict.cases else "plan ended"
    return _STOPPED[verdict.outcome, verdict.reason]


def _used(
    verdict: Verdict, trials: Sequence[AnyTrial], calibration: Calibration
) -> Sequence[AnyTrial]:
    """Return the trials that the verdict rests on: of the first cases, or of the critical ones."""
    if verdict.critical_missed:
        return [trial for trial in trials if trial.case.critical]
    return trials[: verdict.cases_used * calibration.task.workflow.repeats]


def _role(candidate: Candidate, calibration: Calibration) -> str:
    decision = calibration.decision
    roles = {
        "route": candidate is decision.chosen and decision.escalation is None,
        "route, answers first": candidate is decision.chosen and decision.escalation is not None,
        "escalated to": decision.escalation is not None and candidate is decision.escalation.strong,
        "baseline": candidate is calibration.task.field.baseline,
        "long inputs": candidate is decision.over_context,
        "fallback": candidate in decision.fallbacks,
    }
    return ", ".join(role for role, holds in roles.items() if holds)


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _MOST_IDS
    return ", ".join(ids[:_MOST_IDS]) + (f" and {more:,} more" if more > 0 else "")


def _served(trials: Sequence[AnyTrial]) -> str:
    """Return the models that the endpoint said it served, the most frequent first."""
    names = Counter(trial.served_model for trial in trials if isinstance(trial, Trial))
    if len(names) < 2:
        return next(iter(names), "–")
    ranked = sorted(names.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} ({count:,})" for name, count in ranked)


def _failed_calls(trials: Sequence[AnyTrial]) -> str:
    if not trials:
        return "–"
    reasons = Counter(t.failure.reason.value for t in trials if isinstance(t, FailedTrial))
    if not reasons:
        return "0"
    if len(reasons) == 1:
        return f"{reasons.total():,} ({next(iter(reasons)).replace('_', ' ')})"
    parts = [f"{reason.replace('_', ' ')} {count:,}" for reason, count in sorted(reasons.items())]
    return f"{reasons.total():,} ({', '.join(parts)})"
