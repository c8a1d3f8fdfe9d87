"""What the cases of a page may be filtered by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from functools import cache

from calibrate.dataset import Case
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = [
    "Answers",
    "fails",
    "offered_traits",
    "slice_name",
    "slices_of",
    "traits_of",
]

MOST_SLICES = 100  # to choose from

Answers = Sequence[AnyTrial | None]  # in the models' order; None where one was not asked


def fails(trial: AnyTrial | None) -> bool:
    """Return whether a model was asked and did not pass."""
    return trial is not None and not passes(trial)


def traits_of(case: Case, answers: Answers, of_route: AnyTrial | None) -> tuple[str, ...]:
    """Return what a filter may ask of a case; `of_route` is what the route's model made of it."""
    asked = [trial for trial in answers if trial is not None]
    return _named(
        len(set(map(passes, asked))) > 1,
        fails(of_route),
        any(isinstance(trial, FailedTrial) for trial in asked),
        case.critical,
    )


def offered_traits(seen: Container[str]) -> tuple[tuple[str, str], ...]:
    """Return the traits that some of the cases have, each with its label."""
    labels = {
        "differ": "Models differ",
        "missed": "The route fails",
        "unanswered": "A call failed",
        "critical": "Critical",
    }
    return tuple((trait, label) for trait, label in labels.items() if trait in seen)


def slices_of(cases: Iterable[Case]) -> dict[str, int]:
    """Return the place of each tag's value among those to choose from, the frequent ones."""
    counts = Counter(slice_name(*tag) for case in cases for tag in case.tags.items())
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_SLICES]
    return {name: place for place, name in enumerate(sorted(frequent))}


def slice_name(tag: str, value: str) -> str:
    """Return how a tag's value is called where slices are chosen."""
    return f"{tag} = {value}"


@cache
def _named(differ: bool, missed: bool, unanswered: bool, critical: bool) -> tuple[str, ...]:
    holds = {
        "differ": differ,
        "missed": missed,
        "unanswered": unanswered,
        "critical": critical,
    }
    return tuple(name for name, is_so in holds.items() if is_so)
