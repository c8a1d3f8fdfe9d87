"""A projection as a table in the terminal or in Markdown, and as the same facts in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrate.certificate import rounded
from calibrate.cli.console import print_table, printable
from calibrate.projection import (
    DAYS_A_MONTH,
    DAYS_A_YEAR,
    Amount,
    Basis,
    Line,
    Projection,
    saving,
)
from calibrate.words import money, percent, share_saved

__all__ = ["footnotes", "markdown_table", "print_projection", "projection_json", "title"]

_PERIODS = (("day", 1), ("month", DAYS_A_MONTH), ("year", DAYS_A_YEAR))
_LONGEST_WORD = len("uncertified")
_LEFT = ("", "role", "rests on")
_BASES = {
    Basis.POLICY: "the policy's figure",
    Basis.ESTIMATED: "an estimate",
    Basis.STATED: "stated sizes",
}


def title(found: Projection) -> str:
    """Return what a projection is about."""
    return f"{printable(found.name)}: {found.requests_per_day:,} requests a day"


def print_projection(found: Projection, console: Console) -> None:
    """Print a projection's lines, and what is to be known of them."""
    console.print(f"[bold]{escape(title(found))}[/]")
    titles, rows = _cells(found)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in titles:
        table.add_column(
            name,
            justify="left" if name in _LEFT else "right",
            no_wrap=name != "role",
            min_width=_LONGEST_WORD if name == "role" else None,
        )
    for row in rows:
        table.add_row(*map(escape, row))
    print_table(console, table)
    print("\n".join([*map(printable, found.notes), ""]))


def markdown_table(found: Projection) -> str:
    """Return a projection as Markdown, as for a comment on a change."""
    titles, rows = _cells(found)
    rules = [":--" if name in _LEFT else "--:" for name in titles]
    lines = [f"**{_quoted(title(found))}**", ""]
    lines += [f"| {' | '.join(map(_quoted, row))} |" for row in (titles, rules, *rows)]
    notes = [f"- {_quoted(note)}" for note in found.notes]
    return "\n".join([*lines, *(["", *notes] if notes else []), ""])


def footnotes(projections: Sequence[Projection]) -> Iterator[str]:
    """Yield what the figures mean, as far as there are such figures."""
    costs = [line.cost for found in projections for line in found.lines if line.cost]
    yield f"A month is {DAYS_A_MONTH} days, a year {DAYS_A_YEAR}."
    if any(cost.half_width is not None for cost in costs):
        yield (
            "±: the 95 % interval of the mean cost of a request (Student's t), if the cases are "
            "an independent sample of the traffic."
        )
    if any(cost.basis is Basis.ESTIMATED for cost in costs):
        yield (
            "An estimate: never asked, or not stored here; the rendered prompts and the longest "
            "allowed answers at the model's price."
        )
    if any(cost.is_ceiling for cost in costs):
        yield "≤: by the hour and never timed, so each request counts up to its time-out."


def projection_json(found: Projection) -> dict[str, Any]:
    """Return the same facts; amounts in US dollars."""
    return {
        "requests_per_day": found.requests_per_day,
        "lines": [_line_json(line, found.baseline) for line in found.lines],
        "notes": list(found.notes),
    }


def _line_json(line: Line, baseline: Line) -> dict[str, Any]:
    cost, share = line.cost, saving(line.day, baseline.day)
    return {
        "name": line.name,
        "is_baseline": line.is_baseline,
        "is_route": line.is_route,
        "verdict": line.verdict or None,
        **{f"usd_per_{name}": _amount_json(line.day.times(days)) for name, days in _PERIODS},
        "is_ceiling": line.day.is_ceiling,
        "saving": None if share is None else float(share),
        "usd_per_1k_requests": None if cost is None else float(cost.usd * 1000),
        "basis": None if cost is None else cost.basis.value,
        "cases": None if cost is None else cost.cases,
        "parts": [
            {
                "name": part.name,
                "share": None if part.share is None else float(part.share),
                **{f"usd_per_{name}": float(part.day.times(d).usd) for name, d in _PERIODS},
            }
            for part in line.parts
        ],
    }


def _amount_json(amount: Amount) -> dict[str, float | None]:
    low, high = amount.low, amount.high
    return {
        "usd": float(amount.usd),
        "low": None if low is None else rounded(float(low)),
        "high": None if high is None else rounded(float(high)),
    }


def _cells(found: Projection) -> tuple[list[str], list[list[str]]]:
    """Return titles and rows, without the columns that would be empty."""
    titles = ["", "role", "a day", "a month", "a year", "±", "saves", "rests on"]
    rows = [row for line in found.lines for row in _rows(line, found.baseline)]
    kept = [at for at, name in enumerate(titles) if not name or any(row[at] for row in rows)]
    return [titles[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _rows(line: Line, baseline: Line) -> Iterator[list[str]]:
    yield [
        printable(line.name),
        _role(line),
        *_amounts(line.day),
        _spread(line.day),
        _saves(line, baseline),
        _basis(line),
    ]
    for part in line.parts:
        name = f"  {percent(None if part.share is None else float(part.share), 0)} {part.name}"
        yield [printable(name), "", *_amounts(part.day), "", "", ""]


def _amounts(day: Amount) -> Iterator[str]:
    for _, days in _PERIODS:
        yield ("≤ " if day.is_ceiling else "") + money(float(day.times(days).usd))


def _role(line: Line) -> str:
    roles = {"baseline": line.is_baseline, "route": line.is_route}
    return ", ".join(
        [*(role for role, holds in roles.items() if holds), *filter(None, [line.verdict])]
    )


def _spread(day: Amount) -> str:
    if day.half_width is None or day.usd == 0:
        return ""
    return f"{float(day.half_width / day.usd):.1%}".replace("%", " %")


def _saves(line: Line, baseline: Line) -> str:
    if line.is_baseline:
        return "–"
    share = saving(line.day, baseline.day)
    if share is None:
        return "unknown" if line.day.is_ceiling or baseline.day.is_ceiling else "–"
    return share_saved(float(share)) if share >= 0 else f"{percent(float(-share), 0)} more"


def _basis(line: Line) -> str:
    cost = line.cost
    if cost is None:
        return ""
    if cost.basis is Basis.MEASURED:
        return f"{cost.cases:,} case{'' if cost.cases == 1 else 's'}"
    return _BASES[cost.basis]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
