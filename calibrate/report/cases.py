"""Every case with every model's answer, side by side; the ones to look at first come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

from calibrate.completion import ChatMessage
from calibrate.dataset import Case
from calibrate.decide import Calibration
from calibrate.report.badges import Badge, trial_badge
from calibrate.report.breakdown import measured
from calibrate.report.excerpt import LIMIT, Excerpt, excerpt, one_line
from calibrate.report.filters import (
    Answers,
    fails,
    offered_traits,
    slice_name,
    slices_of,
    traits_of,
)
from calibrate.trial import AnyTrial, FailedTrial, Trial
from calibrate.words import seconds

__all__ = [
    "AnswerView",
    "CaseGroup",
    "CasePage",
    "CaseView",
    "NamedText",
    "PromptView",
    "case_pages",
    "prompt_of",
]

FIRST_PAGE, OTHER_PAGES = 500, 1_000  # cases
MOST_ANSWERS = 150_000  # on all pages together; cases that every model passes go first
MOST_CHARACTERS = 10_000_000  # of inputs and answers, on all pages together
PROMPT_LIMIT = 20_000  # characters of one message
_LINE = 90
_MOST_NAMED = 5  # models that fail a case
_LIMITS = (LIMIT, 1_000, 500, 200)  # characters of one text, where there are very many


class NamedText(NamedTuple):
    """A field of an input, or a message of a prompt."""

    name: str  # empty where there is only one
    text: Excerpt


class AnswerView(NamedTuple):
    """What one model made of a case."""

    model: str
    badge: Badge
    answer: Excerpt
    is_failure: bool  # the text is why there is no answer, in the endpoint's words
    reason: str
    facts: str


class CaseView(NamedTuple):
    """One case with all its answers."""

    id: str
    line: str
    outcome: str
    critical: bool
    traits: str  # what a filter may ask for: differ, missed, unanswered, critical
    slices: str  # the places of its tags among the slices to choose from
    tags: str
    input: tuple[NamedText, ...]
    expected: Excerpt
    prompt: tuple[NamedText, ...]  # the messages that are the case's own and not just its input
    answers: tuple[AnswerView, ...]


@dataclass(frozen=True, slots=True)
class CaseGroup:
    """Cases on which the models did alike."""

    title: str
    count: str
    note: str
    cases: tuple[CaseView, ...]


@dataclass(frozen=True, slots=True)
class PromptView:
    """Exactly what was asked for one case."""

    case: str
    messages: tuple[NamedText, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """A case with what each model made of it."""

    rank: int  # the place of its group's title
    case: Case
    answers: Answers
    traits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Showing:
    """How cases are shown, the same on all pages."""

    models: tuple[str, ...]
    totals: Mapping[int, int]  # the cases of each group
    slices: Mapping[str, int]
    shared: Sequence[ChatMessage]  # the messages that are the same for every case
    limit: int  # characters of one text


@dataclass(frozen=True, slots=True)
class CasePage:
    """The cases that one page shows, with what may be asked of them.

    It keeps no view of a case: those of all pages at once would take much memory.
    """

    number: int  # from 1, which is the workflow's own page
    pages: int
    shown: str
    of: str  # how many there are on all pages; empty where this one has them all
    left_out: str
    traits: tuple[tuple[str, str], ...]  # each with its label, where some cases have it
    slices: tuple[str, ...]
    _rows: Sequence[_Row]
    _showing: _Showing

    @property
    def groups(self) -> tuple[CaseGroup, ...]:
        """The cases by how the models did on them, made anew whenever they are asked for."""
        found = groupby(self._rows, key=lambda row: row.rank)
        return tuple(_group(rank, tuple(rows), self._showing) for rank, rows in found)


def case_pages(calibration: Calibration) -> tuple[CasePage, ...]:
    """Return all cases with their answers, the ones to look at first on the first page.

    Those come first that no model passes, then those on which the models differ, then the rest;
    among them those that the route's model fails, critical ones before others; then the seeded
    order. Of a case's repeats the worst is shown.
    """
    models = tuple(verdict.model for verdict, _ in measured(calibration))
    rows = sorted(_rows(calibration), key=_order)
    if not rows:
        return ()
    kept = rows[: max(MOST_ANSWERS // len(models), FIRST_PAGE)]
    slices = slices_of(row.case for row in kept)
    showing = _Showing(
        models=models,
        totals=Counter(row.rank for row in rows),
        slices=slices,
        shared=_shared_messages(kept),
        limit=_text_limit(kept),
    )
    cuts = [0, *range(FIRST_PAGE, len(kept), OTHER_PAGES), len(kept)]
    return tuple(
        CasePage(
            number=number,
            pages=len(cuts) - 1,
            shown=_cases(end - start),
            of=f"{len(kept):,}" if len(cuts) > 2 else "",
            left_out=_left_out(len(rows) - len(kept)),
            traits=offered_traits({t for row in kept[start:end] for t in row.traits}),
            slices=tuple(slices),
            _rows=kept[start:end],
            _showing=showing,
        )
        for number, (start, end) in enumerate(pairwise(cuts), start=1)
    )


def prompt_of(calibration: Calibration) -> PromptView | None:
    """Return what was asked for the first case of the order; None where nothing was asked."""
    asked = [trials[0] for _, trials in measured(calibration)]
    if not asked:
        return None
    chat = next((trial for trial in asked if not isinstance(trial.asked, str)), asked[0])
    return PromptView(chat.case.id, tuple(_messages(chat.asked)))


def _messages(asked: tuple[ChatMessage, ...] | str) -> list[NamedText]:
    if isinstance(asked, str):
        return [NamedText("text to embed", excerpt(asked, PROMPT_LIMIT))]
    return [NamedText(m.role, excerpt(m.content, PROMPT_LIMIT)) for m in asked]


def _rows(calibration: Calibration) -> Iterator[_Row]:
    """Yield each case that some model was asked, in the seeded order."""
    worst = {verdict.model: _worst(trials) for verdict, trials in measured(calibration)}
    of_route = worst.get(calibration.decision.chosen.alias, {})
    for case in calibration.task.cases:
        answers = tuple(trials.get(case.id) for trials in worst.values())
        if any(trial is not None for trial in answers):
            traits = traits_of(case, answers, of_route.get(case.id))
            yield _Row(_rank(answers, traits), case, answers, traits)


def _worst(trials: Sequence[AnyTrial]) -> dict[str, AnyTrial]:
    """Return the worst of each case's repeats, and the last of several such, by the case."""
    found: dict[str, AnyTrial] = {}
    for trial in trials:
        other = found.setdefault(trial.case.id, trial)
        if other is not trial and trial.score <= other.score:
            found[trial.case.id] = trial
    return found


