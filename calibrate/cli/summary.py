"""A calibration as one glance in the terminal, and as the same facts in JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from calibrate.certificate import cost_of, rounded
from calibrate.cli.console import data_console
from calibrate.client import Source
from calibrate.decide import Calibration, EscalatedRoute
from calibrate.gate import Outcome, Reason, Verdict
from calibrate.words import cascade_notes, headline, money, p95, percent, saving_sentence, why

__all__ = ["calibration_json", "print_calibration"]

_STYLES = {Outcome.CERTIFIED: "green", Outcome.FAILED: "red", Outcome.UNDECIDED: "yellow"}


def print_calibration(calibration: Calibration) -> None:
    """Print what was found of each model, why, and the decision."""
    console = data_console()
    console.print(_table(calibration))
    console.print()
    for verdict in calibration.verdicts:
        style = _STYLES[verdict.outcome]
        console.print(
            f"{escape(verdict.model)} [{style}]{_word(verdict)}[/]: "
            f"{escape(why(verdict, calibration).removeprefix('not needed: '))}"
        )
    for verdict in calibration.verdicts:
        if verdict.attempt > 1 and verdict.reason is not Reason.NOT_ASKED:
            console.print(
                f"{escape(verdict.model)}: attempt {verdict.attempt} at this bar, so its share of "
                f"the error is {verdict.alpha:.2g}"
            )
    for note in cascade_notes(calibration):
        console.print(escape(note))
    if any(verdict.cost_usd_per_request is None for verdict in calibration.verdicts):
        console.print("~ estimated: never asked")
    for out in calibration.task.field.inapplicable:
        console.print(escape(f"{out.alias} is no candidate: {out.why}"))
    console.print(f"\n[bold]{escape(headline(calibration))}[/]")
    console.print(escape(saving_sentence(calibration)))


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
        "escalation": _escalation(decision.escalation),
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
        "cases": route.cases,
        "passed": route.passed,
        "estimate": rounded(route.estimate),
        "lower_bound": _maybe(route.lower_bound),
        "cost_usd_per_1k_requests": rounded(1000 * route.cost_usd_per_request),
        "latency_p95_s": _maybe(route.latency_p95_s),
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
        "signals": [asdict(signal) for signal in found.signals],
        "notes": cascade_notes(calibration),
    }


def _sources(verdict: Verdict, calibration: Calibration) -> dict[str, int]:
    """Return where the answers came from: all but those asked now are evidence used again."""
    trials = calibration.trials.get(verdict.model, ())
    counts = Counter(trial.source for trial in trials)
    return {source.value: counts[source] for source in Source}


def _table(calibration: Calibration) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "tier", "passed", "bound ≥", "$ per 1k", "p95", "verdict"):
        words = title in ("model", "tier", "verdict")
        table.add_column(title, justify="left" if words else "right", no_wrap=not words)
    by_alias = {candidate.alias: candidate for candidate in calibration.task.field.candidates}
    for verdict in calibration.verdicts:
        cost = cost_of(by_alias[verdict.model], verdict)
        chosen = verdict.model == calibration.decision.chosen.alias
        table.add_row(
            f"[bold]{escape(verdict.model)}[/]" if chosen else escape(verdict.model),
            escape(verdict.tier),
            percent(verdict.estimate),
            percent(verdict.lower_bound),
            f"{'~' if cost.basis == 'estimated' else ''}{money(cost.usd_per_1k)}",
            p95(verdict.latency_p95_s, verdict.cases_used),
            f"[{_STYLES[verdict.outcome]}]{_word(verdict)}[/]",
        )
    return table


def _word(verdict: Verdict) -> str:
    return "not needed" if verdict.reason is Reason.NOT_ASKED else verdict.outcome.value


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)
