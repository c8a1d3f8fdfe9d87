"""How far the asking of one model is: counts, money, quality so far, pace."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from calibrate.client import Source
from calibrate.gate import Verdict
from calibrate.trial import AnyTrial, FailedTrial, passes
from calibrate.words import percent

__all__ = ["Pace", "Tally"]

WINDOW_S = 10.0
LEAST_S = 1.0  # of less, a pace says nothing


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it goes; None where that cannot be said yet."""

    requests_per_s: float | None = None
    left_s: float | None = None  # at most: a verdict may fall before the last case


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    requests: int
    answered: int


@dataclass(slots=True)
class Tally:
    """What has happened to one model's trials."""

    model: str
    is_rate: bool  # whether quality is a share of passed trials, or a mean score
    total: int = 0  # trials, at most
    done: int = 0
    stored: int = 0  # of them, answered before this run
    failed: int = 0  # of them, without an answer for good
    requests: int = 0  # sent, each attempt counted
    usd: Decimal = Decimal(0)
    verdict: Verdict | None = None
    _quality: float = 0.0  # the sum of all trials
    _most_done: int = 0  # before `start_over`
    _answered: int = 0  # in this run, each once
    _samples: deque[_Sample] = field(default_factory=deque)

    def add(self, trial: AnyTrial) -> None:
        is_stored = trial.source is not Source.ASKED
        self.done += 1
        self.stored += is_stored
        self.failed += isinstance(trial, FailedTrial)
        self._quality += passes(trial) if self.is_rate else trial.score
        if self.done > self._most_done:
            self._answered += not is_stored

    def start_over(self) -> None:
        """Count the trials anew; up to as many as there were, they say nothing of the pace."""
        self._most_done = max(self._most_done, self.done)
        self.done = self.stored = self.failed = 0
        self._quality = 0.0

    @property
    def quality(self) -> str:
        """The quality so far with its count, in words; that of the verdict once it has fallen."""
        if self.verdict is not None and self.verdict.estimate is not None:
            return self._words(self.verdict.estimate, self.verdict.cases_used)
        return self._words(self._quality / self.done, self.done) if self.done else ""

    def pace(self, now: float) -> Pace:
        """Return the pace of about the last ten seconds in which this was called."""
        self._samples.append(_Sample(now, self.requests, self._answered))
        while len(self._samples) > 1 and self._samples[1].at <= now - WINDOW_S:
            self._samples.popleft()
        first = self._samples[0]
        elapsed_s = now - first.at
        if elapsed_s < LEAST_S:
            return Pace()
        newly = self._answered - first.answered
        left_s = (self.total - self.done) * elapsed_s / newly if newly else None
        return Pace((self.requests - first.requests) / elapsed_s, left_s)

    def _words(self, quality: float, count: int) -> str:
        shown = percent(quality) if self.is_rate else f"{quality:.3f}"
        return f"{shown} of {count:,}"
