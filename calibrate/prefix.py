"""How far a candidate has come on the completed prefix of its cases: what each new answer adds.

A look takes the time of the new answers alone, so that it can follow every few. It tells when a
verdict has fallen; which, `judge` says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from calibrate.criteria import Criterion, GatePlan, Part
from calibrate.gate import case_scores, pair_scores
from calibrate.stats.betting_plan import Course
from calibrate.stats.plan import Crossing, Kind, Plan
from calibrate.stats.walk import Walk
from calibrate.trial import AnyTrial

__all__ = ["Prefix", "Progress", "nothing_seen"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one part of the bar has come."""

    criterion: Criterion
    course: Walk | Course
    crossing: Crossing | None = None  # in cases of the seeded order; see `Criterion.crossing`
    earliest: int = 0  # about how many cases it takes until something is, as last looked up

    def after(self, values: Sequence[float]) -> Progress:
        """Return how far it has come on a longer prefix, of which these are all values."""
        fresh = self.criterion.evidence(values, self.course.seen)
        if not fresh or self.crossing is not None:
            return self
        course = self.course.after(fresh)
        crossing = self.criterion.in_cases(course.crossing, course.seen)
        return replace(self, course=course, crossing=crossing)

    def looked_ahead(self) -> Progress:
        """Return the same with `earliest` looked up."""
        return replace(self, earliest=self.criterion.place(self.course.earliest_crossing()))


@dataclass(frozen=True, slots=True)
class Prefix:
    """What has been seen of a candidate, one value a case, and each part of its bar."""

    plan: GatePlan
    scores: tuple[float, ...]
    pairs: tuple[float, ...]
    parts: tuple[Progress, ...]

    @property
    def is_open(self) -> bool:
        """Whether no verdict has fallen: nothing speaks against the candidate, nor all for it."""
        found = [part.crossing for part in self.parts]
        return None in found and all(c is None or c.kind is Kind.ACCEPTED for c in found)

    @property
    def next_look(self) -> int:
        """The number of cases at which a verdict could fall at the earliest."""
        return min(part.earliest for part in self.parts if part.crossing is None)

    def after(self, trials: Sequence[AnyTrial], baseline: Sequence[AnyTrial] = ()) -> Prefix:
        """Return how far the candidate has come with the trials of its next cases, each whole.

        `baseline` are those of the baseline for the same cases, where the bar compares with it.
        """
        scores = (*self.scores, *case_scores(self.plan, trials))
        pairs = (*self.pairs, *pair_scores(self.plan, trials, baseline))
        parts = [
            part.after(pairs if part.criterion.part is Part.BASELINE else scores)
            for part in self.parts
        ]
        return Prefix(self.plan, scores, pairs, _looked_ahead(parts))


def nothing_seen(plan: GatePlan) -> Prefix:
    """Return how far a candidate is before its first case."""
    parts = [
        Progress(c, Walk(c.lines) if isinstance(c.lines, Plan) else c.lines.start())
        for c in plan.criteria
    ]
    return Prefix(plan, (), (), _looked_ahead(parts))


def _looked_ahead(parts: Sequence[Progress]) -> tuple[Progress, ...]:
    """Look up `earliest` for as many open parts as it takes to know which is the first of them.

    What was looked up on a shorter prefix is too early, if anything: where another part comes
    before it all the same, it need not be looked up again.
    """
    ahead, least = list(parts), math.inf
    for at in sorted(range(len(parts)), key=lambda at: parts[at].earliest):
        if parts[at].crossing is None and parts[at].earliest < least:
            ahead[at] = parts[at].looked_ahead()
            least = min(least, ahead[at].earliest)
    return tuple(ahead)
