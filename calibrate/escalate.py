"""From a workflow's trials to its cheapest certified cascade, and what its signals are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from calibrate.candidates import Candidate
from calibrate.cascade import Cascade, scores_at, signal_quality, waits_s
from calibrate.config import Bar
from calibrate.dataset import Case, clusters_of
from calibrate.decide import Cascades, EscalatedRoute, SignalFinding
from calibrate.gate import LATENCY_QUANTILE, OUTAGE_SHARE
from calibrate.hypotheses import Hypotheses, ReplayBar
from calibrate.methods import SignalCost
from calibrate.outcomes import SignalCosts, TaskOutcomes
from calibrate.routes import CertifiedRoute, search_routes
from calibrate.signals import SIGNALS
from calibrate.stats.exact import clopper_pearson, upper_tail
from calibrate.task import Task
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = ["find_cascades"]

Floats = NDArray[np.float64]
Trials = Mapping[str, Sequence[AnyTrial]]

PREFERRED = ("label_margin", "first_token_margin", "answer_logprob")  # where none is named
PROBABILITIES = frozenset({"self_reported", "agreement", "verifier"})  # that may be over-confident
ENOUGH = 0.9  # of a model's answers: a signal that fewer have is passed over


def find_cascades(
    task: Task, cases: Sequence[Case], trials: Trials, *, alpha: float, attempt: int = 1
) -> Cascades:
    """Return the cheapest cascade that is certified at `alpha`, over all pairs and thresholds.

    `trials` has one answer to each case, in their order, for each candidate. Which signal a model
    goes by is fixed without a grade: the first of those that the workflow names, or of
    `PREFERRED`, that nearly all of its answers have. Guarantee: that of `search_routes`, for a
    cascade that misses the bar, its slices or its share of the baseline. Critical cases and the
    latency target can only rule cascades out. A model whose calls failed too often is left out.
    """
    field = [c for c in task.field.candidates if not _is_down(trials[c.alias])]
    if task.field.baseline not in field:
        field = []
    by_alias = {c.alias: c for c in field}
    signals = {alias: _signal_of(task, trials[alias]) for alias in by_alias}
    if len(field) < 2:
        return Cascades(attempt, None, (), 0, 0)
    used = _outcomes(task, cases, trials, signals)
    bar = task.workflow.bar
    tests = Hypotheses(
        used,
        _bar(bar, task.field.baseline.alias, alpha),
        used.models.index(task.field.baseline.alias),
        is_exact=used.is_binary and used.groups is None,
        slices=tuple(_slices(bar, cases)),
    )
    order = np.argsort(_costs(used).mean(axis=1), kind="stable")
    vetoes = _Vetoes(bar, cases, used, alpha)
    search = search_routes(tests, order, vetoes.allow)
    found = search.cheapest
    route = None
    if found is not None and found.cascade is not None:
        route = _route(used, found, found.cascade, by_alias, signals, trials, alpha, tests.is_exact)
    findings = tuple(
        _finding(alias, signals[alias], used, at) for at, alias in enumerate(used.models)
    )
    return Cascades(attempt, route, findings, search.thresholds, search.tested)


class _Vetoes:
    """What a certified cascade can still fail at: a critical case, or the latency target."""

    def __init__(self, bar: Bar, cases: Sequence[Case], used: TaskOutcomes, alpha: float) -> None:
        self._used = used
        self._target = bar.latency_p95_s
        self._alpha = alpha
        is_critical = [case.critical and bar.critical is not None for case in cases]
        self._critical = np.flatnonzero(is_critical)

    def allow(self, route: CertifiedRoute) -> bool:
        """Return whether a cascade may be chosen; single models have their own verdicts."""
        cascade = route.cascade
        if cascade is None:
            return False
        scores = scores_at(cascade, route.at, self._used.scores)
        if (scores[self._critical] < 1).any():
            return False
        return self._target is None or not self._is_late(cascade, route.at, self._target)

    def _is_late(self, cascade: Cascade, at: int, target: float) -> bool:
        waits = _latencies(self._used, cascade, at)
        late = int((waits > target).sum())
        return upper_tail(late, len(waits), 1 - LATENCY_QUANTILE) <= self._alpha


def _latencies(used: TaskOutcomes, cascade: Cascade, at: int) -> Floats:
    """Return how long each case takes, where that was measured of all its calls."""
    stays, handed_on = waits_s(used, cascade)
    escalated = cascade.order[cascade.kept[at] :]
    waits = stays.copy()
    waits[escalated] = handed_on[escalated]
    measured: Floats = waits[~np.isnan(waits)]
    return measured


def _is_down(trials: Sequence[AnyTrial]) -> bool:
    return sum(isinstance(trial, FailedTrial) for trial in trials) > OUTAGE_SHARE * len(trials)


def _signal_of(task: Task, trials: Sequence[AnyTrial]) -> str | None:
    named = task.workflow.signals
    names = PREFERRED if named is None else [s if isinstance(s, str) else s.name for s in named]
    answered = [trial for trial in trials if not isinstance(trial, FailedTrial)]
    for name in names:
        if sum(name in trial.signals for trial in answered) >= ENOUGH * max(len(answered), 1):
            return name
    return None


def _outcomes(
    task: Task, cases: Sequence[Case], trials: Trials, signals: Mapping[str, str | None]
) -> TaskOutcomes:
    """Return the trials as one matrix a measure: a row a model, a column a case."""
    models = tuple(signals)
    is_rate = task.workflow.bar.measure == "pass_rate"

    def row(alias: str) -> list[float]:
        return [float(passes(t)) if is_rate else t.score for t in trials[alias]]

    groups = None
    if any(case.group is not None for case in cases):
        groups = np.zeros(len(cases), dtype=np.int64)
        for number, places in enumerate(clusters_of(cases)):
            groups[list(places)] = number
    return TaskOutcomes(
        task=task.name,
        models=models,
        items=tuple(case.id for case in cases),
        scores=np.array([row(alias) for alias in models]),
        costs_usd=np.array([[float(t.cost_usd) for t in trials[alias]] for alias in models]),
        groups=groups,
        signals=np.array([_signal_row(trials[alias], signals[alias]) for alias in models]),
        latencies_s=np.array([[_or_nan(t.latency_s) for t in trials[alias]] for alias in models]),
        signal_costs=_signal_costs(trials, signals),
    )


def _signal_costs(trials: Trials, signals: Mapping[str, str | None]) -> SignalCosts:
    """Return what each model's own signal took; free ones took nothing."""
    free = SignalCost(0, Decimal(0), 0.0)

    def each(alias: str) -> list[SignalCost]:
        return [
            free if isinstance(t, FailedTrial) else t.signal_costs.get(signals[alias] or "", free)
            for t in trials[alias]
        ]

    found = {alias: each(alias) for alias in signals}
    return SignalCosts(
        usd=np.array([[float(cost.usd) for cost in row] for row in found.values()]),
        wait_s=np.array([[_or_nan(cost.wait_s) for cost in row] for row in found.values()]),
        before=tuple(
            name is not None and SIGNALS[name].moment == "before" for name in signals.values()
        ),
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _signal_row(trials: Sequence[AnyTrial], name: str | None) -> list[float]:
    """Return one signal of each answer; a call that failed has none, and so is escalated."""
    return [
        np.nan if isinstance(t, FailedTrial) or name is None else t.signals.get(name, np.nan)
        for t in trials
    ]


def _costs(used: TaskOutcomes) -> Floats:
    assert used.costs_usd is not None  # noqa: S101 - made from trials, which all have one
    return used.costs_usd


def _bar(bar: Bar, baseline: str, alpha: float) -> ReplayBar:
    return ReplayBar(bar.floor, bar.of_baseline, baseline, 1 - alpha)


def _slices(bar: Bar, cases: Sequence[Case]) -> list[tuple[NDArray[np.int64], float]]:
    found = []
    for tag, floor in bar.slices.items():
        for value in sorted({case.tags[tag] for case in cases if tag in case.tags}):
            found.append((np.flatnonzero([c.tags.get(tag) == value for c in cases]), floor))
    return found


def _route(
    used: TaskOutcomes,
    found: CertifiedRoute,
    cascade: Cascade,
    candidates: Mapping[str, Candidate],
    signals: Mapping[str, str | None],
    trials: Trials,
    alpha: float,
    is_exact: bool,
) -> EscalatedRoute:
    cheap, strong = (used.models[at] for at in (cascade.cheap, cascade.strong))
    scores = scores_at(cascade, found.at, used.scores)
    bounds = clopper_pearson(int(scores.sum()), len(scores), alpha=alpha) if is_exact else None
    signal = signals[cheap]
    assert signal is not None  # noqa: S101 - a model without one has no thresholds
    waits = _latencies(used, cascade, found.at)
    return EscalatedRoute(
        cheap=candidates[cheap],
        strong=candidates[strong],
        signal=signal,
        below=float(cascade.below[found.at]),
        escalated=float(cascade.escalated[found.at]),
        break_even=cascade.break_even,
        alpha=alpha,
        cases=len(scores),
        estimate=float(scores.mean()),
        passed=None if bounds is None else bounds.successes,
        lower_bound=None if bounds is None else bounds.low,
        cost_usd_per_request=found.cost_usd,
        latency_p95_s=(
            float(np.quantile(waits, LATENCY_QUANTILE, method="inverted_cdf"))
            if len(waits)
            else None
        ),
        failed_calls=sum(isinstance(trials[cheap][at], FailedTrial) for at in range(len(scores))),
    )


def _finding(alias: str, signal: str | None, used: TaskOutcomes, at: int) -> SignalFinding:
    assert used.signals is not None  # noqa: S101 - made from trials
    quality = None if signal is None else signal_quality(used.signals[at], used.scores[at])
    if quality is None:
        return SignalFinding(alias, None, 0.0, "unknown")
    curve = quality.auroc
    return SignalFinding(
        model=alias,
        signal=signal,
        known=quality.known,
        worth=quality.worth,
        auroc=None if curve is None else curve.estimate,
        auroc_low=None if curve is None else curve.low,
        auroc_high=None if curve is None else curve.high,
        over_confidence=quality.over_confidence if signal in PROBABILITIES else None,
    )
