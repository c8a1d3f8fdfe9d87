"""What a run would ask, what that would cost, and whether its cases can certify the bar at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.candidates import Candidate, Field
from calibrate.client import Client, most_usd
from calibrate.completion import Request, Usage, estimated_tokens
from calibrate.criteria import GatePlan, design_rate, plan_gate
from calibrate.dataset import Case
from calibrate.methods import Ask, Method, method_for
from calibrate.stats.betting_plan import BettingPlan
from calibrate.stats.exact import zero_failure_size
from calibrate.stats.plan import Characteristics, operating_characteristics
from calibrate.task import Task

__all__ = [
    "CandidatePlan",
    "Share",
    "TaskPlan",
    "askable_cases",
    "asks_of",
    "gates_of",
    "method_of",
    "plan",
]


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
        """What a run costs on average if every candidate is at the design rate.

        Where the bar has cascades, what it costs unless the cheapest is certified by itself.
        """
        reached, total = 1.0, Decimal(0)
        for row in self.candidates:
            is_rival = row.candidate is self.task.field.baseline and row.gate.bar.of_baseline
            is_sure = is_rival or row.gate.bar.cascades
            total += Decimal(1.0 if is_sure else reached) * row.likely_usd
            reached *= 1 - row.power
        return total


def plan(
    task: Task, client: Client, *, share: Share | None = None, cases: int | None = None
) -> TaskPlan:
    """Return what a run would ask and cost at most, and whether it can certify; asks nothing."""
    chosen_cases = task.cases[:cases]
    bar = task.workflow.bar
    gates = gates_of(task, chosen_cases, share or Share({}))
    rows = []
    asked = askable_cases(task.field, gates, chosen_cases)
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
    asked = askable_cases(task.field, gates, task.cases)
    for candidate, gate, askable in zip(task.field.candidates, gates, asked, strict=True):
        method = method_of(task, candidate, client)
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


def askable_cases(
    field: Field, gates: Sequence[GatePlan], cases: Sequence[Case]
) -> list[list[Case]]:
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
    method = method_of(task, candidate, client)
    answers = _asks(candidate, method, cases, gate.repeats)
    further = _further_asks(candidate, method, cases, gate.repeats)
    to_ask, further_to_ask = (
        [ask for ask in asks if not client.has(ask.endpoint, ask.request)]
        for asks in (answers, further)
    )
    left = [*to_ask, *further_to_ask]
    expected = _characteristics(gate, design_rate(gate.bar))
    # Unless the cheapest is certified by itself, cascades take every case of every model.
    likely_cases = len(cases) if gate.bar.cascades else expected.expected_n
    likely = min(len(to_ask), round(likely_cases * gate.repeats))
    further_usd = sum(map(_estimated_usd, further_to_ask), Decimal(0))
    return CandidatePlan(
        candidate=candidate,
        gate=gate,
        power=expected.accept_probability,
        expected_cases=likely_cases,
        requests=len(answers) + len(further),
        stored=len(answers) + len(further) - len(left),
        most_usd=sum((most_usd(a.request, a.price, a.timeout_s) for a in left), Decimal(0)),
        likely_usd=candidate.estimated_usd * likely
        + further_usd * Decimal(min(likely_cases / max(len(cases), 1), 1)),
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


def method_of(task: Task, candidate: Candidate, client: Client) -> Method:
    """Return how a candidate answers this workflow's cases."""
    return method_for(candidate, task.workflow, task.prompt, task.examples, client, task.noting)
