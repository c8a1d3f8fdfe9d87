"""`calibrate replay`: decide from a table of outcomes that already exist. Asks nothing."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrate.cascade import SignalQuality
from calibrate.certificate import rounded
from calibrate.cli.console import data_console
from calibrate.cli.options import add_json, case_count, print_json
from calibrate.decide import Status
from calibrate.errors import UsageError
from calibrate.gate import Outcome
from calibrate.outcomes import load_outcomes
from calibrate.replay import (
    BEST,
    RULE,
    SIGNAL,
    Cascading,
    ReplayBar,
    Replayed,
    ReplayVerdict,
    replay_all,
)
from calibrate.words import money, percent

DESCRIPTION = "Decide from a table of outcomes that already exist. Asks nothing."
EXAMPLE = "calibrate replay outcomes.csv --of-baseline 0.95"

SHOWN_TASKS = 40
_REJECTED = (
    *("model", "verdict", "reason", "cases_used", "estimate", "lower_bound", "upper_bound"),
)
_LEFT = ("model", "verdict", SIGNAL)
_STYLES = {Outcome.CERTIFIED: "green", Outcome.FAILED: "red", Outcome.UNDECIDED: "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "table",
        metavar="TABLE",
        type=Path,
        help="CSV or Parquet: item_id, task, model, score; where known cost_usd and group, and "
        "for cascades confidence and latency_s",
    )
    parser.add_argument(
        "--pass-rate", metavar="P", type=_rate, help="the least mean score that is acceptable"
    )
    parser.add_argument(
        "--of-baseline", metavar="R", type=_rate, help="the least share of the baseline's score"
    )
    parser.add_argument(
        "--baseline",
        metavar="best|MODEL",
        default=BEST,
        help="what one would pay for without routing; best: whichever it is (default)",
    )
    parser.add_argument(
        "--confidence",
        metavar="C",
        type=_confidence,
        default=0.95,
        help="1 - the chance of certifying a route that misses the bar (default: 0.95)",
    )
    parser.add_argument(
        "--cases", metavar="N|all", type=case_count, help="only the first N of the seeded order"
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--cascades",
        action="store_true",
        help="also a cheap model first, and a dearer one where its confidence is low",
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    if arguments.pass_rate is None and arguments.of_baseline is None:
        raise UsageError("give the bar: --pass-rate P, --of-baseline R, or both")
    bar = ReplayBar(
        arguments.pass_rate, arguments.of_baseline, arguments.baseline, arguments.confidence
    )
    cases = arguments.cases if isinstance(arguments.cases, int) else None
    tasks = load_outcomes(arguments.table, with_signals=arguments.cascades)
    done = replay_all(tasks, bar, cases=cases, seed=arguments.seed, cascades=arguments.cascades)
    if arguments.json:
        print_json({"tasks": [_as_json(found) for found in done]})
    else:
        _print(done)
    return 1 if any(found.status is Status.UNMET for found in done) else 0


def _rate(text: str) -> float:
    return _number(text, 0.0)


def _confidence(text: str) -> float:
    return _number(text, 0.5)


def _number(text: str, low: float) -> float:
    """Parse a number between `low` and 1, both excluded; for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between {low:g} and 1")
    return value


def _bar_json(bar: ReplayBar) -> dict[str, Any]:
    parts = {"pass_rate": bar.pass_rate, "of_baseline": bar.of_baseline}
    given = {key: value for key, value in parts.items() if value is not None}
    return {**given, "baseline": bar.baseline, "confidence": bar.confidence}


def _as_json(found: Replayed) -> dict[str, Any]:
    return {
        "task": found.task,
        "status": found.status.value,
        "model": found.route.model,
        "route": {"model": found.route.model, "escalation": _escalation_json(found)},
        "baseline": found.baseline.model,
        "evidence": _evidence_json(found),
        "verdicts": [_verdict_json(found, verdict) for verdict in found.verdicts],
        "cost_usd_per_item": _maybe(found.route.cost_usd_per_item),
        "baseline_cost_usd_per_item": _maybe(found.baseline.cost_usd_per_item),
        "relative_cost": _maybe(found.relative_cost),
    }


def _escalation_json(found: Replayed) -> dict[str, Any] | None:
    route = found.escalation
    if route is None:
        return None
    return {"signal": SIGNAL, "below": rounded(route.below), "to": route.to}


