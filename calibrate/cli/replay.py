"""`calibrate replay`: decide from a table of outcomes that already exist. Asks nothing."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrate.certificate import rounded
from calibrate.cli.console import data_console
from calibrate.cli.options import add_json, case_count, print_json
from calibrate.decide import Status
from calibrate.errors import UsageError
from calibrate.gate import Outcome
from calibrate.outcomes import load_outcomes
from calibrate.replay import BEST, RULE, ReplayBar, Replayed, ReplayVerdict, replay_all
from calibrate.words import money, percent

DESCRIPTION = "Decide from a table of outcomes that already exist. Asks nothing."
EXAMPLE = "calibrate replay outcomes.csv --of-baseline 0.95"

SHOWN_TASKS = 40
_REJECTED = (
    *("model", "verdict", "reason", "cases_used", "estimate", "lower_bound", "upper_bound"),
)
_STYLES = {Outcome.CERTIFIED: "green", Outcome.FAILED: "red", Outcome.UNDECIDED: "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "table",
        metavar="TABLE",
        type=Path,
        help="CSV or Parquet: item_id, task, model, score; where known cost_usd and group",
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
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    if arguments.pass_rate is None and arguments.of_baseline is None:
        raise UsageError("give the bar: --pass-rate P, --of-baseline R, or both")
    bar = ReplayBar(
        arguments.pass_rate, arguments.of_baseline, arguments.baseline, arguments.confidence
    )
    cases = arguments.cases if isinstance(arguments.cases, int) else None
    done = replay_all(load_outcomes(arguments.table), bar, cases=cases, seed=arguments.seed)
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
        "route": {"model": found.route.model, "escalation": None},
        "baseline": found.baseline.model,
        "evidence": _evidence_json(found),
        "verdicts": [_verdict_json(found, verdict) for verdict in found.verdicts],
        "cost_usd_per_item": _maybe(found.route.cost_usd_per_item),
        "baseline_cost_usd_per_item": _maybe(found.baseline.cost_usd_per_item),
        "relative_cost": _maybe(found.relative_cost),
    }


def _evidence_json(found: Replayed) -> dict[str, Any]:
    route, relative = found.route, found.relative_cost
    return {
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
        "latency_p95_s": None,
        "signature": _signature(found),
        "rejected": [
            {key: row[key] for key in _REJECTED}
            for row in map(partial(_verdict_json, found), found.verdicts)
            if row["model"] != route.model
        ],
        "cases_to_settle": route.cases_to_settle,
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
    parts = {
        "model": found.route.model,
        "n": found.cases,
        "bar": ",".join(f"{key}={value}" for key, value in bar.items()),
        "alpha": f"{found.bar.alpha:g}/{len(found.verdicts)}",
        "test": f"{found.test}-{RULE}",
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
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "score", "bound ≥", "p", "$ per 1k", "verdict"):
        table.add_column(title, justify="left" if title in ("model", "verdict") else "right")
    for verdict in found.verdicts:
        cost, name = _per_1k(verdict), escape(verdict.model)
        table.add_row(
            f"[bold]{name}[/]" if verdict is found.route else name,
            percent(verdict.estimate),
            percent(verdict.lower_bound),
            f"{verdict.adjusted_p_value:.2g}",
            "–" if cost is None else money(cost),
            f"[{_STYLES[verdict.outcome]}]{verdict.outcome}[/]",
        )
    console.print(table)
    print(f"{_decision(found)}\n")


def _bar_words(found: Replayed) -> str:
    bar = found.bar
    parts = [] if bar.pass_rate is None else [percent(bar.pass_rate)]
    if bar.of_baseline is not None:
        whose = "the best model" if bar.baseline == BEST else bar.baseline
        parts.append(f"{percent(bar.of_baseline)} of {whose}")
    return "bar " + " and ".join(parts)


def _decision(found: Replayed) -> str:
    """Return the decision in one line, and what it costs where that is known."""
    words = {
        Status.CERTIFIED: f"goes to {found.route.model}: certified",
        Status.UNCERTIFIED: f"nothing is certified; keep {found.route.model}",
        Status.UNMET: f"no model meets the bar; {found.route.model} comes nearest",
    }[found.status]
    relative = found.relative_cost
    if relative is not None:
        words += f"; {percent(relative)} of the cost of {found.baseline.model}"
    elif found.route.cost_usd_per_item is None:
        words += "; no costs: the first name stands for the cheapest"
    return words
