"""Answers that exist, replayed as "cheap first, escalate when the signal is low"."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calibrate.outcomes import SignalCosts, TaskOutcomes
from calibrate.stats.auroc import Auroc, auroc
from calibrate.stats.thresholds import threshold_grid

__all__ = [
    "Cascade",
    "SignalQuality",
    "cascades",
    "count_pairs",
    "scores_at",
    "signal_quality",
    "waits_s",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
Places = NDArray[np.intp]

LATENCY_QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class Cascade:
    """A cheap model and a dearer one, at every threshold of the cheap one's signal.

    A case escalates where the signal is below the threshold or missing; a signal at the threshold
    stays. Thresholds fall, and so does the share that escalates; both ends, where all or none do,
    are left out, being the single models. Of thresholds that part the cases alike the highest is
    kept. `order` has the cases from the most trusted one, and `kept` counts those that stay. An
    escalated case costs, and waits for, both calls, but where its signal is known before the first.
    """

    cheap: int
    strong: int
    order: Places
    kept: Counts
    below: Floats
    escalated: Floats  # the share of the cases
    quality: Floats  # the mean score
    cost_usd: Floats  # a case
    latency_p95_s: Floats | None
    break_even: float  # the share at which it costs as much as the dearer model by itself

    def __len__(self) -> int:
        return len(self.kept)


@dataclass(frozen=True, slots=True)
class SignalQuality:
    """How well a model's signal tells its right answers from its wrong ones.

    Of all items a share `known` has a signal; the rest is about those. `auroc` is None where all
    answers are right or all are wrong, and `over_confidence`, the mean signal less the mean
    score, for a signal that is no probability.
    """

    known: float
    auroc: Auroc | None
    over_confidence: float | None

    @property
    def worth(self) -> Literal["informative", "useless", "harmful", "unknown"]:
        """What the interval says: harmful is a signal that is higher where answers are wrong."""
        if self.auroc is None:
            return "unknown"
        if self.auroc.low > 0.5:
            return "informative"
        return "harmful" if self.auroc.high < 0.5 else "useless"


def cascades(
    scores: Floats,
    signals: Floats,
    costs_usd: Floats,
    latencies_s: Floats | None = None,
    further: SignalCosts | None = None,
) -> list[Cascade]:
    """Return the cascades of each model and every dearer one, at all thresholds at once.

    All arguments have one row a model and one column a case; NaN is a missing signal. A pair
    whose cheap model has no signal that parts the cases has no threshold. `further` is what the
    signals themselves take.
    """
    means = costs_usd.mean(axis=1)
    parts = [_parts(signal) for signal in signals]
    answers = _Answers(scores, costs_usd, latencies_s, further)
    return [
        _cascade(cheap, strong, parts[cheap], answers)
        for strong in range(len(scores))
        for cheap in range(len(scores))
        if means[cheap] < means[strong]
    ]


def scores_at(cascade: Cascade, at: int, scores: Floats) -> Floats:
    """Return what the cascade scores on each case at one of its thresholds."""
    stays = cascade.order[: cascade.kept[at]]
    found: Floats = scores[cascade.strong].copy()
    found[stays] = scores[cascade.cheap, stays]
    return found


def waits_s(used: TaskOutcomes, cascade: Cascade) -> tuple[Floats, Floats]:
    """Return how long each case takes where the first answer stays, and where it is handed on."""
    latencies = np.full_like(used.scores, np.nan) if used.latencies_s is None else used.latencies_s
    return _waits_s(latencies, used.signal_costs, cascade.cheap, cascade.strong)


def signal_quality(signal: Floats, scores: Floats) -> SignalQuality | None:
    """Return what a model's signal is worth; None where it has none on any case."""
    known = ~np.isnan(signal)
    if not known.any():
        return None
    signal, scores = signal[known], scores[known]
    is_probability = bool(((signal >= 0) & (signal <= 1)).all())
    return SignalQuality(
        known=float(known.mean()),
        auroc=auroc(signal, scores),
        over_confidence=float(signal.mean() - scores.mean()) if is_probability else None,
    )


