"""What a replay finds: a route, and what the outcomes say of each model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from calibrate.cascade.curves import SignalQuality
from calibrate.cascade.hypotheses import ReplayBar
from calibrate.decide import Status
from calibrate.gate import Outcome, Reason

__all__ = ["RULE", "SIGNAL", "Cascading", "Escalation", "ReplayVerdict", "Replayed"]

RULE: Literal["sequential", "full"] = "full"
SIGNAL = "confidence"  # the table's column


@dataclass(frozen=True, slots=True)
class ReplayVerdict:
    """What the outcomes say of one model.

    `adjusted_p_value` is the least error of the whole task at which the model is certified. The
    bounds are Clopper-Pearson's, one-sided at the task's alpha each and descriptive; there are
    none for scores between 0 and 1 or items in groups. `passed` is None for such scores.
    """

    model: str
    outcome: Outcome
    reason: Reason
    adjusted_p_value: float
    estimate: float
    passed: int | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    cost_usd_per_item: float | None = None
    cases_to_settle: int | None = None

    @property
    def cost_usd_per_1k_requests(self) -> float | None:
        cost = self.cost_usd_per_item
        return None if cost is None else cost * 1000


@dataclass(frozen=True, slots=True)
class Escalation:
    """When a route's model hands a request on, and what that means on the items.

    At the share `break_even` it would cost as much as the stronger model by itself.
    """

    below: float
    to: str
    share: float
    break_even: float
    latency_p95_s: float | None
    grid: tuple[float, ...]  # falling; thresholds between these part the items no differently


@dataclass(frozen=True, slots=True)
class Cascading:
    """What was looked at besides the single models; `signals` are in the order of the verdicts."""

    escalation: Escalation | None  # of the route; None: it is a single model
    signals: tuple[SignalQuality | None, ...]
    thresholds: int
    tested: int
    lacking: Literal["costs", "signals"] | None  # without which there are no cascades


@dataclass(frozen=True, slots=True)
class Replayed:
    """A task's route and what stands behind it; `verdicts` are cheapest first.

    Where the route is a cascade, `route` names its first model and has the figures of the whole.
    """

    task: str
    bar: ReplayBar
    status: Status
    route: ReplayVerdict
    baseline: ReplayVerdict
    verdicts: tuple[ReplayVerdict, ...]
    cases: int
    clusters: int | None  # independent groups of items, where the table has them
    left_out: int
    test: Literal["exact", "betting"]
    cascading: Cascading | None = None  # None: cascades were not asked for

    @property
    def escalation(self) -> Escalation | None:
        return None if self.cascading is None else self.cascading.escalation

    @property
    def relative_cost(self) -> float | None:
        """The route's cost as a share of the baseline's; None without costs."""
        cost, whole = self.route.cost_usd_per_item, self.baseline.cost_usd_per_item
        return None if cost is None or not whole else cost / whole
