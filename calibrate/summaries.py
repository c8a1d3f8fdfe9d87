"""Many trials in one number: what an answer cost, and how long calls took."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibrate.trial import AnyTrial, FailedTrial

__all__ = ["latency_quantile", "mean_cost_usd"]


def mean_cost_usd(trials: Sequence[AnyTrial]) -> float | None:
    """Return the mean cost in dollars of a request that was answered; None where none was."""
    answered = [float(trial.cost_usd) for trial in trials if not isinstance(trial, FailedTrial)]
    return float(np.mean(answered)) if answered else None


def latency_quantile(trials: Sequence[AnyTrial], q: float) -> float | None:
    """Return a latency that was really seen: the least that at least a share `q` do not exceed.

    In seconds; None where none was measured.
    """
    measured = [trial.latency_s for trial in trials if trial.latency_s is not None]
    return float(np.quantile(measured, q, method="inverted_cdf")) if measured else None
