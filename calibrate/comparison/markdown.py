"""A comparison as Markdown, as for a comment on a change; what others wrote is never markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from calibrate.comparison.policies import CasesCompared, Comparison, Kind, NotKnown
from calibrate.comparison.policies import WorkflowComparison as Compared
from calibrate.comparison.wording import (
    NONE,
    Row,
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

__all__ = ["COMMENT_LIMIT", "markdown", "quoted", "shortened"]

COMMENT_LIMIT = 65_536  # of a comment's text on GitHub
MOST_CASES = 50  # of a list of cases
_COLUMNS = ("model", "status", "lower bound", "bar", "per 1,000 requests", "p95")
_PLAIN = frozenset(" -")


def markdown(found: Comparison) -> Iterator[str]:
    """Yield the parts of a comment, the most important first; each is whole Markdown by itself.

    Joined they are the comment, and so are the first few of them.
    """
    yield f"**{headline(found)}**\n"
    lost = warnings(found)
    if lost:
        yield f"\n⚠️ No longer certified: {_listed(lost)}.\n"
    total = total_sentence(found)
    if total is not None:
        yield f"\n{total}\n"
    if found.default is not None:
        old, new = found.default.old, found.default.new
        yield f"\nUnknown names are served as: {_pair(_name(old), _name(new))}.\n"
    changed = found.changed
    if changed:
        yield _line(("workflow", "", *_COLUMNS), "\n") + _line(("---",) * (len(_COLUMNS) + 2))
    for workflow in changed:
        yield _summary(workflow)
    for workflow in changed:
        yield _details(workflow)
        if isinstance(workflow.cases, CasesCompared):
            yield from _cases(workflow.cases)


def shortened(parts: Iterable[str], limit: int = COMMENT_LIMIT) -> str:
    """Return the parts joined, without those at the end that go beyond the limit; it says so.

    The limit is counted in bytes of UTF-8, so that it holds however a host counts characters.
    """
    known = list(parts)
    if sum(map(_size, known)) <= limit:
        return "".join(known)
    room = limit - _size(_cut(len(known)))
    kept = sum(size <= room for size in accumulate(map(_size, known)))
    return "".join([*known[:kept], _cut(len(known) - kept)])


def quoted(text: str) -> str:
    """Return others' words as code that nothing in them can leave, also inside a table."""
    shown = printable(text)
    if shown and shown == shown.strip() and not set(shown) & {"`", "|"}:
        return f"`{shown}`"
    # An entity never opens or closes anything; in code it mentions nobody and links to nothing.
    inner = "".join(c if c.isalnum() or c in _PLAIN else f"&#{ord(c)};" for c in shown)
    return f"<code>{inner}</code>"


def _cut(count: int) -> str:
    return (
        f"\n\n_Shortened to what a comment can hold: {count:,} parts are left out; "
        "`calibrate diff --json` has all of it._\n"
    )


def _size(text: str) -> int:
    return len(text.encode())


def _summary(found: Compared) -> str:
    by_label = {row.label: row for row in rows(found) if row.model is None}
    cells = (_row_pair(by_label[label]) for label in _COLUMNS)
    return _line((quoted(found.workflow), _kind(found), *cells))


def _kind(found: Compared) -> str:
    return "evidence only" if found.kind is Kind.EVIDENCE else found.kind.value


def _details(found: Compared) -> str:
    """Return what the table has no room for, as a list; empty where there is nothing."""
    lines = [
        f"{row.label}: {_row_pair(row)}"
        if row.model is None
        else f"{quoted(row.model)}: {row.label}: {_row_pair(row)}"
        for row in rows(found)
        if row.old != row.new and (row.model is not None or row.label not in _COLUMNS)
    ]
    lines += [text for text in (inputs_sentence(found), *notes(found)) if text]
    if isinstance(found.cases, CasesCompared):
        lines.append(cases_sentence(found.cases))
    if isinstance(found.cases, NotKnown):
        lines.append(f"Newly failing: not known: {quoted(found.cases.why)}")
    items = "".join(f"- {line}\n" for line in lines)
    return f"\n{quoted(found.workflow)}\n\n{items}" if lines else ""


def _cases(cases: CasesCompared) -> Iterator[str]:
    for title, ids in case_lists(cases):
        items = [f"- {quoted(case)}\n" for case in ids[:MOST_CASES]]
        if len(ids) > MOST_CASES:
            items.append(f"- and {len(ids) - MOST_CASES:,} more\n")
        summary = f"<summary>{title}: {len(ids):,}</summary>"
        yield f"\n<details>{summary}\n\n{''.join(items)}\n</details>\n"


def _row_pair(row: Row) -> str:
    old, new = row.old, row.new
    if row.is_quoted:
        old, new = (text if text == NONE else quoted(text) for text in (old, new))
    return f"{_pair(old, new)}{f' ({row.effect})' if row.effect else ''}"


def _pair(old: str, new: str) -> str:
    if old == new:
        return new
    return f"{old} → {new}"


def _name(text: str | None) -> str:
    return "none" if text is None else quoted(text)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def _line(cells: Iterable[str], before: str = "") -> str:
    return f"{before}| {' | '.join(cells)} |\n"
