"""From a workflow's trials to its cheapest certified cascade, and what its signals are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibrate.cascade.curves import Cascade, scores_at, signal_quality, waits_s
from calibrate.cascade.fitted import SIGNAL
from calibrate.cascade.measured import Measured, measure
from calibrate.cascade.pairs import pair_findings
from calibrate.cascade.routes import CertifiedRoute, search_routes
from calibrate.dataset import Case
from calibrate.decide import Cascades, EscalatedRoute, SignalFinding
from calibrate.gate import LATENCY_QUANTILE
from calibrate.outcomes import TaskOutcomes
from calibrate.policy import InputScore
from calibrate.stats.exact import clopper_pearson, upper_tail
from calibrate.task import Task
from calibrate.trial import AnyTrial, FailedTrial

__all__ = ["find_cascades"]

Floats = NDArray[np.float64]
Trials = Mapping[str, Sequence[AnyTrial]]

PROBABILITIES = frozenset({"self_reported", "agreement", "verifier"})  # that may be over-confident


def find_cascades(
    task: Task, cases: Sequence[Case], trials: Trials, *, alpha: float, attempt: int = 1
) -> Cascades:
    """Return the cheapest cascade that is certified at `alpha`, over all pairs and thresholds.

    `trials` has one answer to each case, in their order, for each candidate. Which signal a model
    goes by is fixed without a grade: the first of those that the workflow names, or of
    `PREFERRED`, that nearly all of its answers have. Guarantee: that of `search_routes`, for a
    cascade that misses the bar, its slices or its share of the baseline; one that goes by a fitted
    signal is tested on the cases that it was not fitted on. Critical cases and the latency target
    can only rule cascades out. A model whose calls failed too often is left out.
    """
    measured = measure(task, cases, trials, alpha=alpha)
    if measured is None:
        return Cascades(attempt, None, (), 0, 0)
    tests, order = measured.tests, measured.order
    search = search_routes(tests, order, _Vetoes(measured).allow, measured.held_out)
    found = search.cheapest
    route = None
    if found is not None and found.cascade is not None:
        route = _route(measured, found, found.cascade)
    findings = tuple(_finding(measured, at) for at in range(len(tests.used.models)))
    pairs = pair_findings(search.chains, measured.tests_of, measured.signals)
    return Cascades(attempt, route, findings, search.thresholds, search.tested, pairs)


class _Vetoes:
    """What a certified cascade can still fail at: a critical case, or the latency target."""

    def __init__(self, measured: Measured) -> None:
        bar = measured.task.workflow.bar
        self._measured = measured
        self._target = bar.latency_p95_s
        is_critical = [case.critical and bar.critical is not None for case in measured.cases]
        self._critical = np.flatnonzero(is_critical)

    def allow(self, route: CertifiedRoute) -> bool:
        """Return whether a cascade may be chosen; single models have their own verdicts."""
        if route.cascade is None or self._fails_critical(route.cascade, route.at):
            return False
        return self._target is None or not self._is_late(route.cascade, route.at, self._target)

    def _fails_critical(self, cascade: Cascade, at: int) -> bool:
        """Return whether a critical case fails, be it one that the signal was fitted on."""
        scores, critical = self._measured.tests.used.scores, self._critical
        stays = self._measured.values_of(cascade.cheap)[critical] >= cascade.below[at]
        cheap, strong = (scores[model, critical] for model in (cascade.cheap, cascade.strong))
        return bool((np.where(stays, cheap, strong) < 1).any())

    def _is_late(self, cascade: Cascade, at: int, target: float) -> bool:
        tests = self._measured.tests
        cheap = tests.used.models[cascade.cheap]
        waits = _latencies(self._measured.tests_of(cheap).used, cascade, at)
        late = int((waits > target).sum())
        return upper_tail(late, len(waits), 1 - LATENCY_QUANTILE) <= tests.bar.alpha


def _latencies(used: TaskOutcomes, cascade: Cascade, at: int) -> Floats:
    """Return how long each case takes, where that was measured of all its calls."""
    stays, handed_on = waits_s(used, cascade)
    escalated = cascade.order[cascade.kept[at] :]
    waits = stays.copy()
    waits[escalated] = handed_on[escalated]
    measured: Floats = waits[~np.isnan(waits)]
    return measured


def _route(measured: Measured, found: CertifiedRoute, cascade: Cascade) -> EscalatedRoute:
    models, alpha = measured.tests.used.models, measured.tests.bar.alpha
    cheap, strong = models[cascade.cheap], models[cascade.strong]
    used = measured.tests_of(cheap).used
    scores = scores_at(cascade, found.at, used.scores)
    bounds = None
    if measured.tests.is_exact:
        bounds = clopper_pearson(int(scores.sum()), len(scores), alpha=alpha)
    signal = measured.signals[cheap]
    assert signal is not None  # noqa: S101 - a model without one has no thresholds
    waits = _latencies(used, cascade, found.at)
    candidates = {candidate.alias: candidate for candidate in measured.task.field.candidates}
    tested = set(used.items)
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
        failed_calls=sum(
            isinstance(trial, FailedTrial) and trial.case.id in tested
            for trial in measured.trials[cheap]
        ),
        score=_score(measured, cheap),
        fitted_on=tuple(case.id for case in measured.cases if case.id not in tested),
    )


def _score(measured: Measured, cheap: str) -> InputScore | None:
    if measured.signals[cheap] != SIGNAL:
        return None
    if measured.fitted is not None:
        return measured.fitted.scores[cheap]
    reader = measured.task.noting.reader
    return InputScore(reader.settings.input_simplicity.intercept, dict(reader.weights))


def _finding(measured: Measured, at: int) -> SignalFinding:
    alias = measured.tests.used.models[at]
    signal, fitted = measured.signals[alias], measured.fit_of(alias)
    used = measured.tests_of(alias).used
    assert used.signals is not None  # noqa: S101 - made from trials
    quality = None if signal is None else signal_quality(used.signals[at], used.scores[at])
    found = SignalFinding(
        alias,
        signal,
        known=0.0,
        worth="unknown",
        fitted_cases=None if fitted is None else len(fitted.split.fit),
        shortage=None if fitted is None else fitted.shortage,
    )
    if quality is None:
        return found
    curve = quality.auroc
    return replace(
        found,
        known=quality.known,
        worth=quality.worth,
        auroc=None if curve is None else curve.estimate,
        auroc_low=None if curve is None else curve.low,
        auroc_high=None if curve is None else curve.high,
        over_confidence=quality.over_confidence if signal in PROBABILITIES else None,
    )
