"""The plan that a verdict was judged by, and the evidence that it was given, found again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from calibrate.criteria import GatePlan, level_of, plan_gate
from calibrate.decide import Calibration
from calibrate.gate import Verdict
from calibrate.trial import AnyTrial

__all__ = ["gate_of", "prefix_of"]


def gate_of(calibration: Calibration, verdict: Verdict, least: float | None = None) -> GatePlan:
    """Return the plan of a verdict, or what it would be with another bar, `least`."""
    task, bar = calibration.task, calibration.task.workflow.bar
    level = level_of(bar, verdict.alpha, len(calibration.verdicts), verdict.attempt)
    return plan_gate(
        bar if least is None else bar.model_copy(update={bar.measure: least}),
        len(calibration.verdicts),
        task.cases[: verdict.cases],
        repeats=task.workflow.repeats,
        attempt=verdict.attempt,
        is_baseline=verdict.model == task.field.baseline.alias,
        # Divided and multiplied again it may be a hair off, and a hair may move a line.
        level=None if math.isclose(level, bar.alpha, rel_tol=1e-9) else level,
    )


def prefix_of(calibration: Calibration, model: str) -> Sequence[AnyTrial]:
    """Return a model's trials of the first cases of the seeded order, up to the first gap."""
    trials = calibration.trials.get(model, ())
    repeats = calibration.task.workflow.repeats
    wanted = (case for case in calibration.task.cases for _ in range(repeats))
    pairs = enumerate(zip(trials, wanted, strict=False))
    gap = next((i for i, (trial, case) in pairs if trial.case.id != case.id), len(trials))
    return trials[: gap - gap % repeats]
