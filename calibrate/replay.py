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

from calibrate.cascade import Cascade, SignalQuality, scores_at, signal_quality
from calibrate.decide import Status
from calibrate.errors import UsageError, did_you_mean
from calibrate.gate import Outcome, Reason
from calibrate.hypotheses import BEST, Hypotheses, ReplayBar
from calibrate.outcomes import TaskOutcomes
from calibrate.routes import CertifiedRoute, RouteSearch, search_routes
from calibrate.stats.exact import clopper_pearson, sample_size_for_rate
from calibrate.stats.multiple import fallback_graph, graphical
from calibrate.stats.together import Steps, side_by_side

__all__ = [
    "BEST",
    "RULE",
    "SIGNAL",
    "Cascading",
    "Escalation",
    "ReplayBar",
    "ReplayVerdict",
    "Replayed",
    "replay",
    "replay_all",
]

Floats = NDArray[np.float64]

RULE: Literal["sequential", "full"] = "full"
SIGNAL = "confidence"  # the table's column
TOGETHER = 256  # tasks whose bets are computed at once
SHOWN = 20  # tasks that lack the baseline
SETTLE_LIMIT = 100_000  # cases; a longer search would say nothing that can be acted on


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


def replay(
    outcomes: TaskOutcomes,
    bar: ReplayBar,
    *,
    cases: int | None = None,
    seed: int = 0,
    cascades: bool = False,
) -> Replayed:
    """Return the cheapest model of a task that is certified, with what was found of each.

    Guarantee: a model that misses the bar is certified with probability at most `bar.alpha`, over
    all models of the task and under any dependence between them, for items (or groups of items)
    that are independent. Each model has one p-value, the largest over the parts of its bar
    (intersection-union: all must hold); `graphical` with `fallback_graph` shares the error out in
    an order fixed by cost and name, from the dearest down. *Failed* is a test of its own at
    alpha / k. Without costs the names are the order, and the first stands for the cheapest.
    Source: `calibrate.stats.multiple`; Berger, Technometrics 24 (1982), 295-300.

    With `cascades` the route may be a cascade, and the guarantee is over all of them as well:
    `search_routes` shares the error out. Against the observed best, what is certified but costs
    more than that model is not taken.
    """
    return replay_all([outcomes], bar, cases=cases, seed=seed, cascades=cascades)[0]


def replay_all(
    tasks: Sequence[TaskOutcomes],
    bar: ReplayBar,
    *,
    cases: int | None = None,
    seed: int = 0,
    cascades: bool = False,
) -> list[Replayed]:
    """Return what `replay` finds for each task; the bets of many are computed together."""
    problems = [text for task in tasks if (text := _baseline_problem(task, bar)) is not None]
    if problems:
        raise UsageError(problems[:SHOWN])
    steps = _cascade_steps if cascades else _steps
    done: list[Replayed] = []
    for start in range(0, len(tasks), TOGETHER):
        done += side_by_side([steps(t, bar, cases, seed) for t in tasks[start : start + TOGETHER]])
    return done


def _steps(outcomes: TaskOutcomes, bar: ReplayBar, cases: int | None, seed: int) -> Steps[Replayed]:
    tests, order, costs = _prepared(outcomes, bar, cases, seed)
    graph = fallback_graph(len(order))
    above = yield from tests.above(bar.alpha * graph.weights[0])
    adjusted = graphical(above[order[::-1]].tolist(), graph, alpha=bar.alpha).adjusted[::-1]
    verdicts = yield from _verdicts(tests, order, costs, adjusted)
    return _replayed(tests, verdicts, is_exact=tests.is_exact and bar.of_baseline is None)


def _cascade_steps(
    outcomes: TaskOutcomes, bar: ReplayBar, cases: int | None, seed: int
) -> Steps[Replayed]:
    tests, order, costs = _prepared(outcomes, bar, cases, seed)
    search = search_routes(tests, order)
    verdicts = yield from _verdicts(tests, order, costs, search.adjusted[order].tolist())
    found = _replayed(tests, verdicts, is_exact=tests.is_exact)
    cheapest = search.cheapest
    if cheapest is not None and _is_too_dear(cheapest, found):
        found, cheapest = replace(found, status=Status.UNCERTIFIED, route=found.baseline), None
    if cheapest is not None and cheapest.cascade is not None:
        route = _cascade_verdict(tests, cheapest, cheapest.cascade)
        found = replace(found, status=Status.CERTIFIED, route=route)
    return replace(found, cascading=_cascading(tests, order, search, cheapest))


def _prepared(
    outcomes: TaskOutcomes, bar: ReplayBar, cases: int | None, seed: int
) -> tuple[Hypotheses, NDArray[np.int64], Floats]:
    """Return the tests of the items that count, the models from the cheapest, and their costs."""
    used = outcomes.drawn(seed, cases)
    costs = np.zeros(len(used.models)) if used.costs_usd is None else used.costs_usd.mean(axis=1)
    order = np.lexsort((np.arange(len(costs)), costs))  # the names are sorted
    is_exact = outcomes.is_binary and used.groups is None
    return Hypotheses(used, bar, _baseline(used, bar, order), is_exact), order, costs


def _verdicts(
    tests: Hypotheses, order: NDArray[np.int64], costs: Floats, adjusted: Sequence[float]
) -> Steps[tuple[ReplayVerdict, ...]]:
    level = tests.bar.alpha / len(order)
    failed = (yield from tests.below(level)) <= level
    known = tests.used.costs_usd is not None
    return tuple(
        _verdict(tests, at, adjusted[i], bool(failed[at]), float(costs[at]) if known else None)
        for i, at in enumerate(order.tolist())
    )


def _replayed(
    tests: Hypotheses, verdicts: tuple[ReplayVerdict, ...], *, is_exact: bool
) -> Replayed:
    used = tests.used
    reference = next(v for v in verdicts if v.model == used.models[tests.baseline])
    status, route = _route(verdicts, reference)
    return Replayed(
        task=used.task,
        bar=tests.bar,
        status=status,
        route=route,
        baseline=reference,
        verdicts=verdicts,
        cases=len(used.items),
        clusters=None if used.groups is None else len(np.unique(used.groups)),
        left_out=used.left_out,
        test="exact" if is_exact else "betting",
    )


def _is_too_dear(route: CertifiedRoute, found: Replayed) -> bool:
    """Return whether the observed best, which is not known to fail, costs less."""
    if found.bar.baseline != BEST or found.baseline.outcome is Outcome.FAILED:
        return False
    return route.cost_usd > (found.baseline.cost_usd_per_item or 0.0)


def _cascade_verdict(tests: Hypotheses, route: CertifiedRoute, cascade: Cascade) -> ReplayVerdict:
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
    return _with_bounds(verdict, passed, len(tests.used.items), tests.bar.alpha)


def _cascading(
    tests: Hypotheses,
    order: NDArray[np.int64],
    search: RouteSearch,
    route: CertifiedRoute | None,
) -> Cascading:
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
    verdict = _with_bounds(verdict, int(scores.sum()), len(scores), bar.alpha)
    if bar.pass_rate is None or bar.of_baseline is not None or certified or failed:
        return verdict
    share = bar.alpha / len(tests.used.models)
    more = _cases_to_settle(verdict.estimate, bar.pass_rate, share)
    return replace(verdict, cases_to_settle=more)


def _with_bounds(verdict: ReplayVerdict, passed: int, n: int, alpha: float) -> ReplayVerdict:
    bounds = clopper_pearson(passed, n, alpha=alpha)
    return replace(verdict, passed=passed, lower_bound=bounds.low, upper_bound=bounds.high)


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
