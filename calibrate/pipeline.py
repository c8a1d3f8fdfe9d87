"""The whole run in order: measure the candidates, judge them, choose the route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from calibrate.candidates import Candidate
from calibrate.cascade import find_cascades
from calibrate.client import Client
from calibrate.criteria import GatePlan, cascade_alpha
from calibrate.dataset import Case
from calibrate.decide import CASCADES, Calibration, choose_route
from calibrate.errors import ModelMoved
from calibrate.gate import Outcome, Reason, Verdict, judge, not_asked
from calibrate.graders import Grading
from calibrate.methods import Ask
from calibrate.planning import Share, askable_cases, gates_of, method_of
from calibrate.prefix import nothing_seen
from calibrate.runner import run_trials
from calibrate.summaries import mean_cost_usd
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = ["ByRounds", "Watcher", "calibrate"]

BATCH = 8  # cases asked together where a verdict could fall any moment, and at least
MORE = 0.01  # of those seen, at least: a round of few takes as long as its slowest answer


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


async def calibrate(
    task: Task,
    client: Client,
    *,
    share: Share | None = None,
    cases: int | None = None,
    ask_all: bool = False,
    rounds: ByRounds | None = None,
    watcher: Watcher = NOBODY,
) -> Calibration:
    """Measure a workflow's candidates, cheapest first, until one is certified; then decide.

    With `ask_all` the dearer ones are measured too, for the report. Where the bar has cascades and
    the cheapest is not certified, every case of every candidate is asked, and the cheapest
    certified cascade may be the route. `cases` takes only so many of the seeded order. Progress is
    told to the watcher; nothing is printed. Where a model moves meanwhile it is asked anew: answers
    of two models must not meet in one verdict.
    """
    share = share or Share({})
    while True:
        try:
            return await _calibrate_once(task, client, share, cases, ask_all, rounds, watcher)
        except ModelMoved:  # a few times at most: see StoredAnswers
            client.start_over()


async def _calibrate_once(
    task: Task,
    client: Client,
    share: Share,
    cases: int | None,
    ask_all: bool,
    rounds: ByRounds | None,
    watcher: Watcher,
) -> Calibration:
    watcher.begin()
    chosen_cases = task.cases[:cases]
    field = task.field
    gates = gates_of(task, chosen_cases, share)
    asking = {}
    grading = Grading(task.graders, task.workflow.score)
    per_candidate = askable_cases(field, gates, chosen_cases)
    for candidate, askable in zip(field.candidates, per_candidate, strict=True):
        most = len(chosen_cases if ask_all else askable) * task.workflow.repeats
        asking[candidate.alias] = _Asking(
            task, candidate, client, grading, most, rounds, watcher
        )
    baseline = asking[field.baseline.alias]
    verdicts: list[Verdict] = []
    if ask_all:
        await _prefetch(rounds, asking.values(), chosen_cases)
    for candidate, gate in zip(field.candidates, gates, strict=True):
        is_needed = all(v.outcome is not Outcome.CERTIFIED for v in verdicts)
        verdict = not_asked(gate, candidate.alias, candidate.tier)
        if ask_all:  # at once, and not in batches up to where a verdict could fall
            await asking[candidate.alias].trials(chosen_cases)
        if is_needed:
            verdict = await _sequential(gate, asking[candidate.alias], baseline, chosen_cases)
            watcher.settle(verdict)
        verdicts.append(verdict)
    cascades = None
    if task.workflow.bar.cascades and verdicts[0].outcome is not Outcome.CERTIFIED:
        await _prefetch(rounds, asking.values(), chosen_cases)
        answers = {alias: await asked.trials(chosen_cases) for alias, asked in asking.items()}
        attempt = share.attempts.get(CASCADES, 1)
        alpha = cascade_alpha(task.workflow.bar, attempt=attempt, level=share.level)
        cascades = find_cascades(task, chosen_cases, answers, alpha=alpha, attempt=attempt)
        verdicts = [_costed(verdict, answers[verdict.model]) for verdict in verdicts]
    trials = {alias: a.so_far(chosen_cases) for alias, a in asking.items() if a.has_begun}
    decision = choose_route(field, verdicts, None if cascades is None else cascades.route)
    return Calibration(task, trials, tuple(verdicts), decision, cascades=cascades)


def _costed(verdict: Verdict, trials: Sequence[AnyTrial]) -> Verdict:
    """Return a verdict with the cost of answers that were asked for the cascades alone."""
    if verdict.reason is not Reason.NOT_ASKED:
        return verdict
    return replace(verdict, cost_usd_per_request=mean_cost_usd(trials))


class _Asking:
    """The trials of one candidate, each case asked once whatever asks for it."""

    def __init__(
        self,
        task: Task,
        candidate: Candidate,
        client: Client,
        grading: Grading,
        most_trials: int,
        rounds: ByRounds | None,
        watcher: Watcher,
    ) -> None:
        self.candidate = candidate
        self.has_begun = False
        self.rounds = rounds
        self._method = method_of(task, candidate, client)
        self._grading = grading
        self._repeats = task.workflow.repeats
        self._concurrency = client.concurrency(candidate.model.endpoint)
        self._most_trials = most_trials
        self._watcher = watcher
        self._known: dict[str, list[AnyTrial]] = {}

    async def trials(self, cases: Sequence[Case]) -> list[AnyTrial]:
        """Return the trials of these cases in their order, asking those that are not known."""
        self._watcher.start(self.candidate, self._most_trials)
        await _prefetch(self.rounds, [self], cases)
        if not self.has_begun:
            self.has_begun = True
            await self._method.prepare()
        fresh = await run_trials(
            self.candidate,
            self._method,
            self._grading,
            [case for case in cases if case.id not in self._known],
            repeats=self._repeats,
            concurrency=self._concurrency,
            on_trial=self._watcher.advance,
        )
        for trial in fresh:
            self._known.setdefault(trial.case.id, []).append(trial)
        return [trial for case in cases for trial in self._known[case.id]]

    def asks(self, cases: Sequence[Case]) -> list[Ask]:
        """Return what answering these cases asks of the model, but for those that are known."""
        requests = [] if self.has_begun else self._method.preparation()
        for case in cases:
            for repeat in range(0 if case.id in self._known else self._repeats):
                requests += self._method.requests(case, repeat)
        model = self.candidate
        return [Ask(model.model.endpoint, r, model.price, model.timeout_s) for r in requests]

    def so_far(self, cases: Sequence[Case]) -> tuple[AnyTrial, ...]:
        return tuple(trial for case in cases for trial in self._known.get(case.id, ()))


async def _prefetch(
    rounds: ByRounds | None, asking: Iterable[_Asking], cases: Sequence[Case]
) -> None:
    if rounds is not None:
        await rounds.fetch([ask for each in asking for ask in each.asks(cases)])


async def _sequential(
    gate: GatePlan, asking: _Asking, baseline: _Asking, cases: Sequence[Case]
) -> Verdict:
    """Ask a candidate in the seeded order until its verdict is settled, and no further.

    Where the bar compares it with the baseline, that is asked for the same cases.
    """
    alias, tier = asking.candidate.alias, asking.candidate.tier
    critical = await asking.trials([case for case in cases if case.critical and gate.bar.critical])
    has_rival = gate.bar.of_baseline is not None and asking is not baseline
    trials: list[AnyTrial] = []
    rival: list[AnyTrial] = []
    prefix = nothing_seen(gate)
    rounds = asking.rounds
    least_round = 0 if rounds is None else ceil(rounds.least_share * gate.most_cases)
    verdict = judge(gate, alias, tier, trials, critical, rival)
    while not verdict.is_settled:
        # Up to where a line could be crossed at the earliest, every case is needed anyway.
        seen = len(prefix.scores)
        end = max(prefix.next_look, seen + max(BATCH, int(MORE * seen), least_round))
        batch = cases[seen:end]
        if has_rival:
            await _prefetch(rounds, [asking, baseline], batch)
        own = await asking.trials(batch)
        other = await baseline.trials(batch) if has_rival else []
        trials += own
        rival += other
        prefix = prefix.after(own, other)
        if not prefix.is_open:
            verdict = judge(gate, alias, tier, trials, critical, rival)
    return verdict
