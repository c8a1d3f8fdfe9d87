"""The decision for outcomes that already exist: the full-data rule.

Nothing is asked, so nothing is saved by stopping early: each model is tested once, on all of the
items that count, in an order that the seed and the item ids fix.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibrate.decide import Status
from calibrate.errors import UsageError, did_you_mean
from calibrate.gate import Outcome, Reason
from calibrate.outcomes import TaskOutcomes
from calibrate.stats.exact import (
    clopper_pearson,
    sample_size_for_rate,
    sequence_p_value,
    upper_tail,
)
from calibrate.stats.multiple import fallback_graph, graphical
from calibrate.stats.together import Bets, Steps, side_by_side

__all__ = ["BEST", "RULE", "ReplayBar", "ReplayVerdict", "Replayed", "replay", "replay_all"]

Floats = NDArray[np.float64]

RULE: Literal["sequential", "full"] = "full"
BEST = "best"  # as a baseline: whichever model is the best
LONG = 1000  # items from which on the binomial tail is as good as the rank of the whole sequence
TOGETHER = 256  # tasks whose bets are computed at once
SHOWN = 20  # tasks that lack the baseline
SETTLE_LIMIT = 100_000  # cases; a longer search would say nothing that can be acted on


@dataclass(frozen=True, slots=True)
class ReplayBar:
    """The least that is acceptable: a mean score, a share of the baseline's, or both."""

    pass_rate: float | None = None
    of_baseline: float | None = None
    baseline: str = BEST
    confidence: float = 0.95

    @property
    def alpha(self) -> float:
        return round(1 - self.confidence, 12)


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


@dataclass(frozen=True, slots=True)
class Replayed:
    """A task's route and what stands behind it; `verdicts` are cheapest first."""

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

    @property
    def relative_cost(self) -> float | None:
        """The route's cost as a share of the baseline's; None without costs."""
        cost, whole = self.route.cost_usd_per_item, self.baseline.cost_usd_per_item
        return None if cost is None or not whole else cost / whole


def replay(
    outcomes: TaskOutcomes, bar: ReplayBar, *, cases: int | None = None, seed: int = 0
) -> Replayed:
    """Return the cheapest model of a task that is certified, with what was found of each.

    Guarantee: a model that misses the bar is certified with probability at most `bar.alpha`, over
    all models of the task and under any dependence between them, for items (or groups of items)
    that are independent. Each model has one p-value, the largest over the parts of its bar
    (intersection-union: all must hold); `graphical` with `fallback_graph` shares the error out in
    an order fixed by cost and name, from the dearest down. *Failed* is a test of its own at
    alpha / k. Without costs the names are the order, and the first stands for the cheapest.
    Source: `calibrate.stats.multiple`; Berger, Technometrics 24 (1982), 295-300.
    """
    return replay_all([outcomes], bar, cases=cases, seed=seed)[0]


def replay_all(
    tasks: Sequence[TaskOutcomes], bar: ReplayBar, *, cases: int | None = None, seed: int = 0
) -> list[Replayed]:
    """Return what `replay` finds for each task; the bets of many are computed together."""
    problems = [text for task in tasks if (text := _baseline_problem(task, bar)) is not None]
    if problems:
        raise UsageError(problems[:SHOWN])
    done: list[Replayed] = []
    for start in range(0, len(tasks), TOGETHER):
        done += side_by_side([_steps(t, bar, cases, seed) for t in tasks[start : start + TOGETHER]])
    return done


