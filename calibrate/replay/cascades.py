"""The figures of a certified cascade, and what was looked at to find one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibrate.cascade.curves import Cascade, scores_at, signal_quality
from calibrate.cascade.hypotheses import BEST, Hypotheses
from calibrate.cascade.routes import CertifiedRoute, RouteSearch
from calibrate.gate import Outcome, Reason
from calibrate.outcomes import TaskOutcomes
from calibrate.replay.found import Cascading, Escalation, Replayed, ReplayVerdict
from calibrate.replay.verdicts import with_bounds

__all__ = ["cascade_verdict", "cascading_of", "is_too_dear"]


def is_too_dear(route: CertifiedRoute, found: Replayed) -> bool:
    """Return whether the observed best, which is not known to fail, costs less."""
    if found.bar.baseline != BEST or found.baseline.outcome is Outcome.FAILED:
        return False
    return route.cost_usd > (found.baseline.cost_usd_per_item or 0.0)


def cascade_verdict(tests: Hypotheses, route: CertifiedRoute, cascade: Cascade) -> ReplayVerdict:
    """Return the figures of a certified cascade, under the name of its first model."""
    verdict = ReplayVerdict(
        model=tests.used.models[route.model],
        outcome=Outcome.CERTIFIED,
        reason=Reason.QUALITY,
        adjusted_p_value=route.adjusted_p_value,
        estimate=float(cascade.quality[route.at]),
        cost_usd_per_item=route.cost_usd,
    )
    if not tests.is_exact:
        return verdict
    passed = int(scores_at(cascade, route.at, tests.used.scores).sum())
    return with_bounds(verdict, passed, len(tests.used.items), tests.bar.alpha)


def cascading_of(
    tests: Hypotheses,
    order: NDArray[np.int64],
    search: RouteSearch,
    route: CertifiedRoute | None,
) -> Cascading:
    """Return what was looked at besides the single models, and the route's escalation."""
    used = tests.used
    signals = np.full_like(used.scores, np.nan) if used.signals is None else used.signals
    quality = tuple(signal_quality(signals[at], used.scores[at]) for at in order.tolist())
    lacking: Literal["costs", "signals"] | None = None
    if used.costs_usd is None or used.signals is None:
        lacking = "costs" if used.costs_usd is None else "signals"
    escalation = None
    if route is not None and route.cascade is not None:
        escalation = _escalation(used, route.cascade, route.at)
    return Cascading(escalation, quality, search.thresholds, search.tested, lacking)


def _escalation(used: TaskOutcomes, cascade: Cascade, at: int) -> Escalation:
    late = cascade.latency_p95_s
    return Escalation(
        below=float(cascade.below[at]),
        to=used.models[cascade.strong],
        share=float(cascade.escalated[at]),
        break_even=cascade.break_even,
        latency_p95_s=None if late is None else float(late[at]),
        grid=tuple(cascade.below.tolist()),
    )
