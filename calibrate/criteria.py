"""What a candidate is held against: each part of the bar with its lines, fixed beforehand."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibrate.config import Bar
from calibrate.dataset import Case, clusters_of
from calibrate.stats.betting_plan import BettingPlan
from calibrate.stats.multiple import attempt_share
from calibrate.stats.plan import Crossing, Kind, Plan, plan_for

__all__ = [
    "Criterion",
    "GatePlan",
    "Part",
    "as_pair",
    "cascade_alpha",
    "design_rate",
    "level_of",
    "plan_gate",
]

SINGLE_SHARE = 0.6  # of the error, for single models where a workflow has cascades, too


Number = TypeVar("Number", float, NDArray[np.float64])


class Part(StrEnum):
    """A part of the bar that has lines of its own."""

    QUALITY = "quality"
    SLICE = "slice"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One part of the bar: the cases that are its evidence, and the lines that decide it.

    Each unit of evidence is one case or, where cases depend on each other, all of a group: their
    places in the seeded order. A unit counts once all of its cases are answered.
    """

    part: Part
    units: tuple[tuple[int, ...], ...]
    lines: Plan | BettingPlan
    tag: str = ""  # of a slice, with its value
    value: str = ""

    @property
    def size(self) -> int:
        """The number of cases that are its evidence."""
        return sum(map(len, self.units))

    @property
    def most_cases(self) -> int:
        """How many cases of the seeded order it takes at most to settle it."""
        return self.place(self.lines.n)

    def crossing(self, values: Sequence[float]) -> Crossing | None:
        """Return what is crossed first, counted in cases of the seeded order.

        `values` are those of the completed prefix, one a case. `OPEN` where the evidence ran out.
        """
        done = self.evidence(values)
        lines = self.lines
        found = (
            lines.settle([unit[0] > 0.5 for unit in done])
            if isinstance(lines, Plan)
            else lines.settle(done)
        )
        return self.in_cases(found, len(done))

    def in_cases(self, found: Crossing | None, units: int) -> Crossing | None:
        """Return what so many units have crossed, counted in cases; see `crossing`."""
        if found is not None:
            return Crossing(found.kind, self.place(found.index))
        if units >= self.lines.n:
            return Crossing(Kind.OPEN, self.place(self.lines.n))
        return None

    def evidence(self, values: Sequence[float], first: int = 0) -> list[list[float]]:
        """Return the values of each unit, from the `first` on, that is answered whole."""
        end = bisect_left(self.units, len(values), lo=first, key=itemgetter(-1))
        return [[values[place] for place in unit] for unit in self.units[first:end]]

    def place(self, index: int) -> int:
        """Return the number of cases of the seeded order that contain so many units."""
        return self.units[index - 1][-1] + 1


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What one candidate is held against; every part is known before it is asked."""

    bar: Bar
    alpha: float  # this attempt's share of the error
    next_alpha: float  # the share of another attempt, should this one not certify
    attempt: int
    cases: int
    repeats: int
    criteria: tuple[Criterion, ...]  # the quality first

    @property
    def lines(self) -> Plan | BettingPlan:
        """The lines of the quality."""
        return self.criteria[0].lines

    @property
    def test(self) -> Literal["exact", "betting"]:
        """How the quality is tested."""
        return "exact" if isinstance(self.lines, Plan) else "betting"

    @property
    def most_cases(self) -> int:
        """How many cases of the seeded order a candidate can be asked at most."""
        return max(criterion.most_cases for criterion in self.criteria)

    @property
    def can_certify(self) -> bool:
        """Whether a faultless model would be certified on these cases."""
        return all(criterion.lines.can_accept for criterion in self.criteria)

    @property
    def slices_too_small(self) -> tuple[Criterion, ...]:
        """The slices that no model could be certified on."""
        return tuple(
            criterion
            for criterion in self.criteria
            if criterion.part is Part.SLICE and not criterion.lines.can_accept
        )


def design_rate(bar: Bar) -> float:
    """Return the rate of a model that the plan is meant to certify."""
    return bar.least if bar.tolerance > 0 else bar.floor + (1 - bar.floor) / 2


def plan_gate(
    bar: Bar,
    candidates: int,
    cases: Sequence[Case],
    *,
    repeats: int = 1,
    attempt: int = 1,
    is_baseline: bool = False,
    level: float | None = None,
) -> GatePlan:
    """Return the plan of one of `candidates` models on cases in their seeded order.

    The error, `level` or else the bar's own, is shared out equally (union bound); what a model
    gets of its share depends on how many attempts failed before: `attempt_share`. The baseline
    need not be compared with itself. Where the bar has cascades, they have their own part.
    """
    whole = bar.alpha if level is None else level
    share = whole * (SINGLE_SHARE if bar.cascades else 1.0) / candidates
    alpha = share * attempt_share(attempt)
    is_binary = bar.measure == "pass_rate" and repeats == 1
    everything = list(range(len(cases)))
    criteria = [
        _criterion(Part.QUALITY, bar.floor, design_rate(bar), alpha, cases, everything, is_binary)
    ]
    for tag, floor in bar.slices.items():
        for value in sorted({case.tags[tag] for case in cases if tag in case.tags}):
            places = [place for place, case in enumerate(cases) if case.tags.get(tag) == value]
            rate = floor + (1 - floor) / 2
            found = _criterion(Part.SLICE, floor, rate, alpha, cases, places, is_binary, tag, value)
            criteria.append(found)
    if bar.of_baseline is not None and not is_baseline:
        criteria.append(_against_the_baseline(bar, bar.of_baseline, alpha, cases))
    return GatePlan(
        bar=bar,
        alpha=alpha,
        next_alpha=share * attempt_share(attempt + 1),
        attempt=attempt,
        cases=len(cases),
        repeats=repeats,
        criteria=tuple(criteria),
    )


def level_of(bar: Bar, alpha: float, candidates: int, attempt: int) -> float:
    """Return the error of a whole workflow in which one model's share is `alpha`."""
    whole = alpha / attempt_share(attempt) * candidates
    return whole / (SINGLE_SHARE if bar.cascades else 1.0)


