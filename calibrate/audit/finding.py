"""What came of simulated calibrations, held against the promise."""

from __future__ import annotations

from dataclasses import dataclass

from calibrate.audit.design import Design
from calibrate.audit.simulate import Counts
from calibrate.audit.truth import Truth
from calibrate.stats.exact import Bounds, clopper_pearson

__all__ = ["Finding"]

LEVEL = 0.025  # of each end of an interval: 95 % for both


@dataclass(frozen=True, slots=True)
class Finding:
    """The calibrations of one design under one truth."""

    design: Design
    truth: Truth
    counts: Counts
    least_calls: float | None  # of any rule with the same errors, where known

    @property
    def wrong(self) -> Bounds:
        """How often a model that misses the bar was certified; both bounds make 95 %."""
        routes = zip(self.counts.routes, self.truth.meets, strict=True)
        wrong = sum(count for count, meets in routes if not meets)
        return clopper_pearson(wrong, self.counts.runs, alpha=LEVEL)

    @property
    def keeps_promise(self) -> bool:
        """Whether the simulation agrees with `wrong in at most alpha of all calibrations`."""
        return self.wrong.low <= self.design.bar.alpha

    @property
    def right(self) -> float | None:
        """How often the cheapest model that meets the bar was certified; None if none does."""
        best = self.truth.best
        return None if best is None else self.counts.routes[best] / self.counts.runs

    @property
    def calls(self) -> float:
        """The mean number of calls of a calibration."""
        return sum(self.counts.calls) / self.counts.runs

    @property
    def cost_usd(self) -> float:
        """The mean cost of a calibration."""
        each = zip(self.counts.calls, self.design.costs_usd, strict=True)
        return sum(calls * cost for calls, cost in each) / self.counts.runs

    @property
    def calls_saved(self) -> float:
        """The share of all calls that a calibration does without."""
        return 1 - self.calls / self.design.calls

    @property
    def cost_saved(self) -> float | None:
        """The same of the cost; None where nothing costs anything."""
        whole = self.design.cost_usd
        return 1 - self.cost_usd / whole if whole else None
