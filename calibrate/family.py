"""Several workflows in one decision: which of their certified routes one error rate allows.

By default each workflow is its own decision with its own error. In a bulk run the errors add up,
so the routes are tested as a family: against any wrong one (Holm), or for the share of wrong ones
among those that change (Benjamini and Hochberg).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from calibrate.decide import Calibration, Status, choose_route
from calibrate.gate import Outcome, Reason
from calibrate.stats.multiple import benjamini_hochberg, holm

__all__ = ["Family", "allowed", "expected_wrong", "levels", "same_route", "withheld"]

Family = Literal["holm", "bh"]

_HAIR = 1 - 1e-9  # steps are compared with what they were made from: rounding must not decide
MOST_LEVELS = 8  # that a workflow is decided at; a p-value between two of them counts as the larger


def levels(family: Family, candidates: Sequence[int], alpha: float) -> list[list[float]]:
    """Return the errors that each workflow is decided at, the largest first.

    `candidates` has how many models each workflow has. They are steps of the procedure: what is
    certified at one of them has that p-value, and at least one of them is always allowed.
    """
    workflows, models = len(candidates), sum(candidates)
    places = sorted({_spread(i, workflows) for i in range(min(MOST_LEVELS, workflows))})
    if family == "holm":  # a share of the error for each model of each workflow
        steps = [_HAIR * alpha / (models - workflows + 1 + at) for at in places]
        return [[k * step for step in steps] for k in candidates]
    return [[_HAIR * alpha * (workflows - at) / workflows for at in places] for _ in candidates]


def allowed(
    family: Family, found: Sequence[float | None], candidates: Sequence[int], alpha: float
) -> list[bool]:
    """Return which workflows may keep the route that is certified at these errors.

    `found` has for each workflow the least error at which its cheapest certified model still is;
    None where none is. Guarantee: with `holm`, P(any kept route misses its bar) <= alpha, under any
    dependence: every model of every workflow is a hypothesis, and those not certified have
    p-value 1. With `bh`, the expected share of kept routes that miss is at most alpha, for
    workflows that are independent: P(the route misses and is certified at level t) <= t for each,
    which is all that Benjamini and Hochberg's proof (JRSS B 57 (1995), Theorem 1) asks.
    """
    if family == "bh":
        p_values = [1.0 if level is None else level for level in found]
        return list(benjamini_hochberg(p_values, alpha=alpha).rejected)
    each = [1.0 if p is None else p / k for p, k in zip(found, candidates, strict=True)]
    others = [1.0] * (sum(candidates) - len(candidates))
    return list(holm([*each, *others], alpha=alpha).rejected[: len(candidates)])


def expected_wrong(calibrations: Sequence[Calibration]) -> float:
    """Return the most wrong routes to expect of workflows that were decided each by itself."""
    certified = (c for c in calibrations if c.decision.status is Status.CERTIFIED)
    return round(sum(c.task.workflow.bar.alpha for c in certified), 6)


def same_route(found: Sequence[Calibration]) -> int:
    """Return how many calibrations from the first on certify the same model."""
    if not found or found[0].decision.status is not Status.CERTIFIED:
        return 0
    count = 1
    for before, after in pairwise(found):
        is_same = after.decision.chosen is before.decision.chosen
        if after.decision.status is not Status.CERTIFIED or not is_same:
            break
        count += 1
    return count


def withheld(calibration: Calibration) -> Calibration:
    """Return the calibration without the certification that the family does not allow."""
    verdicts = tuple(
        replace(v, outcome=Outcome.UNDECIDED, reason=Reason.FAMILY)
        if v.outcome is Outcome.CERTIFIED
        else v
        for v in calibration.verdicts
    )
    decision = choose_route(calibration.task.field, verdicts)
    return replace(calibration, verdicts=verdicts, decision=decision)


def _spread(index: int, workflows: int) -> int:
    """Places from 0 to workflows - 1, nearly evenly spread."""
    return round(index * (workflows - 1) / max(min(MOST_LEVELS, workflows) - 1, 1))
