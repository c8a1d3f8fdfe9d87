"""The trials of a workflow as outcomes to be tested, with the signal that each model goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from calibrate.cascade.fitted import SIGNAL, FittedSignal, fit_signal
from calibrate.cascade.hypotheses import Hypotheses, ReplayBar
from calibrate.config import Bar
from calibrate.dataset import Case, clusters_of
from calibrate.gate import is_down
from calibrate.methods import SignalCost
from calibrate.outcomes import SignalCosts, TaskOutcomes
from calibrate.signals import SIGNALS
from calibrate.task import Task
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = ["Measured", "measure"]

Floats = NDArray[np.float64]
Trials = Mapping[str, Sequence[AnyTrial]]

PREFERRED = ("label_margin", "first_token_margin", "answer_logprob")  # where none is named
ENOUGH = 0.9  # of a model's answers: a signal that fewer have is passed over


@dataclass(frozen=True, slots=True)
class Measured:
    """The trials of the models that are up, and what is tested on them."""

    task: Task
    cases: Sequence[Case]
    trials: Trials
    signals: Mapping[str, str | None]  # what each model goes by
    tests: Hypotheses
    fitted: FittedSignal | None  # where the workflow has one fitted

    @property
    def order(self) -> NDArray[np.int64]:
        """The models from the cheapest up."""
        costs = self.tests.used.costs_usd
        assert costs is not None  # noqa: S101 - made from trials, which all have one
        return np.argsort(costs.mean(axis=1), kind="stable")

    @property
    def held_out(self) -> Hypotheses | None:
        """What may be tested on the cases that a signal was not fitted on."""
        return None if self.fitted is None or self.fitted.shortage else self.fitted.tests

    def fit_of(self, model: str) -> FittedSignal | None:
        """Return the fitted signal, where a model goes by it."""
        return self.fitted if self.signals[model] == SIGNAL else None

    def tests_of(self, model: str) -> Hypotheses:
        """Return the tests of what goes by a model's signal: without the cases it was fitted on."""
        fitted = self.fit_of(model)
        return self.tests if fitted is None else fitted.tests

    def values_of(self, at: int) -> Floats:
        """Return a model's signal of every case, also of those that it was fitted on."""
        used = self.tests.used
        fitted = self.fit_of(used.models[at])
        values = used.signals if fitted is None else fitted.values
        assert values is not None  # noqa: S101 - made from trials
        row: Floats = values[at]
        return row


def measure(task: Task, cases: Sequence[Case], trials: Trials, *, alpha: float) -> Measured | None:
    """Return what is tested at `alpha`; None where the baseline or all others are down.

    A model of whose calls too many failed is left out.
    """
    up = [c.alias for c in task.field.candidates if not is_down(trials[c.alias])]
    baseline, bar = task.field.baseline.alias, task.workflow.bar
    if baseline not in up or len(up) < 2:
        return None
    signals = {alias: _signal_of(task, trials[alias]) for alias in up}
    used = _outcomes(task, cases, trials, signals)
    tests = Hypotheses(
        used,
        ReplayBar(bar.floor, bar.of_baseline, baseline, 1 - alpha),
        used.models.index(baseline),
        is_exact=used.is_binary and used.groups is None,
        slices=tuple(_slices(bar, cases)),
    )
    by_it = [alias for alias, name in signals.items() if name == SIGNAL and _is_fit(task)]
    fitted = None
    if by_it:
        fitted = fit_signal(task, cases, {alias: trials[alias] for alias in by_it}, tests)
    return Measured(task, cases, trials, signals, tests, fitted)


def _is_fit(task: Task) -> bool:
    return task.noting.reader.settings.input_simplicity.fit


def _signal_of(task: Task, trials: Sequence[AnyTrial]) -> str | None:
    named = task.workflow.signals
    names = PREFERRED if named is None else [s if isinstance(s, str) else s.name for s in named]
    answered = [trial for trial in trials if not isinstance(trial, FailedTrial)]
    for name in names:
        if name == SIGNAL and answered and _is_fit(task):
            return name  # it is the request's, and so there for every case
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


def _slices(bar: Bar, cases: Sequence[Case]) -> list[tuple[NDArray[np.int64], float]]:
    found = []
    for tag, floor in bar.slices.items():
        for value in sorted({case.tags[tag] for case in cases if tag in case.tags}):
            found.append((np.flatnonzero([c.tags.get(tag) == value for c in cases]), floor))
    return found