def _rank(answers: Answers, traits: tuple[str, ...]) -> int:
    if "differ" in traits:
        return 1
    return 0 if any(map(fails, answers)) else 2


def _order(row: _Row) -> tuple[int, bool, bool]:
    return row.rank, "missed" not in row.traits, "critical" not in row.traits


def _titles(models: int) -> tuple[str, str, str]:
    if models == 1:
        return "Not passed", "", "Passed"
    return "No model passes", "Models differ", "Every model passes"


def _group(rank: int, rows: Sequence[_Row], showing: _Showing) -> CaseGroup:
    total = showing.totals[rank]
    return CaseGroup(
        title=_titles(len(showing.models))[rank],
        count=_cases(total),
        note=f"{len(rows):,} of them are on this page." if len(rows) < total else "",
        cases=tuple(_case(row, showing) for row in rows),
    )


def _cases(n: int) -> str:
    return f"{n:,} case{'' if n == 1 else 's'}"


def _left_out(n: int) -> str:
    return f"{_cases(n)} that every model passes are on no page: there are too many." if n else ""


def _shared_messages(rows: Sequence[_Row]) -> list[ChatMessage]:
    """Return the messages that are the same for every case."""
    chats = [chat for row in rows if (chat := _chat(row.answers))]
    shared = list(chats[0]) if chats else []
    for chat in chats:
        shared = [message for message in shared if message in chat]
    return shared


