"""A calibration as one glance in the terminal, and as the same facts in JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from calibrate.certificate import cost_of, fallback_evidence, rounded, route_cost, saving
from calibrate.cli.console import data_console, print_table
from calibrate.cli.verdict_table import STYLES, outcome_word, shown_name, verdict_table
from calibrate.client import Source
from calibrate.decide import Calibration, EscalatedRoute
from calibrate.gate import Reason, Verdict
from calibrate.projection import DAYS_A_MONTH
from calibrate.report.details import details
from calibrate.report.fallbacks import fallback_notes
from calibrate.words import cascade_notes, headline, saving_sentence, why

__all__ = ["calibration_json", "print_calibration"]


def print_calibration(calibration: Calibration) -> None:
    """Print what was found of each model, why, and the decision."""
    console = data_console()
    print_table(console, verdict_table(calibration))
    console.print()
    for verdict in calibration.verdicts:
        style = STYLES[verdict.outcome]
        console.print(
            f"{shown_name(verdict.model)} [{style}]{outcome_word(verdict)}[/]: "
            f"{shown_name(why(verdict, calibration).removeprefix('not needed: '))}"
        )
    for verdict in calibration.verdicts:
        if verdict.attempt > 1 and verdict.reason is not Reason.NOT_ASKED:
            console.print(
                f"{shown_name(verdict.model)}: attempt {verdict.attempt} at this bar, so its share "
                f"of the error is {verdict.alpha:.2g}"
            )
    for note in (*cascade_notes(calibration), *fallback_notes(calibration)):
        console.print(shown_name(note))
    if any(verdict.cost_usd_per_request is None for verdict in calibration.verdicts):
        console.print("~ estimated: never asked")
    for out in calibration.task.field.inapplicable:
        console.print(shown_name(f"{out.alias} is no candidate: {out.why}"))
    console.print(f"\n[bold]{shown_name(headline(calibration))}[/]")
    console.print(shown_name(saving_sentence(calibration)))


def calibration_json(calibration: Calibration) -> dict[str, Any]:
    """Return a workflow's part of `run --json`."""
    decision = calibration.decision
    by_alias = {candidate.alias: candidate for candidate in calibration.task.field.candidates}
    return {
        "workflow": calibration.task.name,
        "status": decision.status.value,
        "tier": decision.chosen.tier,
        "model": decision.chosen.alias,
        "headline": headline(calibration),
        "saving_in_words": saving_sentence(calibration),
        "bar": _bar(calibration),
        "money": _money(calibration),
        "escalation": _escalation(decision.escalation),
        "when_down": [asdict(found) for found in fallback_evidence(calibration)],
        "cascades": _cascades(calibration),
        "verdicts": [
            {
                "model": verdict.model,
                "tier": verdict.tier,
                "verdict": verdict.outcome.value,
                "reason": verdict.reason.value,
                "why": why(verdict, calibration),
                "test": verdict.test,
                "attempt": verdict.attempt,
                "alpha": rounded(verdict.alpha),
                "cases_used": verdict.cases_used,
                "cases": verdict.cases,
                "passed": verdict.passed,
                "failed_calls": verdict.failed_calls,
                "critical_missed": list(verdict.critical_missed),
                "estimate": _maybe(verdict.estimate),
                "lower_bound": _maybe(verdict.lower_bound),
                "upper_bound": _maybe(verdict.upper_bound),
                "of_baseline": _maybe(verdict.of_baseline),
                "cost_usd_per_1k_requests": cost_of(by_alias[verdict.model], verdict).usd_per_1k,
                "cost_basis": cost_of(by_alias[verdict.model], verdict).basis,
                "latency_p95_s": verdict.latency_p95_s,
                "cases_to_settle": verdict.cases_to_settle,
                "answers": _sources(verdict, calibration),
            }
            for verdict in calibration.verdicts
        ],
        "inapplicable": [
            {"model": out.alias, "tier": out.tier, "why": out.why}
            for out in calibration.task.field.inapplicable
        ],
        "details": details(calibration),
    }


def _bar(calibration: Calibration) -> dict[str, Any]:
    """Return what is demanded: `floor` is what was tested, the least less its tolerance."""
    bar = calibration.task.workflow.bar
    critical = sum(case.critical for case in calibration.task.cases)
    return {
        "measure": bar.measure,
        "least": bar.least,
        "tolerance": bar.tolerance,
        "floor": bar.floor,
        "of_baseline": bar.of_baseline,
        "confidence": bar.confidence,
        "critical_cases": None if bar.critical is None else critical,
        "slices": dict(bar.slices),
        "latency_p95_s": bar.latency_p95_s,
    }


def _money(calibration: Calibration) -> dict[str, Any]:
    """Return what the route costs beside the baseline, and both at the stated traffic."""
    task = calibration.task
    baseline = task.field.baseline
    (verdict,) = [v for v in calibration.verdicts if v.model == baseline.alias]
    cost, other = route_cost(calibration), cost_of(baseline, verdict)
    traffic = task.workflow.traffic
    month = None if traffic is None else traffic.requests_per_day * DAYS_A_MONTH / 1000
    return {
        "cost_usd_per_1k_requests": cost.usd_per_1k,
        "cost_basis": cost.basis,
        "baseline": baseline.alias,
        "baseline_cost_usd_per_1k_requests": other.usd_per_1k,
        "baseline_cost_basis": other.basis,
        "saving": saving(cost, other),
        "requests_per_day": None if traffic is None else traffic.requests_per_day,
        "usd_per_month": None if month is None else rounded(cost.usd_per_1k * month),
        "baseline_usd_per_month": None if month is None else rounded(other.usd_per_1k * month),
    }


def _escalation(route: EscalatedRoute | None) -> dict[str, Any] | None:
    if route is None:
        return None
    return {
        "signal": route.signal,
        "below": rounded(route.below),
        "to": route.strong.alias,
        "escalated": rounded(route.escalated),
        "break_even": rounded(route.break_even),
        "alpha": rounded(route.alpha),
        "cases": route.cases,
        "passed": route.passed,
        "failed_calls": route.failed_calls,
        "estimate": rounded(route.estimate),
        "lower_bound": _maybe(route.lower_bound),
        "cost_usd_per_1k_requests": rounded(1000 * route.cost_usd_per_request),
        "latency_p95_s": _maybe(route.latency_p95_s),
        "score": None if route.score is None else asdict(route.score),
        "fitted_cases": len(route.fitted_on) or None,
    }


def _cascades(calibration: Calibration) -> dict[str, Any] | None:
    found = calibration.cascades
    if found is None:
        return None
    return {
        "attempt": found.attempt,
        "cheapest": _escalation(found.route),
        "thresholds": found.thresholds,
        "tested": found.tested,
        "pairs": [asdict(pair) for pair in found.pairs],
        "signals": [asdict(signal) for signal in found.signals],
        "notes": cascade_notes(calibration),
    }


def _sources(verdict: Verdict, calibration: Calibration) -> dict[str, int]:
    """Return where the answers came from: all but those asked now are evidence used again."""
    trials = calibration.trials.get(verdict.model, ())
    counts = Counter(trial.source for trial in trials)
    return {source.value: counts[source] for source in Source}


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)
