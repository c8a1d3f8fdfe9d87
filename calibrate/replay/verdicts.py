"""What the outcomes say of each model."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibrate.cascade.hypotheses import Hypotheses
from calibrate.gate import Outcome, Reason
from calibrate.replay.found import ReplayVerdict
from calibrate.stats.exact import clopper_pearson, sample_size_for_rate
from calibrate.stats.together import Steps

__all__ = ["model_verdicts", "with_bounds"]

Floats = NDArray[np.float64]

SETTLE_LIMIT = 100_000  # cases; a longer search would say nothing that can be acted on


def model_verdicts(
    tests: Hypotheses, order: NDArray[np.int64], costs: Floats, adjusted: Sequence[float]
) -> Steps[tuple[ReplayVerdict, ...]]:
    """Return each model's verdict in the order given, at its adjusted p-value in that order."""
    level = tests.bar.alpha / len(order)
    failed = (yield from tests.below(level)) <= level
    known = tests.used.costs_usd is not None
    return tuple(
        _verdict(tests, at, adjusted[i], bool(failed[at]), float(costs[at]) if known else None)
        for i, at in enumerate(order.tolist())
    )


@functools.lru_cache(maxsize=4096)  # in a table of many tasks the same rates return
def _cases_to_settle(estimate: float, floor: float, alpha: float) -> int | None:
    return sample_size_for_rate(estimate, floor, alpha=alpha, limit=SETTLE_LIMIT)


def _verdict(
    tests: Hypotheses, model: int, adjusted: float, failed: bool, cost: float | None
) -> ReplayVerdict:
    scores, bar = tests.used.scores[model], tests.bar
    certified = adjusted <= bar.alpha
    outcome = Outcome.FAILED if failed else Outcome.UNDECIDED
    verdict = ReplayVerdict(
        model=tests.used.models[model],
        outcome=Outcome.CERTIFIED if certified else outcome,
        reason=Reason.QUALITY if certified or failed else Reason.EXHAUSTED,
        adjusted_p_value=adjusted,
        estimate=float(scores.mean()),
        cost_usd_per_item=cost,
    )
    if not tests.is_exact:
        return verdict
    verdict = with_bounds(verdict, int(scores.sum()), len(scores), bar.alpha)
    if bar.pass_rate is None or bar.of_baseline is not None or certified or failed:
        return verdict
    share = bar.alpha / len(tests.used.models)
    more = _cases_to_settle(verdict.estimate, bar.pass_rate, share)
    return replace(verdict, cases_to_settle=more)


def with_bounds(verdict: ReplayVerdict, passed: int, n: int, alpha: float) -> ReplayVerdict:
    """Return the verdict with what of n items passed, and Clopper-Pearson's bounds."""
    bounds = clopper_pearson(passed, n, alpha=alpha)
    return replace(verdict, passed=passed, lower_bound=bounds.low, upper_bound=bounds.high)
