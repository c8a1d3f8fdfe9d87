"""A comparison in words and figures, the same in the terminal and in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from calibrate.comparison.policies import CasesCompared, Comparison, Kind, WorkflowComparison
from calibrate.policy import Evidence, WorkflowPolicy
from calibrate.projection import DAYS_A_MONTH
from calibrate.words import LEAST_CALLS, money, p95, percent, seconds, share_saved

__all__ = [
    "NONE",
    "Row",
    "case_lists",
    "cases_sentence",
    "headline",
    "inputs_sentence",
    "notes",
    "printable",
    "rows",
    "total_sentence",
    "warnings",
]

NONE = "–"
LONGEST = 200  # characters of a text that others wrote
_HARDLY = 0.005  # of the cost: it would be told as 0 %
_INPUTS = {
    "prompt": "the prompt",
    "dataset": "the golden cases",
    "graders": "the graders",
    "models": "the candidate models",
    "prices": "the prices",
    "bar": "the bar or the seed",
    "procedure": "the procedure",
}
_ALWAYS = ("model", "tier", "status")  # told of every route that differs, moved or not


@dataclass(frozen=True, slots=True)
class Row:
    """One thing before and now, and what that makes; names and values are others' words."""

    label: str
    old: str
    new: str
    effect: str = ""
    model: str | None = None  # whose definition it is a part of
    is_quoted: bool = False  # `old` and `new` are others' words


def headline(found: Comparison) -> str:
    """Return in one line how many routes differ, and in which way."""
    count = Counter(workflow.kind for workflow in found.workflows)
    parts = [f"{count[k]} {k.value}" for k in (Kind.MOVED, Kind.NEW, Kind.GONE) if count[k]]
    if found.default is not None:
        parts.append("another default")
    total = _counted(len(found.workflows), "workflow")
    evidence = count[Kind.EVIDENCE]
    more = f" The evidence of {evidence} changed without moving it." if evidence else ""
    if not parts:
        return f"The same routes for {total}.{more}"
    return f"{len(found.moved)} of {total} routed differently: {', '.join(parts)}.{more}"


def warnings(found: Comparison) -> list[str]:
    """Return the names of the workflows that were certified and are not now."""
    return [
        w.workflow
        for w in found.workflows
        if w.old is not None
        and w.new is not None
        and w.old.status == "certified"
        and w.new.status != "certified"
    ]


def total_sentence(found: Comparison) -> str | None:
    """Return what the stated traffic costs a month now and before; None where none is stated."""
    usd = found.usd_per_day
    if usd is None:
        return None
    before, now = usd
    effect = _cost_effect(before, now)
    known = _counted(sum(None not in w.usd_per_day for w in found.workflows), "workflow")
    text = f"The traffic of {known} costs {money(now * DAYS_A_MONTH)} a month"
    if before == now:
        return f"{text}, as before."
    return f"{text}; before {money(before * DAYS_A_MONTH)}{f' ({effect})' if effect else ''}."


def rows(found: WorkflowComparison) -> tuple[Row, ...]:
    """Return what to see of a workflow; a part that no side has is left out."""
    return (*_route_rows(found), *_evidence_rows(found))


def notes(found: WorkflowComparison) -> tuple[str, ...]:
    """Return what has to be known of the figures; all of it our own words."""
    entries = [entry for entry in (found.old, found.new) if entry is not None]
    lines = []
    if any(entry.evidence.cost_basis == "estimated" for entry in entries):
        lines.append("~ estimated: never asked")
    if any(entry.override is not None for entry in entries):
        lines.append("The figures are those of the model that was decided for, not the override's.")
    if found.kind is Kind.EVIDENCE and not found.inputs and _looks_same(found):
        lines.append("It differs in what is told of other models, or in how it was decided.")
    return tuple(lines)


def _looks_same(found: WorkflowComparison) -> bool:
    return all(row.old == row.new for row in rows(found))


def inputs_sentence(found: WorkflowComparison) -> str | None:
    """Return which inputs changed; None where none did or only one side has any."""
    if not found.inputs:
        return None
    return f"Changed: {', '.join(_INPUTS[kind] for kind in found.inputs)}."


def cases_sentence(cases: CasesCompared) -> str:
    """Return how many cases newly fail, of how many that both routes have answers to."""
    worse, better = (title.lower() for title in _titles(cases))
    text = (
        f"{_counted(cases.compared, 'case')} compared: {len(cases.newly_failing):,} {worse}, "
        f"{len(cases.newly_passing):,} {better}."
    )
    if cases.not_compared:
        text += (
            f" Not compared: {cases.not_compared:,}, without stored answers of both or not the "
            "same in both."
        )
    return " ".join([text, *cases.notes])


