"""The whole run in order: `calibrate()` and `plan()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.client import Client, most_usd
from calibrate.dataset import Case
from calibrate.decide import Calibration, choose_route
from calibrate.gate import GatePlan, Outcome, Verdict, judge, not_asked, plan_gate
from calibrate.methods import Method, method_for
from calibrate.runner import run_trials
from calibrate.stats.exact import pass_probability, zero_failure_size
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = ["CandidatePlan", "TaskPlan", "calibrate", "plan"]


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
    cases_needed: int | None  # with fewer, not even a faultless model could be certified
    candidates: tuple[CandidatePlan, ...]

    @property
    def can_certify(self) -> bool:
        return self.gate.fewest_passes is not None


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
    gate = plan_gate(task.workflow.bar, len(task.field.candidates), len(chosen_cases))
    trials: dict[str, tuple[AnyTrial, ...]] = {}
    verdicts: list[Verdict] = []
    for candidate in task.field.candidates:
        if any(v.outcome is Outcome.CERTIFIED for v in verdicts) and not ask_all:
            verdicts.append(not_asked(gate, candidate.alias, candidate.tier))
            continue
        on_start(candidate, len(chosen_cases))
        method = _method(task, candidate, client)
        await method.prepare()
        measured = await run_trials(
            candidate,
            method,
            task.graders,
            chosen_cases,
            concurrency=client.concurrency(candidate.model.endpoint),
            on_trial=on_trial,
        )
        trials[candidate.alias] = tuple(measured)
        verdicts.append(judge(gate, candidate.alias, candidate.tier, measured))
    return Calibration(task, trials, tuple(verdicts), choose_route(task.field, verdicts))


def plan(task: Task, client: Client, *, cases: int | None = None) -> TaskPlan:
    """Return what a run would ask and cost at most, and whether it can certify; asks nothing."""
    chosen_cases = task.cases[:cases]
    bar = task.workflow.bar
    gate = plan_gate(bar, len(task.field.candidates), len(chosen_cases))
    # The design rate: a model this good is one that the run should be able to certify.
    rate = bar.pass_rate if bar.tolerance > 0 else bar.floor + (1 - bar.floor) / 2
    return TaskPlan(
        task=task,
        gate=gate,
        design_rate=rate,
        power=pass_probability(gate.cases, bar.floor, rate, alpha=gate.alpha),
        cases_needed=zero_failure_size(bar.floor, alpha=gate.alpha),
        candidates=tuple(
            _candidate_plan(task, candidate, client, chosen_cases)
            for candidate in task.field.candidates
        ),
    )


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
