"""What a request to a workflow's models costs, by the best evidence that is stored. Offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.client import Client
from calibrate.completion import Completion, Usage, estimated_tokens
from calibrate.dataset import Case
from calibrate.errors import CacheMiss
from calibrate.methods import Method, method_for
from calibrate.policy import Escalation, WorkflowPolicy
from calibrate.pricing import HourlyPrice, batch_factor
from calibrate.project import Project
from calibrate.projection import (
    Basis,
    Call,
    RequestCost,
    Stated,
    call_usd,
    mean_cost,
    request_cost,
)
from calibrate.providers import provider
from calibrate.task import Task

__all__ = ["Costing", "discount_of"]


@dataclass(frozen=True, slots=True)
class _Answered:
    """What a stored answer used, and what a router saw of it."""

    call: Call
    signals: Mapping[str, float]


_Key = tuple[str, int]  # case and repeat
_Answers = dict[_Key, _Answered]


@dataclass(frozen=True, slots=True)
class Costing:
    """A workflow with everything that its costs can be known from."""

    task: Task
    project: Project
    entry: WorkflowPolicy | None  # as it was decided: without an override
    stated: Stated
    client: Client
    all_cases: bool

    async def of_model(self, candidate: Candidate) -> RequestCost:
        """Return what a request to a candidate costs."""
        stated = self._stated_of(candidate)
        if stated.sizes is not None:
            return self._priced(candidate, [Call(stated.sizes, 0.0, "")], Basis.STATED)
        answers = await self._known(candidate)
        if answers:
            calls = [answered.call for answered in answers.values()]
            return self._priced(candidate, calls, Basis.MEASURED)
        figure = self._figure(candidate.alias)
        if figure is not None and stated.is_nothing:
            return RequestCost(figure, Basis.POLICY)
        return self._priced(candidate, self._expected(candidate), Basis.ESTIMATED)

    async def of_cascade(self, entry: WorkflowPolicy, escalation: Escalation) -> RequestCost:
        """Return what a request to an escalating route costs.

        Who escalates pays for both calls, but where the signal is known before the first. The
        policy's figure stands in where the answers or the signal are not stored here.
        """
        by_alias = {candidate.alias: candidate for candidate in self.task.field.candidates}
        cheap, strong = by_alias[entry.model], by_alias[escalation.to]
        first = await self._known(cheap)
        asked = {case for case, _ in first}
        second = await self._answers(strong, [case for case in self.task.cases if case.id in asked])
        seen = self._seen(escalation, first)
        if not second or not any(escalation.signal in signals for signals in seen.values()):
            return RequestCost(_per_request(entry.evidence.cost_usd_per_1k_requests), Basis.POLICY)
        amounts = []
        for key, found in first.items():
            usd = self._usd(cheap, found)
            if escalation.reason(seen[key]) is not None and key in second:
                spared = escalation.is_before_call
                usd = self._usd(strong, second[key]) + (0 if spared else usd)
            amounts.append(usd)
        return mean_cost(amounts, [found.call.unit for found in first.values()])

    def _seen(self, escalation: Escalation, answers: _Answers) -> dict[_Key, Mapping[str, float]]:
        """Return the signals of each answer, with that which the policy's weights compute."""
        if escalation.score is None:
            return {key: found.signals for key, found in answers.items()}
        messages = {case.id: self.task.prompt.messages(case) for case in self.task.cases}
        return {
            key: escalation.completed(found.signals, [m.content for m in messages[key[0]]])
            for key, found in answers.items()
        }

    def _usd(self, candidate: Candidate, found: _Answered) -> Decimal:
        discount = discount_of(candidate, self.project)
        return call_usd(candidate.price, found.call, self._stated_of(candidate), discount)

    def _priced(self, candidate: Candidate, calls: Sequence[Call], basis: Basis) -> RequestCost:
        discount = discount_of(candidate, self.project)
        return request_cost(candidate.price, calls, self._stated_of(candidate), basis, discount)

    def _stated_of(self, candidate: Candidate) -> Stated:
        """Return what counts of the stated: a machine's hours have no tokens to be counted.

        An embeddings model reads the input alone, whatever the size of the prompt.
        """
        if isinstance(candidate.price, HourlyPrice):
            return Stated()
        is_chat = candidate.model.method == "chat"
        stated = self.stated if is_chat else Stated(batch_share=self.stated.batch_share)
        has_discount = discount_of(candidate, self.project) > 0
        return stated if has_discount else replace(stated, batch_share=Decimal(0))

    async def _known(self, candidate: Candidate) -> _Answers:
        """Return the answers that count; with `all_cases` all, where they are stored."""
        found = await self._answers(candidate, self.task.cases if self.all_cases else ())
        return found or await self._answers(candidate, self._used(candidate.alias))

    def _used(self, alias: str) -> Sequence[Case]:
        """Return the cases that the policy's verdict on a model rests on."""
        if self.entry is None:
            return ()
        evidence = self.entry.evidence
        used = {found.model: (found.cases_used, found.estimate) for found in evidence.rejected}
        used[self.entry.model] = (evidence.cases_used, evidence.estimate)
        count, estimate = used.get(alias, (0, None))
        if estimate is None:  # the verdict fell at the critical cases, which are asked first
            return [case for case in self.task.cases if case.critical][:count]
        return self.task.cases[:count]

    def _figure(self, alias: str) -> Decimal | None:
        """Return what the policy says that a request costs; None where it measured nothing."""
        if self.entry is None:
            return None
        evidence = self.entry.evidence
        is_route = alias == self.entry.model and self.entry.escalation is None
        if is_route and evidence.cost_basis == "measured":
            return _per_request(evidence.cost_usd_per_1k_requests)
        if alias == evidence.baseline and evidence.baseline_cost_basis == "measured":
            return _per_request(evidence.baseline_cost_usd_per_1k_requests)
        return None

    async def _answers(self, candidate: Candidate, cases: Sequence[Case]) -> _Answers:
        """Return the stored answers to these cases; empty where one of them is not stored."""
        found: _Answers = {}
        if not cases:
            return found
        method = self._method(candidate)
        asked = [(case, repeat) for case in cases for repeat in range(self.task.workflow.repeats)]
        try:
            await method.prepare()
            for case, repeat in asked:
                response = await method.respond(case, repeat)
                reply = response.answer.reply
                if isinstance(reply, Completion):
                    call = Call(reply.usage, reply.latency_s, _unit(case))
                    found[case.id, repeat] = _Answered(call, response.signals)
        except CacheMiss:
            return {}
        return found

    def _expected(self, candidate: Candidate) -> list[Call]:
        """Return every case's request as the pure formula sizes it, with the longest answer."""
        method, calls = self._method(candidate), []
        for case in self.task.cases:
            request = method.requests(case, 0)[0]
            longest = request.parameters.get("max_output_tokens", 0)
            usage = Usage(estimated_tokens(request.texts), longest)
            calls.append(Call(usage, candidate.timeout_s, _unit(case)))
        return calls

    def _method(self, candidate: Candidate) -> Method:
        task = self.task
        return method_for(
            candidate, task.workflow, task.prompt, task.examples, self.client, task.noting
        )


def discount_of(candidate: Candidate, project: Project) -> Decimal:
    """Return what batches take off a candidate's price; 0 where none is known."""
    if isinstance(candidate.price, HourlyPrice):
        return Decimal(0)
    endpoint = project.tiers.endpoints[candidate.model.endpoint]
    return 1 - batch_factor(endpoint.base_url or provider(candidate.kind).DEFAULT_BASE_URL or "")


def _unit(case: Case) -> str:
    return f"case {case.id}" if case.group is None else f"group {case.group}"


def _per_request(usd_per_1k: float) -> Decimal:
    return Decimal(str(usd_per_1k)) / 1000
