"""How far the asking of one model is: counts, money, quality so far, pace."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field, replace
from decimal import Decimal

from calibrate.cli.pace import Pace, Pacer, Seen
from calibrate.client import Source
from calibrate.gate import Verdict
from calibrate.pricing import Account
from calibrate.trial import AnyTrial, FailedTrial, passes
from calibrate.words import percent

__all__ = ["Tally"]


@dataclass(slots=True, eq=False)
class Tally:
    """What has happened to one model's trials."""

    model: str
    is_rate: bool  # whether quality is a share of passed trials, or a mean score
    account: InitVar[Account]  # of the model, which other workflows may have used before
    total: int = 0  # trials, at most
    done: int = 0
    stored: int = 0  # of them, answered before this run
    failed: int = 0  # of them, without an answer for good
    verdict: Verdict | None = None
    _quality: float = 0.0  # the sum of all trials
    _most_done: int = 0  # before `start_over`
    _answered: int = 0  # in this run, each once
    _pacer: Pacer = field(default_factory=Pacer)
    _account: Account = field(init=False)
    _before: Account = field(init=False)

    def __post_init__(self, account: Account) -> None:
        self._account = account
        self._before = replace(account)

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
    def in_flight(self) -> int:
        return self._account.in_flight

    @property
    def requests(self) -> int:
        """How many were sent, each attempt counted."""
        return self._account.begun - self._before.begun

    @property
    def usd(self) -> Decimal:
        return self._account.spent_usd - self._before.spent_usd

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
        """Another model is asked from now on; return the answers a second of this one.

        One of which nothing was asked has not come as yet.
        """
        return self._pacer.go(self._seen(now)) if self.requests or self.done else None

    def pace(self, now: float) -> Pace:
        left = self.total - self.done
        return self._pacer.pace(self._seen(now), left=left, in_flight=self.in_flight)

    def _seen(self, now: float) -> Seen:
        return Seen(now, self.requests - self.in_flight, self._answered)

    def _words(self, quality: float, count: int) -> str:
        shown = percent(quality) if self.is_rate else f"{quality:.3f}"
        return f"{shown} of {count:,}"
