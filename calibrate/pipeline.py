"""The whole run in order: `calibrate()` and `plan()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.client import Client, most_usd
from calibrate.dataset import Case
from calibrate.decide import Calibration, choose_route
from calibrate.gate import (
    GatePlan,
    Outcome,
    Verdict,
    design_rate,
    judge,
    not_asked,
    plan_gate,
)
from calibrate.methods import Method, method_for
from calibrate.runner import run_trials
from calibrate.stats.exact import zero_failure_size
from calibrate.stats.plan import operating_characteristics
from calibrate.task import Task
from calibrate.trial import AnyTrial, passes

__all__ = ["CandidatePlan", "TaskPlan", "calibrate", "plan"]


BATCH = 8  # cases asked together where a verdict could fall any moment


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """What asking one candidate would take, and what the cases can prove about it."""

    candidate: Candidate
    requests: int
    stored: int  # of them, answered already
    most_usd: Decimal  # the worst case of what is left to ask
    likely_usd: Decimal  # the pure formula's estimate of it


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """What a run of a workflow would ask, and whether its data can certify its bar at all."""

    task: Task
    gate: GatePlan
    design_rate: float
    power: float  # the chance to certify a model whose true rate is the design rate
    expected_cases: float  # how many such a model is asked on average
    cases_needed: int | None  # with fewer, not even a faultless model could be certified
    candidates: tuple[CandidatePlan, ...]

    @property
    def can_certify(self) -> bool:
        return self.gate.can_certify


async def calibrate(
    task: Task,
    client: Client,
    *,
    cases: int | None = None,
    ask_all: bool = False,
    on_start: Callable[[Candidate, int], None] = lambda *_: None,
    on_trial: Callable[[AnyTrial], None] = lambda _: None,
) -> Calibration:
    """Measure a workflow's candidates, cheapest first, until one is certified; then decide.

    With `ask_all` the dearer ones are measured too, for the report. `cases` takes only so many of
    the seeded order. Progress is told through the two callbacks; nothing is printed.
    """
    chosen_cases = task.cases[:cases]
    gate = plan_gate(task.workflow.bar, len(task.field.candidates), chosen_cases)
    trials: dict[str, tuple[AnyTrial, ...]] = {}
    verdicts: list[Verdict] = []
    for candidate in task.field.candidates:
        is_needed = all(v.outcome is not Outcome.CERTIFIED for v in verdicts)
        verdict = not_asked(gate, candidate.alias, candidate.tier)
        if is_needed or ask_all:
            on_start(candidate, gate.lines.n)
            asking = _Asking(task, candidate, client, on_trial)
            await asking.prepare()
            if is_needed:
                verdict = await _sequential(gate, asking, chosen_cases)
            if ask_all:
                await asking.trials(chosen_cases)
            trials[candidate.alias] = asking.so_far(chosen_cases)
        verdicts.append(verdict)
    return Calibration(task, trials, tuple(verdicts), choose_route(task.field, verdicts))


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
        self._method = _method(task, candidate, client)
        self._graders = task.graders
        self._concurrency = client.concurrency(candidate.model.endpoint)
        self._on_trial = on_trial
        self._known: dict[str, AnyTrial] = {}

    async def prepare(self) -> None:
        await self._method.prepare()

    async def trials(self, cases: Sequence[Case]) -> list[AnyTrial]:
        """Return the trials of these cases in their order, asking those that are not known."""
        fresh = await run_trials(
            self.candidate,
            self._method,
            self._graders,
            [case for case in cases if case.id not in self._known],
            concurrency=self._concurrency,
            on_trial=self._on_trial,
        )
        self._known |= {trial.case.id: trial for trial in fresh}
        return [self._known[case.id] for case in cases]

    def so_far(self, cases: Sequence[Case]) -> tuple[AnyTrial, ...]:
        return tuple(self._known[case.id] for case in cases if case.id in self._known)


async def _sequential(gate: GatePlan, asking: _Asking, cases: Sequence[Case]) -> Verdict:
    """Ask a candidate in the seeded order until its verdict is settled, and no further."""
    alias, tier = asking.candidate.alias, asking.candidate.tier
    critical = await asking.trials([case for case in cases if case.critical and gate.bar.critical])
    prefix: list[AnyTrial] = []
    verdict = judge(gate, alias, tier, prefix, critical)
    while not verdict.is_settled:
        failures = sum(not passes(trial) for trial in prefix)
        # Up to where a line could be crossed at the earliest, every case is needed anyway.
        certain = gate.lines.earliest_crossing(len(prefix), failures) - len(prefix)
        batch = cases[len(prefix) : len(prefix) + max(certain, BATCH)]
        prefix += await asking.trials(batch)
        verdict = judge(gate, alias, tier, prefix, critical)
    return verdict


def plan(task: Task, client: Client, *, cases: int | None = None) -> TaskPlan:
    """Return what a run would ask and cost at most, and whether it can certify; asks nothing."""
    chosen_cases = task.cases[:cases]
    bar = task.workflow.bar
    gate = plan_gate(bar, len(task.field.candidates), chosen_cases)
    rate = design_rate(bar)
    expected = operating_characteristics(gate.lines, rate)
    return TaskPlan(
        task=task,
        gate=gate,
        design_rate=rate,
        power=expected.accept_probability,
        expected_cases=expected.expected_n,
        cases_needed=zero_failure_size(bar.floor, alpha=gate.alpha),
        candidates=tuple(
            _candidate_plan(task, candidate, client, _askable(gate, chosen_cases))
            for candidate in task.field.candidates
        ),
    )


def _askable(gate: GatePlan, cases: Sequence[Case]) -> list[Case]:
    """Return the cases that a run could get to ask."""
    if gate.slices:
        return list(cases)
    critical = [case for case in cases[gate.lines.n :] if case.critical and gate.bar.critical]
    return [*cases[: gate.lines.n], *critical]


def _candidate_plan(
    task: Task, candidate: Candidate, client: Client, cases: Sequence[Case]
) -> CandidatePlan:
    method = _method(task, candidate, client)
    requests = {request.key: request for request in method.preparation()}
    requests |= {request.key: request for case in cases for request in method.requests(case)}
    to_ask = [
        request
        for request in requests.values()
        if not client.has(candidate.model.endpoint, request)
    ]
    most = sum(
        (most_usd(request, candidate.price, candidate.timeout_s) for request in to_ask), Decimal(0)
    )
    return CandidatePlan(
        candidate=candidate,
        requests=len(requests),
        stored=len(requests) - len(to_ask),
        most_usd=most,
        likely_usd=candidate.estimated_usd * len(to_ask),
    )


def _method(task: Task, candidate: Candidate, client: Client) -> Method:
    return method_for(candidate, task.workflow, task.prompt, task.examples, client)
