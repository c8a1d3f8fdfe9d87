"""Progress of a run on stderr: how far each model is, kept up to date while it is asked."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

from calibrate.candidates import Candidate
from calibrate.cli.display import Display, View, display_for
from calibrate.cli.pace import Pace
from calibrate.cli.tally import Tally
from calibrate.gate import Verdict
from calibrate.pipeline import Watcher
from calibrate.pricing import Budget
from calibrate.trial import AnyTrial

__all__ = ["Progress"]


class Progress(Watcher):
    """Counts what happens to a workflow's models, and shows it now and then; needs a running loop.

    Each attempt, and what it cost, stands in the budget's account of the model it was for.
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
        self._asked: list[Tally] = []  # of models that are under way, the latest one last
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
        alias = candidate.alias
        if alias not in self._tallies:
            self._tallies[alias] = Tally(alias, self._is_rate, self._budget.accounts[alias])
        tally = self._tallies[alias]
        tally.total = max(tally.total, most_trials)
        self._follow(tally)

    def advance(self, trial: AnyTrial) -> None:
        tally = self._tallies[trial.model]
        self._follow(tally)
        tally.add(trial)
        self._show_if_due()  # stored answers leave the loop few turns

    def settle(self, verdict: Verdict) -> None:
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
        for tally in self._tallies.values():
            if tally.in_flight:
                self._follow(tally)
        self._asked = [one for one in self._asked if one.in_flight] or self._asked[-1:]
        if self._asked:
            paces = {tally.model: self._pace(tally, now) for tally in self._asked}
            with suppress(OSError):
                self._display.show(View(tuple(self._tallies.values()), paces, self._budget))

    def _pace(self, tally: Tally, now: float) -> Pace:
        pace = tally.pace(now)
        # Interrupted: what is left is not asked any more.
        return replace(pace, left_s=None) if self._budget.is_shut else pace

    def _follow(self, tally: Tally) -> None:
        """Take a model to be under way now, and those of which nothing is in flight not to be."""
        if tally in self._asked:
            return
        now, before = self._clock(), None
        for other in self._asked:
            if not other.in_flight:
                before = other.go(now)
        tally.come(now, before)
        self._asked = [*(one for one in self._asked if one.in_flight), tally]