def case_lists(cases: CasesCompared) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the cases that do worse now, then those that do better, with what to call them."""
    groups = (cases.newly_failing, cases.newly_passing)
    yield from ((title, ids) for title, ids in zip(_titles(cases), groups, strict=True) if ids)


def _titles(cases: CasesCompared) -> tuple[str, str]:
    if cases.is_graded:
        return "Scoring lower", "Scoring higher"
    return "Newly failing", "Newly passing"


def printable(text: str) -> str:
    """Return others' words without what a terminal or a reader would obey, and not too long."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _route_rows(found: WorkflowComparison) -> Iterator[Row]:
    for part in _ALWAYS:
        old, new = (_part(entry, part) for entry in (found.old, found.new))
        yield Row(part, old, new, is_quoted=part != "status")
    for move in found.moves:
        if move.model is not None or move.part not in _ALWAYS:
            label = move.part.replace("_", " ")
            yield Row(label, move.old or NONE, move.new or NONE, "", move.model, is_quoted=True)


def _part(entry: WorkflowPolicy | None, part: str) -> str:
    return NONE if entry is None else str(getattr(entry, part))


def _evidence_rows(found: WorkflowComparison) -> Iterator[Row]:
    old = None if found.old is None else found.old.evidence
    new = None if found.new is None else found.new.evidence
    yield Row("quality", *_both(old, new, lambda e: percent(e.estimate)))
    bounds = _both(old, new, lambda e: percent(e.lower_bound))
    yield Row("lower bound", *bounds, _bound_effect(found.new))
    yield Row("bar", *_both(old, new, lambda e: percent(e.floor)))
    yield Row("cases used", *_both(old, new, lambda e: f"{e.cases_used:,} of {e.cases:,}"))
    yield Row("per 1,000 requests", *_both(old, new, _cost), _costs_effect(old, new))
    days = found.usd_per_day
    if days != (None, None):
        for label, count in (("a day", 1), ("a month", DAYS_A_MONTH)):
            before, now = (NONE if usd is None else money(usd * count) for usd in days)
            yield Row(label, before, now)
    yield Row("p95", *_both(old, new, _p95), _p95_effect(old, new))


def _both(
    old: Evidence | None, new: Evidence | None, text: Callable[[Evidence], str]
) -> tuple[str, str]:
    before, now = (NONE if evidence is None else text(evidence) for evidence in (old, new))
    return before, now


def _bound_effect(new: WorkflowPolicy | None) -> str:
    """Return on which side of the bar the bound lies now.

    It describes, and does not decide: of a certified route nothing is said against it.
    """
    bound = None if new is None else new.evidence.lower_bound
    if new is None or bound is None:
        return ""
    if bound >= new.evidence.floor:
        return "over the bar"
    return "" if new.status == "certified" else "below the bar"


def _cost(evidence: Evidence) -> str:
    mark = "~ " if evidence.cost_basis == "estimated" else ""  # apart: `~$1` is markup to some
    return f"{mark}{money(evidence.cost_usd_per_1k_requests)}"


def _costs_effect(old: Evidence | None, new: Evidence | None) -> str:
    if old is None or new is None:
        return ""
    return _cost_effect(old.cost_usd_per_1k_requests, new.cost_usd_per_1k_requests)


def _cost_effect(before: float, now: float) -> str:
    if before == now or before <= 0:
        return ""
    share = 1 - now / before
    if abs(share) < _HARDLY:
        return "about the same"
    return f"{share_saved(share)} less" if share > 0 else f"{percent(-share, 0)} more"


def _p95(evidence: Evidence) -> str:
    return p95(evidence.latency_p95_s, evidence.cases_used)


def _p95_effect(old: Evidence | None, new: Evidence | None) -> str:
    """Return by how much it is slower or quicker, where both are known from enough calls."""
    known = [
        evidence.latency_p95_s
        for evidence in (old, new)
        if evidence is not None and evidence.cases_used >= LEAST_CALLS
    ]
    before, now = known if len(known) == 2 else (None, None)
    if before is None or now is None or before == now:
        return ""
    return f"{seconds(abs(now - before))} {'slower' if now > before else 'quicker'}"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