def _chat(answers: Answers) -> tuple[ChatMessage, ...]:
    """Return what the chat models were asked for a case: all of them the same."""
    for trial in answers:
        if trial is not None and not isinstance(trial.asked, str):
            return trial.asked
    return ()


def _text_limit(rows: Sequence[_Row]) -> int:
    """Return how much of each text is shown: less where there are very many long ones."""
    lengths = Counter(
        len(text if isinstance(text, str) else excerpt(text).text)
        for row in rows
        for text in (
            *_values(row.case.input),
            *(trial.answer for trial in row.answers if isinstance(trial, Trial)),
        )
    )
    fitting = (
        limit
        for limit in _LIMITS
        if sum(min(limit, length) * n for length, n in lengths.items()) <= MOST_CHARACTERS
    )
    return next(fitting, _LIMITS[-1])


def _case(row: _Row, showing: _Showing) -> CaseView:
    case, limit, values = row.case, showing.limit, _values(row.case.input)
    own = [m for m in _chat(row.answers) if m not in showing.shared and m.content not in values]
    places = (showing.slices.get(slice_name(*tag)) for tag in case.tags.items())
    pairs = zip(showing.models, row.answers, strict=True)
    answers = tuple(_answer(model, trial, limit) for model, trial in pairs)
    return CaseView(
        id=case.id,
        line=one_line(case.input if isinstance(case.input, str) else _first(case.input), _LINE),
        outcome=_outcome([view for view in answers if view.badge.shape != "open"]),
        critical=case.critical,
        traits=" ".join(row.traits),
        slices=" ".join(str(place) for place in places if place is not None),
        tags=", ".join(f"{tag}={value}" for tag, value in sorted(case.tags.items())),
        input=_fields(case.input, limit),
        expected=(
            Excerpt("none is given") if case.expected is None else excerpt(case.expected, limit)
        ),
        prompt=tuple(NamedText(m.role, excerpt(m.content, limit)) for m in own),
        answers=answers,
    )


def _fields(value: object, limit: int) -> tuple[NamedText, ...]:
    if isinstance(value, Mapping):
        return tuple(NamedText(str(name), excerpt(item, limit)) for name, item in value.items())
    return (NamedText("", excerpt(value, limit)),)


def _values(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, Mapping) else [value]


def _first(value: object) -> object:
    return next(iter(value.values()), "") if isinstance(value, Mapping) else value


def _outcome(asked: Sequence[AnswerView]) -> str:
    if len(asked) == 1:
        return asked[0].badge.text
    failing = [view.model for view in asked if view.badge.shape == "bad"]
    if not failing:
        return "all pass"
    if len(failing) == len(asked):
        return "all fail"
    if len(failing) > _MOST_NAMED:
        return f"{len(failing)} of {len(asked)} fail"
    return f"fails: {', '.join(failing)}"


def _answer(model: str, trial: AnyTrial | None, limit: int) -> AnswerView:
    badge = trial_badge(trial)
    if trial is None:
        return AnswerView(model, badge, Excerpt(""), False, "", "")
    facts = seconds(trial.latency_s)
    if isinstance(trial, FailedTrial):
        reason = trial.failure.reason.value.replace("_", " ")
        message = excerpt(trial.failure.message, limit)
        return AnswerView(model, badge, message, True, reason, facts)
    if trial.finish not in ("stop", "embedding"):
        facts += f", ended by: {trial.finish.replace('_', ' ')}"
    reason = one_line(trial.grade.reason, 500)
    return AnswerView(model, badge, excerpt(trial.answer, limit), False, reason, facts)
