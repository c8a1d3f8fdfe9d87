"""How far the asking of one model is: counts, money, quality so far, pace."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from calibrate.cli.pace import Pace, Pacer, Seen
from calibrate.client import Source
from calibrate.gate import Verdict
from calibrate.trial import AnyTrial, FailedTrial, passes
from calibrate.words import percent

__all__ = ["Tally"]


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
    _pacer: Pacer = field(default_factory=Pacer)

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

    def come(self, now: float, answers_per_s: float | None) -> None:
        """The model is asked from now on, in a run that had this pace until now."""
        self._pacer.come(self._seen(now), answers_per_s)

    def go(self, now: float) -> float | None:
        """Another model is asked from now on; return the answers a second of this one."""
        return self._pacer.go(self._seen(now))

    def pace(self, now: float, in_flight: int) -> Pace:
        left = self.total - self.done
        return self._pacer.pace(self._seen(now, in_flight), left=left, in_flight=in_flight)

    def _seen(self, now: float, in_flight: int = 0) -> Seen:
        return Seen(now, self.requests - in_flight, self._answered)

    def _words(self, quality: float, count: int) -> str:
        shown = percent(quality) if self.is_rate else f"{quality:.3f}"
        return f"{shown} of {count:,}"
