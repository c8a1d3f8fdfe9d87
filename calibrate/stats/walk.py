"""How far a growing sample of independent 0s and 1s has come under its plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrate.stats.plan import Crossing, Kind, Plan

__all__ = ["Walk"]


@dataclass(frozen=True, slots=True)
class Walk:
    """A sample's failures so far, and the first line of its plan that they crossed.

    It comes to the same however a sample is cut, and each piece takes the time of its own length.
    """

    plan: Plan
    seen: int = 0
    failures: int = 0
    crossing: Crossing | None = None

    def after(self, observations: Sequence[Sequence[float]]) -> Walk:
        """Return how far it has come after its next observations, each one score: 0 or 1."""
        plan, seen, failures, crossing = self.plan, self.seen, self.failures, self.crossing
        for (score,) in observations[: plan.n - seen]:
            seen += 1
            failures += score <= 0.5
            if crossing is None:
                crossing = _crossed(plan, seen, failures)
        return Walk(plan, seen, failures, crossing)

    def earliest_crossing(self) -> int:
        """Return after how many observations something more could be crossed, at most n."""
        return self.plan.earliest_crossing(self.seen, self.failures)


def _crossed(plan: Plan, seen: int, failures: int) -> Crossing | None:
    """What is crossed at this observation, in the order of `Plan.settle`."""
    if failures <= plan.accept[seen]:
        return Crossing(Kind.ACCEPTED, seen)
    if failures >= plan.reject[seen]:
        return Crossing(Kind.REJECTED, seen)
    if plan.futile_from <= seen < plan.n and failures >= plan.futile[seen]:
        return Crossing(Kind.FUTILE, seen)
    return None
