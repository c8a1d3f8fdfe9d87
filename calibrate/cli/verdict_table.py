"""The verdicts as a table in the terminal, each number beneath what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from calibrate.certificate import Cost, cost_of
from calibrate.cli.console import printable
from calibrate.decide import Calibration, EscalatedRoute
from calibrate.gate import Outcome, Reason, Verdict
from calibrate.words import money, p95, percent, seconds

__all__ = ["STYLES", "outcome_word", "shown_name", "verdict_table"]

STYLES = {Outcome.CERTIFIED: "green", Outcome.FAILED: "red", Outcome.UNDECIDED: "yellow"}
_WORDS = ("model", "tier", "verdict")


def verdict_table(calibration: Calibration) -> Table:
    """Return a row a candidate, and one for the cascade where that is the route.

    The first row has what each column is compared with: the bar, the baseline's cost, the target.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    measure = "passed" if calibration.task.workflow.bar.measure == "pass_rate" else "score"
    for title in ("model", "tier", measure, "bound", "$ per 1k", "p95", "verdict"):
        table.add_column(
            title,
            justify="left" if title in _WORDS else "right",
            no_wrap=title not in ("model", "tier"),
        )
    table.add_row(*_compared_with(calibration), style="dim")
    for cells in _rows(calibration):
        table.add_row(*cells)
    return table


def outcome_word(verdict: Verdict) -> str:
    """Return a verdict in a word or two."""
    return "not needed" if verdict.reason is Reason.NOT_ASKED else verdict.outcome.value


def shown_name(name: str) -> str:
    """Return a text as markup that shows it as it is, without what a terminal would obey."""
    return escape(printable(name))


def _compared_with(calibration: Calibration) -> list[str]:
    bar, baseline = calibration.task.workflow.bar, calibration.task.field.baseline
    (verdict,) = [v for v in calibration.verdicts if v.model == baseline.alias]
    target = bar.latency_p95_s
    return [
        "bar, baseline",
        "",
        f"≥ {percent(bar.least)}",
        f"> {percent(bar.floor)}",
        _money(cost_of(baseline, verdict)),
        "–" if target is None else f"≤ {seconds(target)}",
        "",
    ]


def _rows(calibration: Calibration) -> Iterator[list[str]]:
    decision = calibration.decision
    by_alias = {candidate.alias: candidate for candidate in calibration.task.field.candidates}
    if decision.escalation is not None:
        yield _cascade(decision.escalation)
    for verdict in calibration.verdicts:
        name = shown_name(verdict.model)
        is_route = verdict.model == decision.chosen.alias and decision.escalation is None
        yield [
            f"[bold]{name}[/]" if is_route else name,
            shown_name(verdict.tier),
            percent(verdict.estimate),
            percent(verdict.lower_bound),
            _money(cost_of(by_alias[verdict.model], verdict)),
            p95(verdict.latency_p95_s, verdict.cases_used),
            f"[{STYLES[verdict.outcome]}]{outcome_word(verdict)}[/]",
        ]


def _cascade(route: EscalatedRoute) -> list[str]:
    cheap, strong = shown_name(route.cheap.alias), shown_name(route.strong.alias)
    return [
        f"[bold]{cheap}, then {strong}[/]",
        shown_name(route.cheap.tier),
        percent(route.estimate),
        percent(route.lower_bound),
        money(1000 * route.cost_usd_per_request),
        p95(route.latency_p95_s, route.cases),
        f"[{STYLES[Outcome.CERTIFIED]}]{Outcome.CERTIFIED.value}[/]",
    ]


def _money(cost: Cost) -> str:
    return f"{'~' if cost.basis == 'estimated' else ''}{money(cost.usd_per_1k)}"
