"""Every case with every model's answer, side by side; the ones to look at first come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

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
from calibrate.trial import AnyTrial, FailedTrial, Trial, passes
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


@dataclass(frozen=True, slots=True)
class NamedText:
    """A field of an input, or a message of a prompt."""

    name: str  # empty where there is only one
    text: Excerpt


@dataclass(frozen=True, slots=True)
class AnswerView:
    """What one model made of a case."""

    model: str
    badge: Badge
    answer: Excerpt
    is_failure: bool  # the text is why there is no answer, in the endpoint's words
    reason: str
    facts: str


@dataclass(frozen=True, slots=True)
class CaseView:
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
class CasePage:
    """The cases that one page shows, with what may be asked of them."""

    number: int  # from 1, which is the workflow's own page
    pages: int
    shown: str
    of: str  # how many there are on all pages; empty where this one has them all
    left_out: str
    groups: tuple[CaseGroup, ...]
    traits: tuple[tuple[str, str], ...]  # each with its label, where some cases have it
    slices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromptView:
    """Exactly what was asked for one case."""

    case: str
    messages: tuple[NamedText, ...]


def case_pages(calibration: Calibration) -> tuple[CasePage, ...]:
    """Return all cases with their answers, the ones to look at first on the first page.

    Those come first that no model passes, then those on which the models differ, then the rest;
    among them those that the route's model fails, critical ones before others; then the seeded
    order. Of a case's repeats the worst is shown.
    """
    found = _sorted_cases(calibration)
    models = len(found[0][2]) if found else 1
    kept = found[: max(MOST_ANSWERS // models, FIRST_PAGE)]
    slices = slices_of(case for _, case, _ in kept)
    shared = _shared_messages(answers for _, _, answers in kept)
    limit = _text_limit(kept)
    totals = Counter(title for title, _, _ in found)
    cuts = [0, *range(FIRST_PAGE, len(kept), OTHER_PAGES), len(kept)]
    show = partial(_case, slices=slices, shared=shared, limit=limit)
    chosen = calibration.decision.chosen.alias
    groups = [_groups(kept[start:end], totals, chosen, show) for start, end in pairwise(cuts)]
    return tuple(
        CasePage(
            number=number,
            pages=len(groups),
            shown=_cases(sum(len(group.cases) for group in on_page)),
            of=f"{len(kept):,}" if len(groups) > 1 else "",
            left_out=_left_out(len(found) - len(kept)),
            groups=on_page,
            traits=offered_traits(_traits(on_page)),
            slices=tuple(slices),
        )
        for number, on_page in enumerate(groups, start=1)
        if on_page
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


def _sorted_cases(calibration: Calibration) -> list[tuple[str, Case, Answers]]:
    by_model = {
        verdict.model: {
            trial.case.id: trial
            for trial in sorted(trials, key=lambda trial: trial.score, reverse=True)
        }
        for verdict, trials in measured(calibration)
    }
    chosen, titles = calibration.decision.chosen.alias, _titles(len(by_model))
    found = []
    for case in calibration.task.cases:
        answers = [(model, trials.get(case.id)) for model, trials in by_model.items()]
        if any(trial is not None for _, trial in answers):
            found.append((_title_for(answers), case, answers))
    return sorted(
        found,
        key=lambda one: (titles.index(one[0]), not fails(chosen, one[2]), not one[1].critical),
    )


def _titles(models: int) -> tuple[str, str, str]:
    if models == 1:
        return "Not passed", "", "Passed"
    return "No model passes", "Models differ", "Every model passes"


def _title_for(answers: Answers) -> str:
    passed = [passes(trial) for _, trial in answers if trial is not None]
    none, some, every = _titles(len(answers))
    return every if all(passed) else some if any(passed) else none


def _groups(
    found: Sequence[tuple[str, Case, Answers]],
    totals: Mapping[str, int],
    chosen: str,
    show: Callable[[Case, Answers, str], CaseView],
) -> tuple[CaseGroup, ...]:
    groups: dict[str, list[CaseView]] = {}
    for title, case, answers in found:
        groups.setdefault(title, []).append(show(case, answers, chosen))
    return tuple(
        CaseGroup(
            title=title,
            count=_cases(totals[title]),
            note=f"{len(cases):,} of them are on this page." if len(cases) < totals[title] else "",
            cases=tuple(cases),
        )
        for title, cases in groups.items()
    )


def _traits(groups: Iterable[CaseGroup]) -> set[str]:
    return {trait for group in groups for case in group.cases for trait in case.traits.split()}


def _cases(n: int) -> str:
    return f"{n:,} case{'' if n == 1 else 's'}"


def _left_out(n: int) -> str:
    return f"{_cases(n)} that every model passes are on no page: there are too many." if n else ""


def _shared_messages(asked: Iterable[Answers]) -> set[ChatMessage]:
    """Return the messages that are the same for every case."""
    shared: set[ChatMessage] | None = None
    for answers in asked:
        messages = set(_chat(answers))
        if messages:
            shared = messages if shared is None else shared & messages
    return shared or set()


def _chat(answers: Answers) -> tuple[ChatMessage, ...]:
    """Return what the chat models were asked for a case: all of them the same."""
    for _, trial in answers:
        if trial is not None and not isinstance(trial.asked, str):
            return trial.asked
    return ()


def _text_limit(found: Sequence[tuple[str, Case, Answers]]) -> int:
    """Return how much of each text is shown: less where there are very many long ones."""
    lengths = [
        len(text if isinstance(text, str) else excerpt(text).text)
        for _, case, answers in found
        for text in (
            *_values(case.input),
            *(trial.answer for _, trial in answers if isinstance(trial, Trial)),
        )
    ]
    fitting = (n for n in _LIMITS if sum(min(n, length) for length in lengths) <= MOST_CHARACTERS)
    return next(fitting, _LIMITS[-1])


def _case(
    case: Case,
    answers: Answers,
    chosen: str,
    *,
    slices: Mapping[str, int],
    shared: set[ChatMessage],
    limit: int,
) -> CaseView:
    own = [m for m in _chat(answers) if m not in shared and m.content not in _values(case.input)]
    places = (slices.get(slice_name(*tag)) for tag in case.tags.items())
    return CaseView(
        id=case.id,
        line=one_line(case.input if isinstance(case.input, str) else _first(case.input), _LINE),
        outcome=_outcome(answers),
        critical=case.critical,
        traits=" ".join(traits_of(case, answers, chosen)),
        slices=" ".join(str(place) for place in places if place is not None),
        tags=", ".join(f"{tag}={value}" for tag, value in sorted(case.tags.items())),
        input=_fields(case.input, limit),
        expected=(
            Excerpt("none is given") if case.expected is None else excerpt(case.expected, limit)
        ),
        prompt=tuple(NamedText(m.role, excerpt(m.content, limit)) for m in own),
        answers=tuple(_answer(model, trial, limit) for model, trial in answers),
    )


def _fields(value: object, limit: int) -> tuple[NamedText, ...]:
    if isinstance(value, Mapping):
        return tuple(NamedText(str(name), excerpt(item, limit)) for name, item in value.items())
    return (NamedText("", excerpt(value, limit)),)


def _values(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, Mapping) else [value]


def _first(value: object) -> object:
    return next(iter(value.values()), "") if isinstance(value, Mapping) else value


def _outcome(answers: Answers) -> str:
    asked = [(model, trial) for model, trial in answers if trial is not None]
    if len(asked) == 1:
        return trial_badge(asked[0][1]).text
    failing = [model for model, trial in asked if not passes(trial)]
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
    facts = [seconds(trial.latency_s)]
    if isinstance(trial, FailedTrial):
        reason = trial.failure.reason.value.replace("_", " ")
        message = excerpt(trial.failure.message, limit)
        return AnswerView(model, badge, message, True, reason, facts[0])
    if trial.finish not in ("stop", "embedding"):
        facts.append(f"ended by: {trial.finish.replace('_', ' ')}")
    reason = one_line(trial.grade.reason, 500)
    return AnswerView(model, badge, excerpt(trial.answer, limit), False, reason, ", ".join(facts))
