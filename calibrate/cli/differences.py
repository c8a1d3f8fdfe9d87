"""A comparison of policies in the terminal, and as the same facts in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from calibrate.certificate import rounded
from calibrate.cli.console import print_table
from calibrate.comparison import (
    CasesCompared,
    Comparison,
    Kind,
    NotKnown,
    Row,
    WorkflowComparison,
    case_lists,
    cases_sentence,
    headline,
    inputs_sentence,
    notes,
    printable,
    rows,
    total_sentence,
    warnings,
)
from calibrate.policy import WorkflowPolicy
from calibrate.projection import DAYS_A_MONTH

__all__ = ["comparison_json", "print_comparison"]

MOST_CASES = 10  # that are named
_ALWAYS = ("lower bound", "bar")  # each says little without the other


def print_comparison(found: Comparison, console: Console) -> None:
    """Print what is different, workflow by workflow."""
    _say(console, headline(found))
    lost = warnings(found)
    if lost:
        _say(console, f"No longer certified: {', '.join(map(printable, lost))}.")
    total = total_sentence(found)
    if total is not None:
        _say(console, total)
    if found.default is not None:
        old, new = (printable(name or "none") for name in (found.default.old, found.default.new))
        _say(console, f"Unknown names are served as: {old} before, {new} now.")
    for workflow in found.changed:
        console.print()
        console.print(Text(printable(workflow.workflow), "bold").append(f": {workflow.kind.value}"))
        print_table(console, _table(workflow))
        for line in _lines(workflow):
            _say(console, f"  {line}")


def _say(console: Console, text: str) -> None:
    console.print(Text(text))  # and no markup, nor a name of an emoji


def _table(workflow: WorkflowComparison) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 2), pad_edge=True, header_style="dim")
    for title in ("", "before", "now", ""):
        table.add_column(title, overflow="fold")
    for row in rows(workflow):
        is_other = row.old != row.new
        if workflow.kind is Kind.EVIDENCE and not is_other and row.label not in _ALWAYS:
            continue
        cells = (_label(row), printable(row.old), printable(row.new), row.effect)
        table.add_row(*map(Text, cells), style="bold" if is_other else "")
    return table


def _label(row: Row) -> str:
    return row.label if row.model is None else f"{printable(row.model)}: {row.label}"


def _lines(workflow: WorkflowComparison) -> Iterator[str]:
    inputs = inputs_sentence(workflow)
    if inputs is not None:
        yield inputs
    yield from notes(workflow)
    cases = workflow.cases
    if isinstance(cases, NotKnown):
        yield f"Newly failing: not known: {printable(cases.why)}"
    if isinstance(cases, CasesCompared):
        yield cases_sentence(cases)
        for title, ids in case_lists(cases):
            more = len(ids) - MOST_CASES
            named = ", ".join(map(printable, ids[:MOST_CASES]))
            yield f"{title}: {named}{f' and {more:,} more' if more > 0 else ''}"


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Return the same facts as values; amounts in US dollars, shares from 0 to 1."""
    return {
        "same_routes": found.same_routes,
        "days_a_month": DAYS_A_MONTH,
        "default": None if found.default is None else _pair(found.default.old, found.default.new),
        "no_longer_certified": warnings(found),
        "workflows": [_workflow_json(workflow) for workflow in found.workflows],
        "usd_per_day": None if found.usd_per_day is None else _usd(*found.usd_per_day, 1),
        "usd_per_month": (
            None if found.usd_per_day is None else _usd(*found.usd_per_day, DAYS_A_MONTH)
        ),
    }


def _workflow_json(found: WorkflowComparison) -> dict[str, Any]:
    has_traffic = found.requests_per_day is not None
    return {
        "workflow": found.workflow,
        "kind": found.kind.value,
        "old": _entry_json(found.old),
        "new": _entry_json(found.new),
        "moves": [asdict(move) for move in found.moves],
        "inputs_changed": list(found.inputs),
        "requests_per_day": found.requests_per_day,
        "usd_per_day": _usd(*found.usd_per_day, 1) if has_traffic else None,
        "usd_per_month": _usd(*found.usd_per_day, DAYS_A_MONTH) if has_traffic else None,
        "cases": asdict(found.cases) if isinstance(found.cases, CasesCompared) else None,
        "cases_not_known": found.cases.why if isinstance(found.cases, NotKnown) else None,
    }


def _entry_json(entry: WorkflowPolicy | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    evidence = entry.evidence
    return {
        "status": entry.status,
        "model": entry.model,
        "tier": entry.tier,
        "estimate": evidence.estimate,
        "lower_bound": evidence.lower_bound,
        "floor": evidence.floor,
        "cases_used": evidence.cases_used,
        "cases": evidence.cases,
        "cost_usd_per_1k_requests": evidence.cost_usd_per_1k_requests,
        "cost_basis": evidence.cost_basis,
        "latency_p95_s": evidence.latency_p95_s,
    }


def _usd(old: float | None, new: float | None, days: int) -> dict[str, float | None]:
    return _pair(*(None if usd is None else rounded(usd * days) for usd in (old, new)))


def _pair(old: Any, new: Any) -> dict[str, Any]:
    return {"old": old, "new": new}