def count_pairs(cascade: Cascade, passed: Bools) -> Counts:
    """Return how the cascade compares with each model, at each threshold, where scores are binary.

    `passed` has one row a model. The last of three axes (model, threshold, count) counts the
    cases that one of the two passes, that only the model passes, and that only the cascade does.
    """
    rivals = passed[:, cascade.order]
    cheap, strong = rivals[cascade.cheap], rivals[cascade.strong]
    counts = (
        _parted(rivals | cheap, rivals | strong, cascade.kept),
        _parted(rivals & ~cheap, rivals & ~strong, cascade.kept),
        _parted(~rivals & cheap, ~rivals & strong, cascade.kept),
    )
    return np.stack(counts, axis=-1)


def _parts(signal: Floats) -> tuple[Places, Counts, Floats]:
    """Return the cases from the most trusted one, and how many stay at which thresholds."""
    distrust = -np.where(np.isnan(signal), -np.inf, signal)
    order = np.argsort(distrust, kind="stable")
    grid = threshold_grid(signal)[::-1]
    kept = np.searchsorted(distrust[order], -grid, side="right")
    kept, first = np.unique(kept, return_index=True)
    inner = (kept > 0) & (kept < len(signal))
    return order, kept[inner].astype(np.int64), grid[first][inner]


@dataclass(frozen=True, slots=True)
class _Answers:
    """What each model scored, cost and took on each case, and what its signal took on top."""

    scores: Floats
    costs_usd: Floats
    latencies_s: Floats | None
    further: SignalCosts | None

    def first_usd(self, cheap: int) -> tuple[Floats, Floats]:
        """Return what the first step costs where its answer stays, and where it is handed on."""
        own = self.costs_usd[cheap]
        if self.further is None:
            return own, own
        signal = self.further.usd[cheap]
        return own + signal, signal if self.further.before[cheap] else own + signal


def _waits_s(
    latencies_s: Floats, further: SignalCosts | None, cheap: int, strong: int
) -> tuple[Floats, Floats]:
    own, other = latencies_s[cheap], latencies_s[strong]
    if further is None:
        return own, own + other
    wait = further.wait_s[cheap]
    return own + wait, (wait if further.before[cheap] else own + wait) + other


def _cascade(
    cheap: int, strong: int, parts: tuple[Places, Counts, Floats], answers: _Answers
) -> Cascade:
    order, kept, below = parts
    scores, dear = answers.scores, answers.costs_usd[strong]
    n = len(order)
    stays, first = answers.first_usd(cheap)
    late = None
    if answers.latencies_s is not None:
        late = _waits_s(answers.latencies_s, answers.further, cheap, strong)
    saved = float(dear.mean() - stays.mean())  # where the first answer stays
    return Cascade(
        cheap=cheap,
        strong=strong,
        order=order,
        kept=kept,
        below=below,
        escalated=(n - kept) / n,
        quality=_parted(scores[cheap, order], scores[strong, order], kept) / n,
        cost_usd=_parted(stays[order], (first + dear)[order], kept) / n,
        latency_p95_s=None if late is None else _p95(late[0][order], late[1][order], kept),
        break_even=saved / (saved + float(first.mean())),
    )


def _parted(staying: NDArray[Any], escalated: NDArray[Any], kept: Counts) -> NDArray[Any]:
    """Return the sums over the first of one and the rest of the other, at each number kept."""
    first, second = np.cumsum(staying, axis=-1), np.cumsum(escalated, axis=-1)
    found: NDArray[Any] = first[..., kept - 1] + (second[..., -1:] - second[..., kept - 1])
    return found


def _p95(staying: Floats, escalated: Floats, kept: Counts) -> Floats:
    at = ceil(LATENCY_QUANTILE * len(staying)) - 1
    # No cascade's quantile is below that of each case's faster way: who is below it in either way
    # is below all of them.
    least = np.partition(np.minimum(staying, escalated), at)[at]
    matters = np.flatnonzero(~(np.maximum(staying, escalated) < least))  # not measured: it matters
    stays = matters < kept[:, None]
    mixed = np.where(stays, staying[matters], escalated[matters])
    at -= len(staying) - len(matters)
    found: Floats = np.partition(mixed, at, axis=1)[:, at]
    return found.copy()  # a view would keep all of it
