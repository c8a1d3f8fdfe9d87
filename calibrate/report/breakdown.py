"""Where the models differ: pass rates by tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from calibrate.decide import Calibration
from calibrate.gate import Verdict
from calibrate.report.badges import OUTCOME_BADGES, Badge
from calibrate.trial import AnyTrial, passes
from calibrate.words import percent

__all__ = [
    "TagCell",
    "TagCount",
    "TagRow",
    "TagTable",
    "measured",
    "tag_counts",
    "tag_tables",
]

MOST_VALUES = 40  # of one tag


@dataclass(frozen=True, slots=True)
class TagCount:
    """How many cases of one tag value a model was asked, and how many of them it passed."""

    tag: str
    value: str
    model: str
    passed: int
    cases: int


@dataclass(frozen=True, slots=True)
class TagCell:
    """How a model did on the cases of one tag value."""

    rate: str
    count: str
    badge: Badge | None  # where the bar has a floor for this tag


@dataclass(frozen=True, slots=True)
class TagRow:
    value: str
    cells: tuple[TagCell, ...]


@dataclass(frozen=True, slots=True)
class TagTable:
    """Pass rates of the measured models for each value of a tag."""

    tag: str
    note: str
    models: tuple[tuple[str, str], ...]  # each with the number of cases that it was asked
    rows: tuple[TagRow, ...]


def measured(calibration: Calibration) -> Iterator[tuple[Verdict, Sequence[AnyTrial]]]:
    """Yield the verdict and the trials of each model that was asked, in the candidates' order."""
    for verdict in calibration.verdicts:
        trials = calibration.trials.get(verdict.model)
        if trials:
            yield verdict, trials


def tag_tables(calibration: Calibration) -> tuple[TagTable, ...]:
    """Return a table a tag, by name; those that the bar has a floor for come first."""
    floors = calibration.task.workflow.bar.slices
    return tuple(_tag_table(tag, floors.get(tag), calibration) for tag in _tags(calibration))


def tag_counts(calibration: Calibration) -> tuple[TagCount, ...]:
    """Return the counts behind the tables, of the values that these show."""
    asked = list(measured(calibration))
    found = []
    for tag in _tags(calibration):
        counts = [(v.model, _passed_by_value(tag, trials)) for v, trials in asked]
        found += [
            TagCount(tag, value, model, *count.get(value, (0, 0)))
            for value in _shown(_sizes(tag, calibration))
            for model, count in counts
        ]
    return tuple(found)


def _tags(calibration: Calibration) -> list[str]:
    floors = calibration.task.workflow.bar.slices
    tags = {tag for case in calibration.task.cases for tag in case.tags}
    return sorted(tags, key=lambda tag: (tag not in floors, tag))


def _sizes(tag: str, calibration: Calibration) -> Counter[str]:
    return Counter(c.tags[tag] for c in calibration.task.cases if tag in c.tags)


def _shown(sizes: Counter[str]) -> list[str]:
    """Return the values of a tag that there is room for."""
    if len(sizes) <= MOST_VALUES:
        return sorted(sizes)
    return sorted(sizes, key=lambda value: (-sizes[value], value))[:MOST_VALUES]


def _tag_table(tag: str, floor: float | None, calibration: Calibration) -> TagTable:
    sizes = _sizes(tag, calibration)
    values = _shown(sizes)
    notes = [] if floor is None else [f"each value must reach {percent(floor)}"]
    if len(sizes) > len(values):
        notes.append(f"the {len(values)} most frequent of {len(sizes):,} values")
    asked = list(measured(calibration))
    counts = [_passed_by_value(tag, trials) for _, trials in asked]
    return TagTable(
        tag=tag,
        note="; ".join(notes),
        models=tuple((verdict.model, f"{len(trials):,}") for verdict, trials in asked),
        rows=tuple(
            TagRow(
                value,
                tuple(
                    _tag_cell(found.get(value, (0, 0)), _slice_badge(verdict, tag, value))
                    for (verdict, _), found in zip(asked, counts, strict=True)
                ),
            )
            for value in values
        ),
    )


def _passed_by_value(tag: str, trials: Sequence[AnyTrial]) -> Mapping[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for trial in trials:
        if tag in trial.case.tags:
            passed, cases = found.get(trial.case.tags[tag], (0, 0))
            found[trial.case.tags[tag]] = (passed + passes(trial), cases + 1)
    return found


def _tag_cell(count: tuple[int, int], badge: Badge | None) -> TagCell:
    passed, cases = count
    if cases == 0:
        return TagCell("–", "", badge)
    return TagCell(percent(passed / cases), f"{passed:,}/{cases:,}", badge)


def _slice_badge(verdict: Verdict, tag: str, value: str) -> Badge | None:
    for part in verdict.slices:
        if (part.tag, part.value) == (tag, value):
            return OUTCOME_BADGES[part.outcome]
    return None
