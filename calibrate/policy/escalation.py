"""When a route's answer is not kept: the signal, its scale, the threshold, the stronger model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, SupportsFloat

__all__ = ["Escalation", "InputScore", "Scale"]

_OF_REQUESTS = frozenset({"input_brevity", "input_simplicity"})
_HAIR = 1e-6  # a signal is kept to six digits: rounding must not put it off its scale


@dataclass(frozen=True, slots=True)
class Scale:
    """What a signal counts in, and between which ends; None where it has none on that side."""

    unit: str
    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether a value can stand on this scale; what is no number cannot."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low - _HAIR <= value <= high + _HAIR

    def __str__(self) -> str:
        if self.low is None and self.high is None:
            return self.unit
        if self.low is None or self.high is None:
            end = f"{self.high:g} at most" if self.low is None else f"{self.low:g} at least"
            return f"{self.unit}, {end}"
        return f"{self.unit}, {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class InputScore:
    """How `input_simplicity` is computed: the intercept less the weighted features of an input."""

    intercept: float
    weights: dict[str, float]

    def of(self, text: str) -> float:
        """Return the score of an input, that is of the last message of a request."""
        from calibrate.policy.inputs import features_of, simplicity

        return simplicity(features_of(text), self.weights, self.intercept)


@dataclass(frozen=True, slots=True)
class Escalation:
    """Send a request on to `to` when `signal` is below the threshold, on the threshold's scale."""

    signal: str
    below: float
    to: str
    scale: Scale | None = None  # None in policies from before there was one: nothing is checked
    score: InputScore | None = None  # by which the signal is computed, where it has weights

    @property
    def is_before_call(self) -> bool:
        """Whether the signal is the request's: what is escalated then goes to `to` alone."""
        return self.signal in _OF_REQUESTS

    def completed(
        self, signals: Mapping[str, float], contents: Sequence[str]
    ) -> Mapping[str, float]:
        """Return signals with the one that is computed here, of messages with these contents."""
        if self.score is None or not contents:
            return signals
        return {**signals, self.signal: self.score.of(contents[-1])}

    def reason(self, signals: Mapping[str, float]) -> Literal["missing", "off_scale", "low"] | None:
        """Return why an answer with these signals goes on; None where it stays.

        Nothing is known of a signal that is missing, not a number, or not on the scale that the
        threshold stands on (87 where shares of 1 were calibrated), so these go on, too. At the
        threshold an answer stays.
        """
        value = _number(signals.get(self.signal))
        if math.isnan(value):
            return "missing"
        if self.scale is not None and not self.scale.holds(value):
            return "off_scale"
        return None if value >= self.below else "low"


def _number(value: object) -> float:
    """Return a signal's value, NaN for what is no number: a service may hand in anything."""
    if isinstance(value, bool | str) or not isinstance(value, SupportsFloat):
        return math.nan
    return float(value)