def _steps(outcomes: TaskOutcomes, bar: ReplayBar, cases: int | None, seed: int) -> Steps[Replayed]:
    used = outcomes.drawn(seed, cases)
    known = used.costs_usd is not None
    costs = np.zeros(len(used.models)) if used.costs_usd is None else used.costs_usd.mean(axis=1)
    order = np.lexsort((np.arange(len(costs)), costs))  # cheapest first; the names are sorted
    baseline = _baseline(used, bar, order)
    tests = _Tests(used, bar, baseline, is_exact=outcomes.is_binary and used.groups is None)
    graph = fallback_graph(len(order))
    above = yield from tests.above(bar.alpha * graph.weights[0])
    adjusted = graphical(above[order[::-1]].tolist(), graph, alpha=bar.alpha).adjusted[::-1]
    below = yield from tests.below(bar.alpha / len(order))
    failed = below <= bar.alpha / len(order)
    verdicts = tuple(
        _verdict(tests, at, adjusted[i], bool(failed[at]), float(costs[at]) if known else None)
        for i, at in enumerate(order.tolist())
    )
    return _replayed(tests, verdicts)


def _replayed(tests: _Tests, verdicts: tuple[ReplayVerdict, ...]) -> Replayed:
    used, bar = tests.used, tests.bar
    reference = next(v for v in verdicts if v.model == used.models[tests.baseline])
    status, route = _route(verdicts, reference)
    return Replayed(
        task=used.task,
        bar=bar,
        status=status,
        route=route,
        baseline=reference,
        verdicts=verdicts,
        cases=len(used.items),
        clusters=None if used.groups is None else len(np.unique(used.groups)),
        left_out=used.left_out,
        test="exact" if tests.is_exact and bar.of_baseline is None else "betting",
    )


@dataclass(frozen=True, slots=True)
class _Tests:
    """The p-values of every model, for and against it.

    Scores of 0 and 1 of independent items have the exact test; all others, and the differences
    from a baseline, are bet on: `bet_clusters` and `bet_paired`, for all models at once.
    """

    used: TaskOutcomes
    bar: ReplayBar
    baseline: int
    is_exact: bool

    def above(self, level: float) -> Steps[Floats]:
        """Return the p-values against `it misses a part of the bar`; bets aim at `level`."""
        scores, p = self.used.scores, np.zeros(len(self.used.models))
        if self.bar.pass_rate is not None:
            p = yield from self._rate(scores, self.bar.pass_rate, level)
        if self.bar.of_baseline is not None:
            # Any model that ever scores keeps that share of itself.
            p = np.where(scores.any(axis=1), p, 1.0)
            models, differences, margin = self._pairs(self.bar.of_baseline)
            np.maximum.at(p, models, (yield from self._bets(differences, margin, level)))
        return p

    def below(self, level: float) -> Steps[Floats]:
        """Return the p-values against `it meets the bar`: a part is missed (Bonferroni)."""
        scores, p, parts = self.used.scores, np.ones(len(self.used.models)), 0
        if self.bar.pass_rate is not None:
            parts += 1
        if self.bar.of_baseline is not None:
            parts += len(p) - 1 if self.bar.baseline == BEST else 1
        level /= max(parts, 1)
        if self.bar.pass_rate is not None:
            p = yield from self._rate(1.0 - scores, 1.0 - self.bar.pass_rate, level)
        if self.bar.of_baseline is not None:
            models, differences, margin = self._pairs(self.bar.of_baseline)
            found = yield from self._bets(1.0 - differences, 1.0 - margin, level)
            np.minimum.at(p, models, found)
        bounded: Floats = np.minimum(p * max(parts, 1), 1.0)
        return bounded

    def _pairs(self, share: float) -> tuple[NDArray[np.int64], Floats, float]:
        """Return c - share x b for each model c and rival b, put on [0, 1], and where 0 is."""
        k = len(self.used.models)
        rivals = range(k) if self.bar.baseline == BEST else (self.baseline,)
        pairs = np.array([(c, b) for c in range(k) for b in rivals if c != b], dtype=np.int64)
        models, others = pairs.reshape(-1, 2).T
        scores = self.used.scores
        differences = (scores[models] - share * scores[others] + share) / (1 + share)
        return models, np.clip(differences, 0.0, 1.0), share / (1 + share)

    def _rate(self, scores: Floats, floor: float, level: float) -> Steps[Floats]:
        if not self.is_exact:
            return (yield from self._bets(scores, floor, level))
        return np.array([_exact(row > 0.5, floor) for row in scores])

    def _bets(self, scores: Floats, mean: float, level: float) -> Steps[Floats]:
        """Return each row's p-value against `at most mean`; 1 where the sample is not above."""
        p = np.ones(len(scores))
        rows = np.flatnonzero(scores.mean(axis=1) > mean)
        if len(rows):
            stakes = _stakes(scores[rows], mean, self.used.groups)
            p[rows] = yield Bets(stakes, mean, level)
        return p


