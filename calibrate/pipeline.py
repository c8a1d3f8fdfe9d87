"""The whole run in order: `calibrate()` and `plan()`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from calibrate.candidates import Candidate, Field
from calibrate.cascade import find_cascades
from calibrate.client import Client, most_usd
from calibrate.completion import Request, Usage, estimated_tokens
from calibrate.criteria import GatePlan, cascade_alpha, design_rate, plan_gate
from calibrate.dataset import Case
from calibrate.decide import CASCADES, Calibration, choose_route
from calibrate.errors import ModelMoved
from calibrate.gate import Outcome, Verdict, judge, next_look, not_asked
from calibrate.methods import Ask, Method, method_for
from calibrate.runner import run_trials
from calibrate.stats.betting_plan import BettingPlan
from calibrate.stats.exact import zero_failure_size
from calibrate.stats.plan import Characteristics, operating_characteristics
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = [
    "ByRounds",
    "CandidatePlan",
    "Share",
    "TaskPlan",
    "Watcher",
    "asks_of",
    "calibrate",
    "gates_of",
    "plan",
]


BATCH = 8  # cases asked together where a verdict could fall any moment, and at least
MORE = 0.01  # of those seen, at least: each look is at all of them, so that many take long
LOOKS = 64  # about so many at most where each takes longer: bets are computed anew


@dataclass(frozen=True, slots=True)
class Share:
    """How the error is shared out in this run."""

    # The number of this attempt, by model, and for all cascades under `CASCADES`; 1 where none is.
    attempts: Mapping[str, int]
    level: float | None = None  # of the whole workflow, where it is not the bar's own


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """What asking one candidate would take, and what the cases can prove about it."""

    candidate: Candidate
    gate: GatePlan
    power: float  # the chance to certify a model whose true quality is the design rate
    expected_cases: float  # how many such a model is asked on average
    requests: int  # at most
    stored: int  # of them, answered already
    most_usd: Decimal  # the worst case of what is left to ask
    likely_usd: Decimal  # the pure formula's estimate of the expected cases
    input_tokens: int  # the pure formula's, for all requests that are left to ask
    output_tokens: int  # at most


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """What a run of a workflow would ask, and whether its data can certify its bar at all."""

    task: Task
    design_rate: float
    cases_needed: int | None  # with fewer, not even a faultless model could be certified
    candidates: tuple[CandidatePlan, ...]

    @property
    def gate(self) -> GatePlan:
        """The plan of the cheapest candidate."""
        return self.candidates[0].gate

    @property
    def can_certify(self) -> bool:
        return any(row.gate.can_certify for row in self.candidates)

    @property
    def likely_usd(self) -> Decimal:
        """What a run costs on average if every candidate is at the design rate."""
        reached, total = 1.0, Decimal(0)
        for row in self.candidates:
            is_rival = row.candidate is self.task.field.baseline and row.gate.bar.of_baseline
            total += Decimal(1.0 if is_rival else reached) * row.likely_usd
            reached *= 1 - row.power
        return total


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
    askable_cases = _askable(field, gates, chosen_cases)
    for candidate, askable in zip(field.candidates, askable_cases, strict=True):
        most = len(chosen_cases if ask_all else askable) * task.workflow.repeats
        asking[candidate.alias] = _Asking(task, candidate, client, most, rounds, watcher)
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
    trials = {alias: a.so_far(chosen_cases) for alias, a in asking.items() if a.has_begun}
    decision = choose_route(field, verdicts, None if cascades is None else cascades.route)
    return Calibration(task, trials, tuple(verdicts), decision, cascades=cascades)


class _Asking:
    """The trials of one candidate, each case asked once whatever asks for it."""

    def __init__(
        self,
        task: Task,
        candidate: Candidate,
        client: Client,
        most_trials: int,
        rounds: ByRounds | None,
        watcher: Watcher,
    ) -> None:
        self.candidate = candidate
        self.has_begun = False
        self.rounds = rounds
        self._method = _method(task, candidate, client)
        self._graders = task.graders
        self._repeats = task.workflow.repeats
        self._score = task.workflow.score
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
            self._graders,
            [case for case in cases if case.id not in self._known],
            repeats=self._repeats,
            score=self._score,
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
    prefix: list[AnyTrial] = []
    rival: list[AnyTrial] = []
    seen = 0
    rounds = asking.rounds
    least_round = 0 if rounds is None else ceil(rounds.least_share * gate.most_cases)
    verdict = judge(gate, alias, tier, prefix, critical, rival)
    while not verdict.is_settled:
        # Up to where a line could be crossed at the earliest, every case is needed anyway.
        few = MORE * seen if gate.test == "exact" else gate.most_cases / LOOKS
        least = max(BATCH, int(few))
        end = max(next_look(gate, prefix, rival), seen + max(least, least_round))
        batch = cases[seen:end]
        if has_rival:
            await _prefetch(rounds, [asking, baseline], batch)
        prefix += await asking.trials(batch)
        if has_rival:
            rival += await baseline.trials(batch)
        seen += len(batch)
        verdict = judge(gate, alias, tier, prefix, critical, rival)
    return verdict


def plan(
    task: Task, client: Client, *, share: Share | None = None, cases: int | None = None
) -> TaskPlan:
    """Return what a run would ask and cost at most, and whether it can certify; asks nothing."""
    chosen_cases = task.cases[:cases]
    bar = task.workflow.bar
    gates = gates_of(task, chosen_cases, share or Share({}))
    rows = []
    asked = _askable(task.field, gates, chosen_cases)
    for candidate, gate, askable in zip(task.field.candidates, gates, asked, strict=True):
        rows.append(_candidate_plan(task, candidate, gate, client, askable))
    return TaskPlan(
        task=task,
        design_rate=design_rate(bar),
        cases_needed=zero_failure_size(bar.floor, alpha=gates[0].alpha),
        candidates=tuple(rows),
    )


def asks_of(task: Task, client: Client, *, share: Share | None = None) -> list[Ask]:
    """Return all that a run of a workflow could ask at most, each request once; asks nothing."""
    gates = gates_of(task, task.cases, share or Share({}))
    asks: dict[tuple[str, str], Ask] = {}
    asked = _askable(task.field, gates, task.cases)
    for candidate, gate, askable in zip(task.field.candidates, gates, asked, strict=True):
        method = _method(task, candidate, client)
        for find in (_asks, _further_asks):
            for ask in find(candidate, method, askable, gate.repeats):
                asks.setdefault((ask.endpoint, ask.request.key), ask)
    return list(asks.values())


def gates_of(task: Task, cases: Sequence[Case], share: Share) -> list[GatePlan]:
    """Return what each candidate is held against in a run of these cases, in their order."""
    return [
        plan_gate(
            task.workflow.bar,
            len(task.field.candidates),
            cases,
            repeats=task.workflow.repeats,
            attempt=share.attempts.get(candidate.alias, 1),
            is_baseline=candidate is task.field.baseline,
            level=share.level,
        )
        for candidate in task.field.candidates
    ]


def _askable(field: Field, gates: Sequence[GatePlan], cases: Sequence[Case]) -> list[list[Case]]:
    """Return, for each candidate, the cases that a run could get to ask."""
    askable: list[list[Case]] = []
    for candidate, gate in zip(field.candidates, gates, strict=True):
        if gate.bar.cascades:
            askable.append(list(cases))
            continue
        is_rival = candidate is field.baseline and gate.bar.of_baseline is not None
        most_cases = max(g.most_cases for g in gates) if is_rival else gate.most_cases
        critical = [case for case in cases[most_cases:] if case.critical and gate.bar.critical]
        askable.append([*cases[:most_cases], *critical])
    return askable


def _candidate_plan(
    task: Task, candidate: Candidate, gate: GatePlan, client: Client, cases: Sequence[Case]
) -> CandidatePlan:
    method = _method(task, candidate, client)
    answers = _asks(candidate, method, cases, gate.repeats)
    further = _further_asks(candidate, method, cases, gate.repeats)
    to_ask, further_to_ask = (
        [ask for ask in asks if not client.has(ask.endpoint, ask.request)]
        for asks in (answers, further)
    )
    left = [*to_ask, *further_to_ask]
    expected = _characteristics(gate, design_rate(gate.bar))
    likely = min(len(to_ask), round(expected.expected_n * gate.repeats))
    further_usd = sum(map(_estimated_usd, further_to_ask), Decimal(0))
    return CandidatePlan(
        candidate=candidate,
        gate=gate,
        power=expected.accept_probability,
        expected_cases=expected.expected_n,
        requests=len(answers) + len(further),
        stored=len(answers) + len(further) - len(left),
        most_usd=sum((most_usd(a.request, a.price, a.timeout_s) for a in left), Decimal(0)),
        likely_usd=candidate.estimated_usd * likely
        + further_usd * Decimal(min(expected.expected_n / max(len(cases), 1), 1)),
        input_tokens=sum(estimated_tokens(ask.request.texts) for ask in left),
        output_tokens=sum(_output_tokens(ask) for ask in left),
    )


def _asks(candidate: Candidate, method: Method, cases: Sequence[Case], repeats: int) -> list[Ask]:
    """Return what answers are asked for, each request once, and what must be asked before."""
    requests = [
        *method.preparation(),
        *(method.requests(case, repeat)[0] for case in cases for repeat in range(repeats)),
    ]
    return [_own(candidate, request) for request in _once(requests)]


def _further_asks(
    candidate: Candidate, method: Method, cases: Sequence[Case], repeats: int
) -> list[Ask]:
    """Return what is asked besides for the signals: samples, and verdicts of another model."""
    samples: list[Request] = []
    others: dict[str, Ask] = {}
    for case in cases:
        for repeat in range(repeats):
            samples += method.requests(case, repeat)[1:]
            others |= {ask.request.key: ask for ask in method.others(case, repeat)}
    return [*(_own(candidate, request) for request in _once(samples)), *others.values()]


def _once(requests: Sequence[Request]) -> Iterator[Request]:
    yield from {request.key: request for request in requests}.values()


def _own(candidate: Candidate, request: Request) -> Ask:
    return Ask(candidate.model.endpoint, request, candidate.price, candidate.timeout_s)


def _estimated_usd(ask: Ask) -> Decimal:
    usage = Usage(estimated_tokens(ask.request.texts), _output_tokens(ask))
    return ask.price.cost(usage, ask.timeout_s)


def _output_tokens(ask: Ask) -> int:
    limit: int = ask.request.parameters.get("max_output_tokens", 0)
    return limit


def _characteristics(gate: GatePlan, rate: float) -> Characteristics:
    """Return what the lines of the quality do at one rate; those of other parts are left out."""
    lines = gate.lines
    if isinstance(lines, BettingPlan):
        return lines.characteristics(rate)
    return operating_characteristics(lines, rate)


def _method(task: Task, candidate: Candidate, client: Client) -> Method:
    return method_for(candidate, task.workflow, task.prompt, task.examples, client, task.noting)
