"""The whole run in order: `calibrate()` and `plan()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.client import Client, most_usd
from calibrate.completion import estimated_tokens
from calibrate.criteria import GatePlan, design_rate, plan_gate
from calibrate.dataset import Case
from calibrate.decide import Calibration, choose_route
from calibrate.errors import ModelMoved
from calibrate.gate import Outcome, Verdict, judge, next_look, not_asked
from calibrate.methods import Method, method_for
from calibrate.runner import run_trials
from calibrate.stats.betting_plan import BettingPlan
from calibrate.stats.exact import zero_failure_size
from calibrate.stats.plan import Characteristics, operating_characteristics
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = ["CandidatePlan", "Share", "TaskPlan", "calibrate", "plan"]


BATCH = 8  # cases asked together where a verdict could fall any moment
LOOKS = 64  # about so many at most where each takes long: bets are computed anew at every look


@dataclass(frozen=True, slots=True)
class Share:
    """How the error is shared out in this run."""

    attempts: Mapping[str, int]  # the number of this attempt, by model; 1 where none is given
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


async def calibrate(
    task: Task,
    client: Client,
    *,
    share: Share | None = None,
    cases: int | None = None,
    ask_all: bool = False,
    on_start: Callable[[Candidate, int], None] = lambda *_: None,
    on_trial: Callable[[AnyTrial], None] = lambda _: None,
) -> Calibration:
    """Measure a workflow's candidates, cheapest first, until one is certified; then decide.

    With `ask_all` the dearer ones are measured too, for the report. `cases` takes only so many of
    the seeded order. Progress is told through the two callbacks; nothing is printed. Where a
    model moves meanwhile it is asked anew: answers of two models must not meet in one verdict.
    """
    while True:
        try:
            return await _calibrate_once(task, client, share, cases, ask_all, on_start, on_trial)
        except ModelMoved:  # a few times at most: see StoredAnswers
            client.start_over()


async def _calibrate_once(
    task: Task,
    client: Client,
    share: Share | None,
    cases: int | None,
    ask_all: bool,
    on_start: Callable[[Candidate, int], None],
    on_trial: Callable[[AnyTrial], None],
) -> Calibration:
    chosen_cases = task.cases[:cases]
    field = task.field
    gates = _gates(task, chosen_cases, share)
    asking = {c.alias: _Asking(task, c, client, on_trial) for c in field.candidates}
    baseline = asking[field.baseline.alias]
    verdicts: list[Verdict] = []
    for candidate, gate in zip(field.candidates, gates, strict=True):
        is_needed = all(v.outcome is not Outcome.CERTIFIED for v in verdicts)
        verdict = not_asked(gate, candidate.alias, candidate.tier)
        if is_needed or ask_all:
            on_start(candidate, gate.most_cases * gate.repeats)
            if ask_all:  # at once, and not in batches up to where a verdict could fall
                await asking[candidate.alias].trials(chosen_cases)
            if is_needed:
                verdict = await _sequential(gate, asking[candidate.alias], baseline, chosen_cases)
        verdicts.append(verdict)
    trials = {alias: a.so_far(chosen_cases) for alias, a in asking.items() if a.has_begun}
    return Calibration(task, trials, tuple(verdicts), choose_route(field, verdicts))


class _Asking:
    """The trials of one candidate, each case asked once whatever asks for it."""

    def __init__(
        self,
        task: Task,
        candidate: Candidate,
        client: Client,
        on_trial: Callable[[AnyTrial], None],
    ) -> None:
        self.candidate = candidate
        self.has_begun = False
        self._method = _method(task, candidate, client)
        self._graders = task.graders
        self._repeats = task.workflow.repeats
        self._score = task.workflow.score
        self._concurrency = client.concurrency(candidate.model.endpoint)
        self._on_trial = on_trial
        self._known: dict[str, list[AnyTrial]] = {}

    async def trials(self, cases: Sequence[Case]) -> list[AnyTrial]:
        """Return the trials of these cases in their order, asking those that are not known."""
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
            on_trial=self._on_trial,
        )
        for trial in fresh:
            self._known.setdefault(trial.case.id, []).append(trial)
        return [trial for case in cases for trial in self._known[case.id]]

    def so_far(self, cases: Sequence[Case]) -> tuple[AnyTrial, ...]:
        return tuple(trial for case in cases for trial in self._known.get(case.id, ()))


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
    verdict = judge(gate, alias, tier, prefix, critical, rival)
    while not verdict.is_settled:
        # Up to where a line could be crossed at the earliest, every case is needed anyway.
        least = BATCH if gate.test == "exact" else max(BATCH, gate.most_cases // LOOKS)
        end = max(next_look(gate, prefix, rival), seen + least)
        batch = cases[seen:end]
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
    gates = _gates(task, chosen_cases, share)
    rows = []
    for candidate, gate in zip(task.field.candidates, gates, strict=True):
        is_rival = candidate is task.field.baseline and gate.bar.of_baseline is not None
        most_cases = max(g.most_cases for g in gates) if is_rival else gate.most_cases
        askable = _askable(gate, chosen_cases, most_cases)
        rows.append(_candidate_plan(task, candidate, gate, client, askable))
    return TaskPlan(
        task=task,
        design_rate=design_rate(bar),
        cases_needed=zero_failure_size(bar.floor, alpha=gates[0].alpha),
        candidates=tuple(rows),
    )


def _gates(task: Task, cases: Sequence[Case], share: Share | None) -> list[GatePlan]:
    share = share or Share({})
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


def _askable(gate: GatePlan, cases: Sequence[Case], most_cases: int) -> list[Case]:
    """Return the cases that a run could get to ask."""
    critical = [case for case in cases[most_cases:] if case.critical and gate.bar.critical]
    return [*cases[:most_cases], *critical]


def _candidate_plan(
    task: Task, candidate: Candidate, gate: GatePlan, client: Client, cases: Sequence[Case]
) -> CandidatePlan:
    method = _method(task, candidate, client)
    requests = {request.key: request for request in method.preparation()}
    for case in cases:
        for repeat in range(gate.repeats):
            requests |= {request.key: request for request in method.requests(case, repeat)}
    to_ask = [
        request
        for request in requests.values()
        if not client.has(candidate.model.endpoint, request)
    ]
    most = sum(
        (most_usd(request, candidate.price, candidate.timeout_s) for request in to_ask), Decimal(0)
    )
    expected = _characteristics(gate, design_rate(gate.bar))
    likely = min(len(to_ask), round(expected.expected_n * gate.repeats))
    return CandidatePlan(
        candidate=candidate,
        gate=gate,
        power=expected.accept_probability,
        expected_cases=expected.expected_n,
        requests=len(requests),
        stored=len(requests) - len(to_ask),
        most_usd=most,
        likely_usd=candidate.estimated_usd * likely,
        input_tokens=sum(estimated_tokens(request.texts) for request in to_ask),
        output_tokens=sum(request.parameters.get("max_output_tokens", 0) for request in to_ask),
    )


def _characteristics(gate: GatePlan, rate: float) -> Characteristics:
    """Return what the lines of the quality do at one rate; those of other parts are left out."""
    lines = gate.lines
    if isinstance(lines, BettingPlan):
        return lines.characteristics(rate)
    return operating_characteristics(lines, rate)


def _method(task: Task, candidate: Candidate, client: Client) -> Method:
    return method_for(candidate, task.workflow, task.prompt, task.examples, client)
