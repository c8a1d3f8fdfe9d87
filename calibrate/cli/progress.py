"""Progress of a run on stderr: how far each model is, kept up to date while it is asked."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from types import TracebackType

from calibrate.candidates import Candidate
from calibrate.cli.display import Display, View, display_for
from calibrate.cli.tally import Tally
from calibrate.gate import Verdict
from calibrate.pipeline import Watcher
from calibrate.pricing import Budget
from calibrate.trial import AnyTrial

__all__ = ["Progress"]


class Progress(Watcher):
    """Counts what happens to a workflow's models, and shows it now and then; needs a running loop.

    Each attempt, and what it cost, is put down to the model that is asked at the time.
    """

    def __init__(
        self,
        workflow: str,
        budget: Budget,
        *,
        is_rate: bool = True,
        display: Display | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display = display_for(sys.stderr, workflow) if display is None else display
        self._budget = budget
        self._is_rate = is_rate
        self._clock = clock
        self._tallies: dict[str, Tally] = {}
        self._current: Tally | None = None
        self._begun = 0
        self._spent_usd = Decimal(0)
        self._due = 0.0

    def __enter__(self) -> Progress:
        self._due = self._clock() + self._display.every_s
        with suppress(OSError):  # stderr is gone: that is no reason to lose the run
            self._display.open()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ticking.cancel()
        with suppress(OSError):
            self._display.close()

    def begin(self) -> None:
        for tally in self._tallies.values():
            tally.start_over()

    def start(self, candidate: Candidate, most_trials: int) -> None:
        self._catch_up()
        tally = self._tallies.get(candidate.alias)
        if tally is None:
            tally = self._tallies[candidate.alias] = Tally(candidate.alias, self._is_rate)
        tally.total = max(tally.total, most_trials)
        if tally is not self._current:
            now = self._clock()
            before = None if self._current is None else self._current.go(now)
            tally.come(now, before)
            self._current = tally

    def advance(self, trial: AnyTrial) -> None:
        self._tallies[trial.model].add(trial)
        self._show_if_due()  # stored answers leave the loop no turn

    def settle(self, verdict: Verdict) -> None:
        self._catch_up()
        tally = self._tallies[verdict.model]
        is_news = tally.verdict is None or tally.verdict.outcome is not verdict.outcome
        tally.verdict = verdict
        if is_news:
            with suppress(OSError):
                self._display.settled(tally)

    def say(self, text: str) -> None:
        """Tell something beside the figures."""
        with suppress(OSError):
            self._display.say(text)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._due - self._clock())
            self._show_if_due()

    def _show_if_due(self) -> None:
        now = self._clock()
        if now < self._due:
            return
        self._due = now + self._display.every_s
        self._catch_up()
        if self._current is not None:
            tallies = tuple(self._tallies.values())
            pace = self._current.pace(now, self._budget.in_flight)
            if self._budget.is_shut:  # interrupted: what is left is not asked any more
                pace = replace(pace, left_s=None)
            with suppress(OSError):
                self._display.show(View(tallies, self._current, pace, self._budget))

    def _catch_up(self) -> None:
        """Put down to the current model what has been sent and paid since the last time."""
        if self._current is not None:
            self._current.requests += self._budget.begun - self._begun
            self._current.usd += self._budget.spent_usd - self._spent_usd
        self._begun, self._spent_usd = self._budget.begun, self._budget.spent_usd
