"""How well a signal tells right answers from wrong ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["Auroc", "auroc"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Auroc:
    """The area under the curve with a two-sided interval; 0.5 is a signal that knows nothing."""

    estimate: float
    low: float
    high: float
    confidence: float


def auroc(signal: Floats, scores: Floats, *, confidence: float = 0.95) -> Auroc | None:
    """Return P(signal of a right answer > signal of a wrong one), ties counted as half.

    A score in (0, 1) counts as right in that part and as wrong in the other. None where nothing
    is right or nothing is wrong. Assumption: independent answers. The interval is approximate:
    Newcombe, Statistics in Medicine 25 (2006), 559-573, method 5, from the variance of Hanley &
    McNeil, Radiology 143 (1982), 29-36; it is good for small samples, and for scores in (0, 1)
    too wide.
    """
    from scipy.optimize import brentq  # a tenth of a second to load, and few runs come here

    right, wrong = float(scores.sum()), float((1 - scores).sum())
    if right == 0 or wrong == 0:
        return None
    values, place = np.unique(signal, return_inverse=True)
    wins = np.bincount(place, weights=scores, minlength=len(values))
    losses = np.bincount(place, weights=1 - scores, minlength=len(values))
    beaten = np.concatenate([[0.0], np.cumsum(losses)[:-1]]) + losses / 2
    estimate = min(float(wins @ beaten) / (right * wrong), 1.0)
    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    half = (right + wrong) / 2

    def distance(area: float) -> float:
        """The squared distance from the estimate, less what the variance at `area` allows."""
        shape = 2 * half - 1 - (3 * half - 3) / ((2 - area) * (1 + area))
        return (estimate - area) ** 2 - z2 * area * (1 - area) * shape / (right * wrong)

    # The variance is 0 at the ends, which therefore solve the equation without being bounds.
    inside = min(max(estimate, 1e-9), 1 - 1e-9)
    low = 0.0 if distance(0.0) <= 0 else float(brentq(distance, 0.0, inside))
    high = 1.0 if distance(1.0) <= 0 else float(brentq(distance, inside, 1.0))
    return Auroc(estimate, low, high, confidence)
