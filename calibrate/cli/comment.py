"""The gate as a comment on a change: the verdict first, then what moves, all of it Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibrate.cli.gating import Finding, Row
from calibrate.comparison import COMMENT_LIMIT, Comparison, markdown, shortened
from calibrate.comparison.markdown import quoted
from calibrate.regression import Found, Regression, in_words

__all__ = ["MARKER", "comment"]

MARKER = "<!-- calibrate ci -->"  # by which the comment is found again, to be updated in place
MOST_CASES = 50  # of a list of cases
_SIGNS = {Found.WORSE: "❌", Found.NOT_WORSE: "✅", Found.TOO_FEW: "❔"}


def comment(
    rows: Sequence[Row],
    findings: Sequence[Finding],
    moves: Comparison,
    *,
    limit: int = COMMENT_LIMIT,
) -> str:
    """Return the comment; what has no room in one is left out at the end, and it says so."""
    return shortened(_parts(rows, findings, moves), limit)


def _parts(rows: Sequence[Row], findings: Sequence[Finding], moves: Comparison) -> Iterator[str]:
    yield f"{MARKER}\n### {_verdict(rows, findings)}\n"
    if findings:
        yield "\n"
    for finding in findings:
        yield f"- ❌ {quoted(finding.workflow)} is {finding.kind.value}: {quoted(finding.text)}\n"
    for row in rows:
        if row.no_answer:
            yield f"\n❔ {quoted(row.workflow)}: {quoted(row.no_answer)}\n"
    for row in rows:
        if row.regression is not None:
            yield from _regression(row.regression)
    yield from _left_out(rows)
    is_part = any(row.no_answer for row in rows)
    yield f"\n#### What moves{', as far as it could be decided' if is_part else ''}\n\n"
    yield from markdown(moves)


def _verdict(rows: Sequence[Row], findings: Sequence[Finding]) -> str:
    if findings:
        names = sorted({finding.workflow for finding in findings})
        return f"calibrate: no. {len(names)} of the routes must not be merged like this"
    if any(row.no_answer for row in rows):
        return "calibrate: no answer"
    return "calibrate: yes. Every route is what its evidence says"


def _regression(found: Regression) -> Iterator[str]:
    pairs = found.pairs
    routes = f"{quoted(pairs.before)} → {quoted(pairs.now)}"
    yield f"\n{_SIGNS[found.found]} {quoted(pairs.workflow)} ({routes}): {in_words(found)}.\n"
    for what, ids in (("Lower now", pairs.lost), ("Higher now", pairs.won)):
        if ids:
            items = "".join(f"- {quoted(case)}\n" for case in ids[:MOST_CASES])
            more = f"- and {len(ids) - MOST_CASES:,} more\n" if len(ids) > MOST_CASES else ""
            title = f"<summary>{what}: {len(ids):,}</summary>"
            yield f"\n<details>{title}\n\n{items}{more}\n</details>\n"


def _left_out(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what was not compared, and what not even decided, each reason once."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.not_compared:
            reasons.setdefault(row.not_compared, []).append(quoted(row.workflow))
    for reason, names in reasons.items():
        yield f"\nNot compared with before: {', '.join(names)}: {quoted(reason)}\n"
    untouched = [quoted(row.workflow) for row in rows if not row.is_touched]
    if untouched:
        yield f"\nNot touched, and so not decided again: {', '.join(untouched)}.\n"
