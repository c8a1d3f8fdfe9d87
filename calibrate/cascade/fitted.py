"""The one signal that is fitted to grades, with the tests on cases that it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.cascade.hypotheses import Hypotheses
from calibrate.dataset import Case
from calibrate.policy import InputScore
from calibrate.policy.inputs import features_of, simplicity
from calibrate.signals import Split, fit_simplicity, split_by_group
from calibrate.stats.exact import zero_failure_size
from calibrate.task import Task
from calibrate.trial import AnyTrial, FailedTrial

__all__ = ["SIGNAL", "FittedSignal", "fit_signal"]

SIGNAL = "input_simplicity"
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FittedSignal:
    """The score of each cheap model, and what may be certified by it.

    `values` has a row a model and a column a case, NaN for models that go by another signal.
    `tests` are on the cases of `split.certify` alone, with these models' signals and no other.
    `shortage` says why nothing can be fitted, or certified there.
    """

    scores: Mapping[str, InputScore]
    split: Split
    values: Floats
    tests: Hypotheses
    shortage: str | None


def fit_signal(
    task: Task,
    cases: Sequence[Case],
    trials: Mapping[str, Sequence[AnyTrial]],
    tests: Hypotheses,
) -> FittedSignal:
    """Return the signal of the models that have `trials`, each fitted to its own scores.

    They are fitted on a share of the cases, which depends on the seed, the cases' ids, groups and
    texts, and on no grade. A call that failed scores 0, and has no signal, as with any other.
    """
    options = task.noting.reader.settings.input_simplicity
    texts = [task.prompt.messages(case)[-1].content for case in cases]
    split = split_by_group(
        [case.id for case in cases],
        [case.group for case in cases],
        texts,
        seed=task.workflow.seed,
        share=options.share,
    )
    used = tests.used
    features = [features_of(text) for text in texts]
    values = np.full_like(used.scores, np.nan)
    scores = {}
    for alias in trials if split.fit else ():
        at = used.models.index(alias)
        found = scores[alias] = fit_simplicity(features, used.scores[at].tolist(), split)
        answered = [not isinstance(trial, FailedTrial) for trial in trials[alias]]
        row = [simplicity(each, found.weights, found.intercept) for each in features]
        # A share of 1, as the grid takes it; no threshold parts what lies beyond 0 or 1.
        values[at] = np.where(answered, np.clip(row, 0, 1), np.nan)
    others = tests.at(split.certify)
    table = replace(others.used, signals=values[:, list(split.certify)])
    held_out = replace(others, used=table)
    return FittedSignal(scores, split, values, held_out, _shortage(split, held_out))


def _shortage(split: Split, tests: Hypotheses) -> str | None:
    """Return why not even a faultless route can be certified; None where one can."""
    if not split.fit:
        return "not fitted, because one group, or one text, has too many of the cases to part them"
    groups, bar = tests.used.groups, tests.bar
    parts = [(np.arange(len(tests.used.items)), bar.pass_rate or 0.0), *tests.slices]
    for number, (places, floor) in enumerate(parts):
        left = len(places) if groups is None else len(np.unique(groups[places]))
        needed = zero_failure_size(floor, alpha=bar.alpha)
        if needed is not None and left < needed:
            what = "cases" if groups is None else "independent groups"
            return (
                f"fitted on {len(split.fit)} cases, which leaves {left} {what}"
                f"{' of a slice' if number else ''}: not even a faultless cascade is certified on "
                f"fewer than {needed}"
            )
    return None