def _exact(passed: NDArray[np.bool_], floor: float) -> float:
    """Return the exact p-value against `rate <= floor`; 1 where the sample is not above."""
    count, n = int(passed.sum()), len(passed)
    if count <= floor * n:
        return 1.0
    return upper_tail(count, n, floor) if n > LONG else sequence_p_value(passed, floor)


def _stakes(scores: Floats, mean: float, groups: NDArray[np.int64] | None) -> Floats:
    """Return one observation a cluster, in the order of its first item: see `bet_clusters`."""
    if groups is None:
        return scores
    _, first, cluster = np.unique(groups, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[cluster]
    by_cluster = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[by_cluster], np.arange(len(first)))
    sums = np.add.reduceat(scores[:, by_cluster] - mean, starts, axis=1)
    stakes: Floats = np.clip(mean + sums / np.bincount(place).max(), 0.0, 1.0)
    return stakes


def _baseline(used: TaskOutcomes, bar: ReplayBar, order: NDArray[np.int64]) -> int:
    """Return the baseline's row: the named model, or the observed best (ties to the cheaper)."""
    if bar.baseline == BEST:
        totals = used.scores.sum(axis=1)
        return int(order[np.argmax(totals[order] >= totals.max() - 1e-9)])
    return used.models.index(bar.baseline)


def _baseline_problem(task: TaskOutcomes, bar: ReplayBar) -> str | None:
    if bar.baseline == BEST or bar.baseline in task.models:
        return None
    return (
        f"task {task.task!r} has no model called {bar.baseline!r}"
        f"{did_you_mean(bar.baseline, task.models)} (known: {', '.join(task.models)})"
    )


@functools.lru_cache(maxsize=4096)  # in a table of many tasks the same rates return
def _cases_to_settle(estimate: float, floor: float, alpha: float) -> int | None:
    return sample_size_for_rate(estimate, floor, alpha=alpha, limit=SETTLE_LIMIT)


def _verdict(
    tests: _Tests, model: int, adjusted: float, failed: bool, cost: float | None
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
    bounds = clopper_pearson(int(scores.sum()), len(scores), alpha=bar.alpha)
    more = None
    if bar.pass_rate is not None and bar.of_baseline is None and not (certified or failed):
        share = bar.alpha / len(tests.used.models)
        more = _cases_to_settle(bounds.estimate, bar.pass_rate, share)
    return replace(
        verdict,
        passed=bounds.successes,
        lower_bound=bounds.low,
        upper_bound=bounds.high,
        cases_to_settle=more,
    )


def _route(
    verdicts: Sequence[ReplayVerdict], baseline: ReplayVerdict
) -> tuple[Status, ReplayVerdict]:
    """Return the status and the route; `verdicts` are cheapest first."""
    certified = [v for v in verdicts if v.outcome is Outcome.CERTIFIED]
    if certified:
        return Status.CERTIFIED, certified[0]
    undecided = [v for v in verdicts if v.outcome is Outcome.UNDECIDED]
    if not undecided:
        return Status.UNMET, max(verdicts, key=lambda v: v.estimate)
    strongest = max(undecided, key=lambda v: v.estimate)
    return Status.UNCERTIFIED, baseline if baseline in undecided else strongest
