"""Ask candidates for their trials: several side by side, each case once whatever asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from calibrate.candidates import Candidate
from calibrate.client import Client
from calibrate.dataset import Case
from calibrate.gate import Verdict
from calibrate.graders import Grading
from calibrate.methods import Ask
from calibrate.planning import method_of
from calibrate.runner import Job, run_trials
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = ["NOBODY", "Asked", "Asker", "ByRounds", "Watcher"]


class Watcher:
    """Is told how a run goes on; this one does nothing with it."""

    def begin(self) -> None:
        """The workflow is decided from its first case on; answers may come that came before."""

    def start(self, candidate: Candidate, most_trials: int) -> None:
        """A candidate is asked next, for the first time or again; it takes so many at most."""

    def advance(self, trial: AnyTrial) -> None:
        """A trial is done."""

    def settle(self, verdict: Verdict) -> None:
        """A verdict has fallen."""


NOBODY = Watcher()


@dataclass(frozen=True, slots=True)
class ByRounds:
    """How the answers of a whole round are got before it is asked.

    What `fetch` does not get is asked directly. The verdict is that of the same prefix, however
    far beyond it a round reaches.
    """

    fetch: Callable[[Sequence[Ask]], Awaitable[None]]
    least_share: float = 0.0  # of the cases that a candidate can take, in each round


class Asked:
    """What is known of one candidate."""

    def __init__(self, task: Task, candidate: Candidate, client: Client, most_cases: int) -> None:
        self.candidate = candidate
        self.method = method_of(task, candidate, client)
        self.has_begun = False
        self.most_trials = most_cases * task.workflow.repeats
        self._repeats = task.workflow.repeats
        self._known: dict[str, tuple[AnyTrial, ...]] = {}

    def job(self, cases: Sequence[Case]) -> Job:
        """Return what is left to ask of these cases."""
        fresh = [case for case in cases if case.id not in self._known]
        return Job(self.candidate, self.method, fresh)

    def asks(self, cases: Sequence[Case]) -> list[Ask]:
        """Return the requests that are left to ask of these cases."""
        requests = [] if self.has_begun else self.method.preparation()
        for case in self.job(cases).cases:
            for repeat in range(self._repeats):
                requests += self.method.requests(case, repeat)
        one = self.candidate
        return [
            Ask(one.model.endpoint, request, one.price, one.timeout_s, one.alias)
            for request in requests
        ]

    def keep(self, trials: Sequence[AnyTrial]) -> None:
        """Take in the trials of a job."""
        for at in range(0, len(trials), self._repeats):
            self._known[trials[at].case.id] = tuple(trials[at : at + self._repeats])

    def trials(self, cases: Sequence[Case]) -> tuple[AnyTrial, ...]:
        """Return the trials of those of the cases that are known, in their order."""
        return tuple(trial for case in cases for trial in self._known.get(case.id, ()))


class Asker:
    """Asks the candidates of a task; progress is told to the watcher."""

    def __init__(
        self, task: Task, client: Client, rounds: ByRounds | None, watcher: Watcher
    ) -> None:
        self.rounds = rounds
        self._client = client
        self._repeats = task.workflow.repeats
        self._grading = Grading(task.graders, task.workflow.score)
        self._watcher = watcher

    async def ask(self, asked: Collection[Asked], cases: Sequence[Case]) -> None:
        """Ask what is not known as yet of these cases, all of these candidates at once."""
        for one in asked:
            self._watcher.start(one.candidate, one.most_trials)
        if self.rounds is not None:
            await self.rounds.fetch([ask for one in asked for ask in one.asks(cases)])
        await self._prepare([one for one in asked if not one.has_begun])
        found = await run_trials(
            [one.job(cases) for one in asked],
            self._grading,
            repeats=self._repeats,
            concurrency=self._client.concurrency,
            on_trial=self._watcher.advance,
            on_end=self._client.end,
        )
        for one, trials in zip(asked, found, strict=True):
            one.keep(trials)

    async def _prepare(self, asked: Sequence[Asked]) -> None:
        for one in asked:
            one.has_begun = True
            await one.method.prepare()