def cascade_alpha(bar: Bar, *, attempt: int = 1, level: float | None = None) -> float:
    """Return the error that all cascades of a workflow share: what its single models leave."""
    whole = bar.alpha if level is None else level
    return whole * (1 - SINGLE_SHARE) * attempt_share(attempt)


def as_pair(share: float, score: Number, baseline: Number) -> Number:
    """Return score - share x baseline, put on [0, 1]; of one case or of many."""
    return (score - share * baseline + share) / (1 + share)


def _criterion(
    part: Part,
    floor: float,
    rate: float,
    alpha: float,
    cases: Sequence[Case],
    places: Sequence[int],
    is_binary: bool,
    tag: str = "",
    value: str = "",
) -> Criterion:
    """Return the exact lines where the evidence is independent and 0 or 1, else bets."""
    units = tuple(_units(cases, places))
    sizes = tuple(map(len, units))
    lines: Plan | BettingPlan
    if is_binary and max(sizes, default=1) == 1:
        lines = plan_for(len(units), floor, rate, alpha=alpha)
    else:
        lines = BettingPlan(sizes, floor, rate, alpha)
    return Criterion(part, units, lines, tag, value)


def _against_the_baseline(bar: Bar, share: float, alpha: float, cases: Sequence[Case]) -> Criterion:
    """Return the bets on the differences; as good as the baseline is what they are meant for."""
    units = tuple(_units(cases, range(len(cases))))
    lines = BettingPlan(
        sizes=tuple(map(len, units)),
        floor=as_pair(share, 0, 0),
        rate=as_pair(share, bar.floor, bar.floor),
        alpha=alpha,
        best=as_pair(share, 1, 1),
    )
    return Criterion(Part.BASELINE, units, lines)


def _units(cases: Sequence[Case], places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if all(cases[place].group is None for place in places):  # nearly always, and far quicker
        yield from ((place,) for place in places)
        return
    for cluster in clusters_of([cases[place] for place in places]):
        yield tuple(places[index] for index in cluster)