def _evidence_json(found: Replayed) -> dict[str, Any]:
    route, relative, escalation = found.route, found.relative_cost, found.escalation
    evidence = {
        "bar": _bar_json(found.bar),
        "rule": RULE,
        "test": found.test,
        "floor": found.bar.pass_rate,
        "candidates": len(found.verdicts),
        "alpha_spent": found.bar.alpha,
        "adjusted_p_value": rounded(route.adjusted_p_value),
        "cases_used": found.cases,
        "cases": found.cases,
        "clusters": found.clusters,
        "items_left_out": found.left_out,
        "order": "name" if route.cost_usd_per_item is None else "cost",
        "passed": route.passed,
        "failed_calls": 0,
        "estimate": rounded(route.estimate),
        "lower_bound": _maybe(route.lower_bound),
        "cost_usd_per_1k_requests": _per_1k(route),
        "cost_basis": _basis(route),
        "baseline": found.baseline.model,
        "baseline_cost_usd_per_1k_requests": _per_1k(found.baseline),
        "baseline_cost_basis": _basis(found.baseline),
        "saving": None if relative is None else rounded(1 - relative),
        "latency_p95_s": None if escalation is None else _maybe(escalation.latency_p95_s),
        "signature": _signature(found),
        "rejected": [
            {key: row[key] for key in _REJECTED}
            for row in map(partial(_verdict_json, found), found.verdicts)
            if escalation or row["model"] != route.model
        ],
        "cases_to_settle": route.cases_to_settle,
    }
    if found.cascading is not None:
        evidence["cascades"] = _cascades_json(found, found.cascading)
    return evidence


def _cascades_json(found: Replayed, cascading: Cascading) -> dict[str, Any]:
    escalation = cascading.escalation
    return {
        "sentence": _cascade_sentence(found, cascading),
        "escalation_rate": None if escalation is None else rounded(escalation.share),
        "break_even_rate": None if escalation is None else rounded(escalation.break_even),
        "grid": None if escalation is None else [rounded(below) for below in escalation.grid],
        "thresholds": cascading.thresholds,
        "tested": cascading.tested,
        "lacking": cascading.lacking,
        "signals": [
            _signal_json(verdict.model, signal)
            for verdict, signal in zip(found.verdicts, cascading.signals, strict=True)
            if signal is not None
        ],
    }


def _signal_json(model: str, signal: SignalQuality) -> dict[str, Any]:
    area = signal.auroc
    return {
        "model": model,
        "signal": SIGNAL,
        "known": rounded(signal.known),
        "worth": signal.worth,
        "auroc": None if area is None else rounded(area.estimate),
        "auroc_low": None if area is None else rounded(area.low),
        "auroc_high": None if area is None else rounded(area.high),
        "auroc_confidence": None if area is None else area.confidence,
        "over_confidence": _maybe(signal.over_confidence),
    }


def _verdict_json(found: Replayed, verdict: ReplayVerdict) -> dict[str, Any]:
    return {
        "model": verdict.model,
        "tier": None,
        "verdict": verdict.outcome.value,
        "reason": verdict.reason.value,
        "adjusted_p_value": rounded(verdict.adjusted_p_value),
        "cases_used": found.cases,
        "cases": found.cases,
        "passed": verdict.passed,
        "failed_calls": 0,
        "critical_missed": [],
        "estimate": rounded(verdict.estimate),
        "lower_bound": _maybe(verdict.lower_bound),
        "upper_bound": _maybe(verdict.upper_bound),
        "cost_usd_per_1k_requests": _per_1k(verdict),
        "cost_basis": _basis(verdict),
        "latency_p95_s": None,
        "cases_to_settle": verdict.cases_to_settle,
    }


def _signature(found: Replayed) -> str:
    """Return the one line that names what the decision rests on, to be pasted."""
    bar = {key: value for key, value in _bar_json(found.bar).items() if key != "confidence"}
    route, escalation = found.route.model, found.escalation
    if escalation is not None:
        route += f",{SIGNAL}<{rounded(escalation.below)},{escalation.to}"
    parts = {
        "model": route,
        "n": found.cases,
        "bar": ",".join(f"{key}={value}" for key, value in bar.items()),
        "alpha": f"{found.bar.alpha:g}/{len(found.verdicts)}",
        "test": f"{found.test}-{RULE}" + ("" if found.cascading is None else "-cascades"),
    }
    return "|".join([found.task, *(f"{key}:{value}" for key, value in parts.items())])


def _basis(verdict: ReplayVerdict) -> str | None:
    return None if verdict.cost_usd_per_item is None else "measured"


