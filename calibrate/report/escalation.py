"""Cheap first, and on to a dearer model where the signal is low: what that would give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from calibrate.decide import (
    Calibration,
    CascadePair,
    Cascades,
    EscalatedRoute,
    SignalFinding,
)
from calibrate.report.chart import Chart
from calibrate.report.curve import caption_of, curve_charts, shown_pair
from calibrate.report.excerpt import unbroken
from calibrate.words import is_split, money, needless_cascades, percent, seconds, why_no_cascade

__all__ = ["MOST_PAIRS", "Escalation", "PairRow", "SignalRow", "escalation_of"]

MOST_PAIRS = 12


@dataclass(frozen=True, slots=True)
class SignalRow:
    """What one model's signal is worth."""

    model: str
    signal: str
    known: str
    auroc: str
    interval: str
    worth: str
    over_confidence: str


@dataclass(frozen=True, slots=True)
class PairRow:
    """What one pair gave at its best threshold, and how many of its thresholds are certified."""

    cheap: str
    strong: str
    certified: str  # thresholds, of how many
    tested: str
    best: str  # where the threshold lies
    escalated: str
    estimate: str
    passed: str  # empty for graded scores and groups
    lower: str
    cost: str
    needed: str  # cases in all that would certify it


@dataclass(frozen=True, slots=True)
class Escalation:
    """What was found of cascades: the certified one, the curve of a pair, pairs and signals."""

    words: tuple[str, ...]  # sentences
    facts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    caption: str
    pairs: tuple[PairRow, ...]
    pairs_note: str
    signals: tuple[SignalRow, ...]


def escalation_of(calibration: Calibration) -> Escalation | None:
    """Return what a page says of cascades; None where the bar did not ask, or nothing is known."""
    found = calibration.cascades
    if found is None:
        needless = needless_cascades(calibration)
        return Escalation((_sentence(needless),), (), (), "", (), "", ()) if needless else None
    shown = shown_pair(found)
    return Escalation(
        words=tuple(map(unbroken, _words(calibration, found))),
        facts=() if found.route is None else tuple(_facts(found.route, calibration)),
        charts=() if shown is None else tuple(curve_charts(calibration, shown)),
        caption="" if shown is None else caption_of(shown),
        pairs=tuple(map(_pair_row, found.pairs[:MOST_PAIRS])),
        pairs_note=unbroken(_pairs_note(found, calibration)),
        signals=tuple(map(_signal, found.signals)),
    )


def _words(calibration: Calibration, found: Cascades) -> Iterator[str]:
    route = found.route
    if route is None:
        for note in why_no_cascade(found, calibration.task.workflow.bar):
            yield _sentence(note)
        return
    first = "is asked, but where the request's" if is_split(route) else "answers first; where its"
    yield (
        f"{route.cheap.alias} {first} {route.signal} is below {route.below:.4g}, "
        f"{route.strong.alias} answers. This one threshold is certified: {found.thresholds:,} "
        f"thresholds of all pairs were looked at, {found.tested:,} tested."
    )
    if route.fitted_on:
        yield (
            f"The weights of {route.signal} were fitted on {len(route.fitted_on):,} cases; every "
            f"figure here is of the {route.cases:,} others."
        )
    if calibration.decision.escalation is None:
        yield "A certified model costs less, so the cascade is not the route."


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def _facts(route: EscalatedRoute, calibration: Calibration) -> list[tuple[str, str]]:
    floor = percent(calibration.task.workflow.bar.floor)
    passed = "" if route.passed is None else f", {route.passed:,} of {route.cases:,} passed"
    bound = "" if route.lower_bound is None else f", lower bound {percent(route.lower_bound)}"
    return [
        (
            "Quality",
            f"{percent(route.estimate)}{passed}{bound} at α = {route.alpha:.3g}, bar {floor}",
        ),
        ("Escalated", f"{percent(route.escalated)} of requests"),
        ("Cost", f"{money(1000 * route.cost_usd_per_request)} per 1,000 requests"),
        (
            "Break-even",
            f"at {percent(route.break_even)} escalated it would cost as much as "
            f"{route.strong.alias} alone",
        ),
        ("Latency, p95", seconds(route.latency_p95_s)),
        ("Failed calls", f"{route.failed_calls:,}"),
    ]


def _signal(finding: SignalFinding) -> SignalRow:
    low, high = finding.auroc_low, finding.auroc_high
    return SignalRow(
        model=finding.model,
        signal=_name(finding),
        known=percent(finding.known, 0),
        auroc="–" if finding.auroc is None else f"{finding.auroc:.2f}",
        interval="–" if low is None or high is None else f"{low:.2f} to {high:.2f}",
        worth=finding.worth,
        over_confidence=(
            "–"
            if finding.over_confidence is None
            else f"{100 * finding.over_confidence:+.0f} points"
        ),
    )


def _name(finding: SignalFinding) -> str:
    if finding.shortage is not None:
        return f"{finding.signal}, {finding.shortage}"
    if finding.fitted_cases is not None:
        return f"{finding.signal}, fitted on {finding.fitted_cases:,} other cases"
    return finding.signal or "none"


def _pair_row(pair: CascadePair) -> PairRow:
    best = pair.best
    return PairRow(
        cheap=pair.cheap,
        strong=pair.strong,
        certified=f"{pair.certified:,} of {pair.thresholds:,}",
        tested=f"{pair.tested:,} tested",
        best=f"{pair.signal} below {best.below:.4g}",
        escalated=percent(best.escalated),
        estimate=percent(best.estimate),
        passed="" if best.passed is None else f"{best.passed:,}/{best.cases:,}",
        lower=percent(best.lower_bound),
        cost=money(1000 * best.cost_usd_per_request),
        needed="–" if best.cases_to_settle is None else f"{best.cases_to_settle:,}",
    )


def _pairs_note(found: Cascades, calibration: Calibration) -> str:
    shown = f"The first {MOST_PAIRS} of {len(found.pairs):,} pairs, "
    return (
        f"{shown if len(found.pairs) > MOST_PAIRS else 'Each pair of models '}at the threshold "
        "that did best on these cases, which flatters it: it is chosen in hindsight. Thresholds "
        "are tested from the one at which nearly everything escalates downward, once the dearer "
        f"model alone is certified. The bar is {percent(calibration.task.workflow.bar.floor)}; "
        "bounds are one-sided, at the whole share of the error that cascades have."
    )
