"""The cheapest model, or cascade, that the outcomes of a task certify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibrate.cascade.hypotheses import BEST, Hypotheses, ReplayBar
from calibrate.cascade.routes import search_routes
from calibrate.decide import Status
from calibrate.errors import UsageError, did_you_mean
from calibrate.gate import Outcome
from calibrate.outcomes import TaskOutcomes
from calibrate.replay.cascades import cascade_verdict, cascading_of, is_too_dear
from calibrate.replay.found import Replayed, ReplayVerdict
from calibrate.replay.verdicts import model_verdicts
from calibrate.stats.multiple import fallback_graph, graphical
from calibrate.stats.together import Steps, side_by_side

__all__ = ["replay", "replay_all"]

Floats = NDArray[np.float64]

TOGETHER = 256  # tasks whose bets are computed at once
SHOWN = 20  # tasks that lack the baseline


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
    verdicts = yield from model_verdicts(tests, order, costs, adjusted)
    return _replayed(tests, verdicts, is_exact=tests.is_exact and bar.of_baseline is None)


def _cascade_steps(
    outcomes: TaskOutcomes, bar: ReplayBar, cases: int | None, seed: int
) -> Steps[Replayed]:
    tests, order, costs = _prepared(outcomes, bar, cases, seed)
    search = search_routes(tests, order)
    verdicts = yield from model_verdicts(tests, order, costs, search.adjusted[order].tolist())
    found = _replayed(tests, verdicts, is_exact=tests.is_exact)
    cheapest = search.cheapest
    if cheapest is not None and is_too_dear(cheapest, found):
        found, cheapest = replace(found, status=Status.UNCERTIFIED, route=found.baseline), None
    if cheapest is not None and cheapest.cascade is not None:
        route = cascade_verdict(tests, cheapest, cheapest.cascade)
        found = replace(found, status=Status.CERTIFIED, route=route)
    return replace(found, cascading=cascading_of(tests, order, search, cheapest))


def _prepared(
    outcomes: TaskOutcomes, bar: ReplayBar, cases: int | None, seed: int
) -> tuple[Hypotheses, NDArray[np.int64], Floats]:
    """Return the tests of the items that count, the models from the cheapest, and their costs."""
    used = outcomes.drawn(seed, cases)
    costs = np.zeros(len(used.models)) if used.costs_usd is None else used.costs_usd.mean(axis=1)
    order = np.lexsort((np.arange(len(costs)), costs))  # the names are sorted
    is_exact = outcomes.is_binary and used.groups is None
    return Hypotheses(used, bar, _baseline(used, bar, order), is_exact), order, costs


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
