"""The fewest calls that any calibration with the same errors could get by with."""

from __future__ import annotations

from scipy.special import rel_entr

from calibrate.audit.design import Design
from calibrate.audit.truth import Truth
from calibrate.stats.plan import Plan, operating_characteristics

__all__ = ["least_calls"]


def least_calls(design: Design, truth: Truth) -> float | None:
    """Return a lower bound on the mean number of calls, or None where none is known.

    It bounds every rule that asks the models one after another, cheapest first, and certifies each
    as often as the exact plan does: at its own rate, at the floor and at the rate the plan is
    meant for. It needs independent models, cases and calls, and a bar of one part. Source: Wald's
    inequality in the form of Kaufmann, Cappe & Garivier, JMLR 17 (2016), Lemma 1.
    """
    if truth.correlation or truth.within_group or truth.failing:
        return None
    reached, calls = 1.0, 0.0
    for plan, rate in zip(design.plans, truth.rates, strict=True):
        lines = plan.lines
        if len(plan.criteria) > 1 or not isinstance(lines, Plan):
            return None
        calls += reached * _least_observations(lines, rate)
        reached *= 1 - operating_characteristics(lines, rate).accept_probability
    return calls or None


def _least_observations(lines: Plan, rate: float) -> float:
    """Return how many observations it takes at least to tell `rate` from the plan's two rates."""
    accepted = operating_characteristics(lines, rate).accept_probability
    least = 0.0
    for other in (lines.floor, lines.rate):
        apart = _divergence(rate, other)
        if apart:  # nothing is told apart from itself
            there = operating_characteristics(lines, other).accept_probability
            least = max(least, _divergence(accepted, there) / apart)
    return least


def _divergence(p: float, q: float) -> float:
    """Return the Kullback-Leibler divergence of two Bernoulli laws; sums may be a hair over 1."""
    p, q = min(p, 1.0), min(q, 1.0)
    return float(rel_entr(p, q) + rel_entr(1 - p, 1 - q))
