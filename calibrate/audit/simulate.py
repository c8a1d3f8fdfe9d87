"""Simulated calibrations, many at once: which model each routes to, and whom it asks how often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.audit.design import Design
from calibrate.audit.truth import Answers, Truth, draw
from calibrate.criteria import Criterion, Part, as_pair
from calibrate.gate import OUTAGE_SHARE
from calibrate.stats.betting_plan import BettingPlan
from calibrate.stats.plan import Crossings, Kind, settle_many

__all__ = ["Counts", "Settled", "settle", "simulate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many calibrations route to each model as certified, and how often each was called."""

    runs: int
    routes: tuple[int, ...]
    calls: tuple[int, ...]

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.runs + other.runs,
            tuple(a + b for a, b in zip(self.routes, other.routes, strict=True)),
            tuple(a + b for a, b in zip(self.calls, other.calls, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """For each run, whether one model is certified, and at how many cases its verdict falls."""

    certified: NDArray[np.bool_]
    cases_used: NDArray[np.int64]


def simulate(design: Design, truth: Truth, runs: int, rng: np.random.Generator) -> Counts:
    """Return what `runs` calibrations come to: cheapest first, until a model is certified.

    Calls are counted up to the case where each verdict falls; what a run has in flight besides
    is not among them. Where the bar compares with the baseline, that is asked the same cases.
    """
    k = len(design.models)
    answers = draw(rng, design, truth, runs, max(plan.most_cases for plan in design.plans))
    routes = np.full(runs, k)  # k: none is certified
    used = np.zeros((runs, k), np.int64)
    for model in range(k):
        asked = np.flatnonzero(routes == k)
        if not len(asked):
            break
        found = settle(design, model, _of_runs(answers, asked))
        routes[asked[found.certified]] = model
        for other in _asked(design, model):
            used[asked, other] = np.maximum(used[asked, other], found.cases_used)
    return Counts(
        runs,
        tuple(np.bincount(routes, minlength=k + 1)[:k].tolist()),
        tuple((used.sum(axis=0) * design.repeats).tolist()),
    )


def settle(design: Design, model: int, answers: Answers) -> Settled:
    """Return where one model's verdict falls in each run: what the gate's `judge` would say.

    The first line that is crossed against it ends it, and else the last of those for it.
    """
    plan = design.plans[model]
    runs, never = len(answers.scores), plan.cases + 1
    accepted, against = np.zeros(runs, np.int64), np.full(runs, never)
    for criterion in plan.criteria:
        found = _crossings(criterion, _values(design, model, criterion, answers))
        is_for = found.kinds == Kind.ACCEPTED
        accepted = np.maximum(accepted, np.where(is_for, found.indices, 0))
        against = np.minimum(against, np.where(is_for, never, found.indices))
    certified = against == never
    used = np.where(certified, accepted, against)
    if answers.failed is not None:
        for asked in _asked(design, model):
            certified &= ~_has_outage(answers.failed[:, asked], used, design.repeats)
    return Settled(certified, used)


def _asked(design: Design, model: int) -> set[int]:
    """Return whose answers a model's verdict rests on: its own, and the baseline's if compared."""
    compared = any(part.part is Part.BASELINE for part in design.plans[model].criteria)
    return {model, design.baseline} if compared else {model}


def _of_runs(answers: Answers, runs: NDArray[np.intp]) -> Answers:
    failed = answers.failed
    return Answers(answers.scores[runs], None if failed is None else failed[runs])


def _values(design: Design, model: int, criterion: Criterion, answers: Answers) -> Floats:
    """Return the values that a part of the bar is decided on, of runs x cases."""
    own = answers.scores[:, model].astype(np.float64)
    share = design.bar.of_baseline
    if criterion.part is not Part.BASELINE or share is None:
        return own
    rival = answers.scores[:, design.baseline].astype(np.float64)
    if answers.failed is not None:  # no candidate may gain by a call to the baseline that failed
        rival[answers.failed[:, design.baseline] > 0] = 1.0
    return as_pair(share, own, rival)


def _crossings(criterion: Criterion, values: Floats) -> Crossings:
    """Return the first crossing of every run, counted in cases of the seeded order."""
    lines = criterion.lines
    if isinstance(lines, BettingPlan):
        places = [place for unit in criterion.units for place in unit]
        found = lines.settle_many(values[:, places])
    else:
        found = settle_many(
            lines, values[:, [unit[0] for unit in criterion.units[: lines.n]]] > 0.5
        )
    ends = np.array([unit[-1] + 1 for unit in criterion.units])
    return Crossings(found.kinds, ends[found.indices - 1])


def _has_outage(
    failed: NDArray[np.uint8], cases_used: NDArray[np.int64], repeats: int
) -> NDArray[np.bool_]:
    """Return in which runs too many of the calls that were used have failed."""
    calls = np.cumsum(failed, axis=1, dtype=np.int64)[np.arange(len(failed)), cases_used - 1]
    outage: NDArray[np.bool_] = calls > OUTAGE_SHARE * (cases_used * repeats)
    return outage
