"""What `calibrate replay` prints of the tasks: their tables and their decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrate.cascade.curves import SignalQuality
from calibrate.cli.console import data_console, print_table
from calibrate.decide import Status
from calibrate.gate import Outcome
from calibrate.replay import BEST, SIGNAL, Cascading, Replayed
from calibrate.words import money, percent

__all__ = ["cascade_sentence", "print_replayed"]

SHOWN_TASKS = 40
_LEFT = ("model", "verdict", SIGNAL)
_STYLES = {Outcome.CERTIFIED: "green", Outcome.FAILED: "red", Outcome.UNDECIDED: "yellow"}


def print_replayed(done: Sequence[Replayed]) -> None:
    """Print a table and a decision for each task, up to a screenful of tasks."""
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
    print_table(console, _table(found))
    if found.cascading is not None:
        print(cascade_sentence(found, found.cascading))
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
        cost, name = verdict.cost_usd_per_1k_requests, escape(verdict.model)
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


def cascade_sentence(found: Replayed, cascading: Cascading) -> str:
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
        threshold = f"{SIGNAL} below {found.escalation.below:g} on the table's own scale"
        route += f", with {threshold} to {found.escalation.to}"
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
