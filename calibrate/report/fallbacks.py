"""What a route gives while a model of it is down: as a table, and as sentences for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrate.certificate import fallback_evidence
from calibrate.config import Bar
from calibrate.decide import Calibration
from calibrate.policy import FallbackEvidence
from calibrate.report.badges import Badge
from calibrate.task import Task
from calibrate.words import money, p95, percent, seconds

__all__ = ["FallbackRow", "fallback_notes", "fallback_rows"]

_BADGES = {
    "certified": Badge("good", "certified"),
    "undecided": Badge("open", "not certified"),
    "missed": Badge("bad", "misses"),
    "not_measured": Badge("open", "not measured"),
}


@dataclass(frozen=True, slots=True)
class FallbackRow:
    """One fallback: who is down, who answers, and how well."""

    down: tuple[str, ...]
    answers: str
    badge: Badge
    why: str  # what it misses, or how to measure it; empty where nothing is to be said
    cases: str
    estimate: str
    lower: str
    cost: str
    cost_basis: str
    latency: str


def fallback_rows(evidence: Sequence[FallbackEvidence], task: Task) -> tuple[FallbackRow, ...]:
    """Return a row a fallback, in the order of the chain."""
    return tuple(_row(found, task) for found in evidence)


def fallback_notes(calibration: Calibration) -> list[str]:
    """Return a sentence a fallback that misses the bar, and one for all that are not measured."""
    found, bar = fallback_evidence(calibration), calibration.task.workflow.bar
    notes = [_note(one, bar) for one in found if one.meets_bar == "missed"]
    unmeasured = [one.model for one in found if one.meets_bar == "not_measured"]
    if unmeasured:
        how = _how_to_measure(calibration.task)
        notes.append(f"fallbacks not measured on these cases: {', '.join(unmeasured)}; {how}")
    return notes


def _row(found: FallbackEvidence, task: Task) -> FallbackRow:
    why = [_missed(found, task.workflow.bar)] if found.misses else []
    if found.meets_bar == "not_measured":
        why.append(_how_to_measure(task))
    if found.failed_calls:
        why.append(f"{found.failed_calls:,} of its calls failed")
    return FallbackRow(
        down=found.down,
        answers=found.model,
        badge=_BADGES[found.meets_bar],
        why="; ".join(why),
        cases=f"{found.cases:,}" if found.cases else "–",
        estimate=percent(found.estimate),
        lower=percent(found.lower_bound),
        cost=money(found.cost_usd_per_1k_requests),
        cost_basis=found.cost_basis,
        latency=p95(found.latency_p95_s, found.cases),
    )


def _note(found: FallbackEvidence, bar: Bar) -> str:
    verb = "is" if len(found.down) == 1 else "are"
    return (
        f"if {' and '.join(found.down)} {verb} down: {found.model}, {percent(found.estimate)} of "
        f"{found.cases:,} cases, misses {_missed(found, bar)}"
    )


def _missed(found: FallbackEvidence, bar: Bar) -> str:
    words = {
        "quality": f"the bar of {percent(bar.floor)}",
        "slice": "the bar of a slice",
        "baseline": f"{percent(bar.of_baseline)} of the baseline's quality",
        "critical": "critical cases",
        "latency": f"the p95 of {seconds(bar.latency_p95_s)}",
    }
    return ", ".join(words[part] for part in found.misses)


def _how_to_measure(task: Task) -> str:
    return f"`calibrate run {task.name} --cases all` asks them"