def _per_1k(verdict: ReplayVerdict) -> float | None:
    cost = verdict.cost_usd_per_item
    return None if cost is None else rounded(cost * 1000)


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def _print(done: Sequence[Replayed]) -> None:
    console = data_console()
    for found in done[:SHOWN_TASKS]:
        _print_task(console, found)
    counts = [f"{sum(f.status is status for f in done)} {status.value}" for status in Status]
    hidden = len(done) - SHOWN_TASKS
    more = f"; the first {SHOWN_TASKS} are shown, --json has all" if hidden > 0 else ""
    print(f"{len(done):,} task{'s' if len(done) > 1 else ''}: {', '.join(counts)}{more}")


def _print_task(console: Console, found: Replayed) -> None:
    notes = [f"{found.cases:,} items", _bar_words(found)]
    if found.clusters is not None:
        notes.append(f"{found.clusters:,} independent groups")
    if found.left_out:
        notes.append(f"{found.left_out:,} left out that some model lacks")
    console.print(f"[bold]{escape(found.task)}[/]: {escape(', '.join(notes))}")
    console.print(_table(found))
    if found.cascading is not None:
        print(_cascade_sentence(found, found.cascading))
    print(f"{_decision(found)}\n")


def _table(found: Replayed) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ["model", "score", "bound ≥", "p", "$ per 1k", "verdict"]
    for title in titles if found.cascading is None else [*titles, SIGNAL]:
        justify: Literal["left", "right"] = "left" if title in _LEFT else "right"
        table.add_column(title, justify=justify)
    chosen = {found.route.model, found.escalation.to if found.escalation else found.route.model}
    signals = found.cascading.signals if found.cascading else (None,) * len(found.verdicts)
    for verdict, signal in zip(found.verdicts, signals, strict=True):
        cost, name = _per_1k(verdict), escape(verdict.model)
        row = [
            f"[bold]{name}[/]" if verdict.model in chosen else name,
            percent(verdict.estimate),
            percent(verdict.lower_bound),
            f"{verdict.adjusted_p_value:.2g}",
            "–" if cost is None else money(cost),
            f"[{_STYLES[verdict.outcome]}]{verdict.outcome}[/]",
        ]
        table.add_row(*row if found.cascading is None else [*row, _signal_words(signal)])
    return table


def _signal_words(signal: SignalQuality | None) -> str:
    if signal is None:
        return "none"
    if signal.auroc is None:
        return signal.worth
    area = signal.auroc
    return f"{signal.worth}, AUROC {area.estimate:.2f} ({area.low:.2f} to {area.high:.2f})"


def _cascade_sentence(found: Replayed, cascading: Cascading) -> str:
    """Return what came of the cascades: what the chosen one saves, or why there is none."""
    escalation = cascading.escalation
    if escalation is not None:
        whole = next(v for v in found.verdicts if v.model == escalation.to).cost_usd_per_item or 1.0
        saved = 1 - (found.route.cost_usd_per_item or 0.0) / whole
        return (
            f"escalates {percent(escalation.share)} of requests: {percent(saved)} cheaper than "
            f"sending all to {escalation.to}; breaks even at {percent(escalation.break_even)}"
        )
    if cascading.lacking is not None:
        column = {"costs": "cost_usd", "signals": SIGNAL}[cascading.lacking]
        return f"no cascades: the table has no `{column}` for this task"
    if not cascading.thresholds:
        return f"no cascades: no model's `{SIGNAL}` parts the items"
    return "no cascade is certified that costs less"


def _bar_words(found: Replayed) -> str:
    bar = found.bar
    parts = [] if bar.pass_rate is None else [percent(bar.pass_rate)]
    if bar.of_baseline is not None:
        whose = "the best model" if bar.baseline == BEST else bar.baseline
        parts.append(f"{percent(bar.of_baseline)} of {whose}")
    return "bar " + " and ".join(parts)


def _decision(found: Replayed) -> str:
    """Return the decision in one line, and what it costs where that is known."""
    route = found.route.model
    if found.escalation is not None:
        route += f", with {SIGNAL} below {found.escalation.below:g} to {found.escalation.to}"
    is_dearer = any(verdict.outcome is Outcome.CERTIFIED for verdict in found.verdicts)
    nothing = "what is certified costs more" if is_dearer else "nothing is certified"
    words = {
        Status.CERTIFIED: f"goes to {route}: certified",
        Status.UNCERTIFIED: f"{nothing}; keep {found.route.model}",
        Status.UNMET: f"no model meets the bar; {found.route.model} comes nearest",
    }[found.status]
    relative = found.relative_cost
    if relative is not None:
        words += f"; {percent(relative)} of the cost of {found.baseline.model}"
    elif found.route.cost_usd_per_item is None:
        words += "; no costs: the first name stands for the cheapest"
    return words
