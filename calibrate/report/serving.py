"""What a service would have seen of an answer when it had to decide."""

from __future__ import annotations

import math

from calibrate.policy import InputScore
from calibrate.trial import AnyTrial, FailedTrial

__all__ = ["signal_seen"]


def signal_seen(trial: AnyTrial, name: str, score: InputScore | None = None) -> float:
    """Return a signal's value; NaN where there is none, which is escalated.

    With a `score` the signal is computed from the request, between 0 and 1, and not the answer's.
    """
    if score is not None:
        text = trial.asked if isinstance(trial.asked, str) else trial.asked[-1].content
        return min(max(score.of(text), 0.0), 1.0)
    return math.nan if isinstance(trial, FailedTrial) else trial.signals.get(name, math.nan)
