"""One case put to one model, and its grade: `Trial` or `FailedTrial`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from calibrate.client import Source
from calibrate.completion import ChatMessage, Failure, Usage
from calibrate.dataset import Case
from calibrate.graders.base import Grade
from calibrate.methods import NO_COSTS, SignalCost

__all__ = ["AnyTrial", "FailedTrial", "Trial", "passes"]

_NEARLY_ONE = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Trial:
    """An answer with its grade. Cost and latency are those of when it was really asked.

    They are the answer's own: a route pays for a signal only where it goes by it, so what each
    took on top is in `signal_costs`.
    """

    case: Case
    model: str
    repeat: int
    asked: tuple[ChatMessage, ...] | str
    answer: str
    finish: str
    grade: Grade
    signals: Mapping[str, float]
    usage: Usage
    cost_usd: Decimal
    latency_s: float | None  # None where it was not measured
    served_model: str
    source: Source
    signal_costs: Mapping[str, SignalCost] = field(default_factory=lambda: NO_COSTS)

    @property
    def score(self) -> float:
        return self.grade.score


@dataclass(frozen=True, slots=True)
class FailedTrial:
    """A call that gave no answer, for good. It counts as score 0; it is never dropped."""

    case: Case
    model: str
    repeat: int
    asked: tuple[ChatMessage, ...] | str
    failure: Failure
    cost_usd: Decimal
    latency_s: float | None
    source: Source

    @property
    def score(self) -> float:
        return 0.0


AnyTrial = Trial | FailedTrial


def passes(trial: AnyTrial) -> bool:
    """Return whether a trial passes: every grader gave it the full score."""
    return trial.score >= _NEARLY_ONE
