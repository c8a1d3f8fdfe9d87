"""Which label was answered where another was expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from calibrate.decide import Calibration
from calibrate.errors import GraderError
from calibrate.graders import NamedGrader, grade_answer
from calibrate.report.breakdown import measured
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = [
    "MOST_LABELS",
    "Cell",
    "Confusion",
    "ConfusionRow",
    "LabelCount",
    "confusions_of",
    "label_counts",
]

MOST_LABELS = 30
_NO_LABEL, _NO_ANSWER = "no label", "no answer"


Counts = Counter[tuple[str, str]]  # cases by what was expected and what was answered


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many cases of an expected label a model answered with one."""

    model: str
    expected: str
    answered: str
    cases: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of cases, and what kind it is: right, wrong or none."""

    count: str
    kind: str


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """The cases of one expected label: how many were answered with each."""

    expected: str
    cells: tuple[Cell, ...]
    total: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """What one model answered where each label was expected."""

    model: str
    chosen: bool
    cases: str  # how many were asked
    answered: tuple[str, ...]
    rows: tuple[ConfusionRow, ...]


def confusions_of(calibration: Calibration) -> tuple[Confusion, ...]:
    """Return a table a measured model; none without labels, or with too many to be read."""
    labels = calibration.task.workflow.labels or []
    chosen = calibration.decision.chosen.alias
    return tuple(
        _confusion(model, model == chosen, counts, labels) for model, counts in _counts(calibration)
    )


def label_counts(calibration: Calibration) -> tuple[LabelCount, ...]:
    """Return the counts behind the tables, without those that are 0."""
    return tuple(
        LabelCount(model, expected, answered, cases)
        for model, counts in _counts(calibration)
        for (expected, answered), cases in sorted(counts.items())
    )


def _counts(calibration: Calibration) -> Iterator[tuple[str, Counts]]:
    labels = calibration.task.workflow.labels or []
    if not labels or len(labels) > MOST_LABELS:
        return
    named = _label_reader(calibration.task.graders, labels)
    for verdict, trials in measured(calibration):
        yield verdict.model, Counter((str(t.case.expected), named(t)) for t in trials)


def _label_reader(
    graders: Sequence[NamedGrader], labels: Sequence[str]
) -> Callable[[AnyTrial], str]:
    """Return what tells an answer's label: the one for which the workflow's graders pass it."""

    @cache
    def label_of(answer: str) -> str:
        found = [label for label in labels if _accept(graders, answer, label)]
        return found[0] if len(found) == 1 else _NO_LABEL

    def read(trial: AnyTrial) -> str:
        if isinstance(trial, FailedTrial):
            return _NO_ANSWER
        return str(trial.case.expected) if passes(trial) else label_of(trial.answer)

    return read


def _accept(graders: Sequence[NamedGrader], answer: str, label: str) -> bool:
    try:
        return grade_answer(graders, answer, label).score >= 1
    except GraderError:
        return False


def _confusion(
    model: str,
    chosen: bool,
    counts: Counts,
    labels: Sequence[str],
) -> Confusion:
    seen = {answered for _, answered in counts}
    answered = [*labels, *(extra for extra in (_NO_LABEL, _NO_ANSWER) if extra in seen)]
    return Confusion(
        model=model,
        chosen=chosen,
        cases=f"{counts.total():,}",
        answered=tuple(answered),
        rows=tuple(
            ConfusionRow(
                expected=label,
                cells=tuple(_cell(counts[label, other], label == other) for other in answered),
                total=f"{sum(counts[label, other] for other in answered):,}",
            )
            for label in labels
        ),
    )


def _cell(count: int, right: bool) -> Cell:
    return Cell(f"{count:,}", "none" if count == 0 else "right" if right else "wrong")
