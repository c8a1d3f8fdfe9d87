"""Every case with every model's answer, side by side; the ones to look at first come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calibrate.completion import ChatMessage
from calibrate.dataset import Case
from calibrate.decide import Calibration
from calibrate.report.badges import Badge, trial_badge
from calibrate.report.breakdown import measured
from calibrate.report.excerpt import Excerpt, excerpt, one_line
from calibrate.trial import AnyTrial, FailedTrial, passes
from calibrate.words import seconds

__all__ = [
    "MOST_CASES",
    "AnswerView",
    "CaseGroup",
    "CaseView",
    "NamedText",
    "PromptView",
    "case_groups",
    "prompt_of",
]

MOST_CASES = 500  # of one group; the rest are counted
PROMPT_LIMIT = 20_000  # characters of one message
_LINE = 90

Answers = Sequence[tuple[str, AnyTrial | None]]  # by model, in the candidates' order


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
    tags: str
    input: tuple[NamedText, ...]
    expected: Excerpt
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


def case_groups(calibration: Calibration) -> tuple[CaseGroup, ...]:
    """Return the cases that no model passes, those on which they differ, and the rest.

    Within a group the cases that the route's model fails come first, critical ones before
    others; then the seeded order. Of a case's repeats the worst is shown.
    """
    by_model = {
        verdict.model: {
            trial.case.id: trial
            for trial in sorted(trials, key=lambda trial: trial.score, reverse=True)
        }
        for verdict, trials in measured(calibration)
    }
    chosen = calibration.decision.chosen.alias
    groups: dict[str, list[tuple[Case, Answers]]] = {title: [] for title in _titles(len(by_model))}
    for case in calibration.task.cases:
        answers = [(model, found.get(case.id)) for model, found in by_model.items()]
        if any(trial is not None for _, trial in answers):
            groups[_title_for(answers)].append((case, answers))
    return tuple(
        _group(
            title,
            sorted(found, key=lambda pair: (not _fails(chosen, pair[1]), not pair[0].critical)),
        )
        for title, found in groups.items()
        if found
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


def _titles(models: int) -> tuple[str, str, str]:
    if models == 1:
        return "Not passed", "", "Passed"
    return "No model passes", "Models differ", "Every model passes"


def _title_for(answers: Answers) -> str:
    passed = [passes(trial) for _, trial in answers if trial is not None]
    none, some, every = _titles(len(answers))
    return every if all(passed) else some if any(passed) else none


def _fails(model: str, answers: Answers) -> bool:
    return any(name == model and trial is not None and not passes(trial) for name, trial in answers)


def _group(title: str, found: Sequence[tuple[Case, Answers]]) -> CaseGroup:
    n = len(found)
    return CaseGroup(
        title=title,
        count=f"{n:,} case{'' if n == 1 else 's'}",
        note=f"The first {MOST_CASES:,} of {n:,} are shown." if n > MOST_CASES else "",
        cases=tuple(_case(case, answers) for case, answers in found[:MOST_CASES]),
    )


def _case(case: Case, answers: Answers) -> CaseView:
    fields = _fields(case.input)
    return CaseView(
        id=case.id,
        line=one_line(case.input if isinstance(case.input, str) else _first(case.input), _LINE),
        outcome=_outcome(answers),
        critical=case.critical,
        tags=", ".join(f"{tag}={value}" for tag, value in sorted(case.tags.items())),
        input=fields,
        expected=Excerpt("none is given") if case.expected is None else excerpt(case.expected),
        answers=tuple(_answer(model, trial) for model, trial in answers),
    )


def _fields(value: object) -> tuple[NamedText, ...]:
    if isinstance(value, Mapping):
        return tuple(NamedText(str(name), excerpt(item)) for name, item in value.items())
    return (NamedText("", excerpt(value)),)


def _first(value: object) -> object:
    return next(iter(value.values()), "") if isinstance(value, Mapping) else value


def _outcome(answers: Answers) -> str:
    asked = [(model, trial) for model, trial in answers if trial is not None]
    if len(asked) == 1:
        return trial_badge(asked[0][1]).text
    failing = [model for model, trial in asked if not passes(trial)]
    if not failing:
        return "all pass"
    return "all fail" if len(failing) == len(asked) else f"fails: {', '.join(failing)}"


def _answer(model: str, trial: AnyTrial | None) -> AnswerView:
    badge = trial_badge(trial)
    if trial is None:
        return AnswerView(model, badge, Excerpt(""), False, "", "")
    facts = [seconds(trial.latency_s)]
    if isinstance(trial, FailedTrial):
        reason = trial.failure.reason.value.replace("_", " ")
        return AnswerView(model, badge, excerpt(trial.failure.message), True, reason, facts[0])
    if trial.finish not in ("stop", "embedding"):
        facts.append(f"ended by: {trial.finish.replace('_', ' ')}")
    reason = one_line(trial.grade.reason, 500)
    return AnswerView(model, badge, excerpt(trial.answer), False, reason, ", ".join(facts))
