"""Put cases to a model and grade the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.completion import Completion
from calibrate.dataset import Case
from calibrate.errors import CalibrateError
from calibrate.graders import NamedGrader, grade_answer
from calibrate.methods import Method, Response
from calibrate.trial import AnyTrial, FailedTrial, Trial

__all__ = ["run_trials"]


async def run_trials(
    candidate: Candidate,
    method: Method,
    graders: Sequence[NamedGrader],
    cases: Sequence[Case],
    *,
    concurrency: int,
    on_trial: Callable[[AnyTrial], None],
) -> list[AnyTrial]:
    """Return one trial a case, in the order of the cases.

    When something makes going on pointless (an endpoint that is down, a spent budget), nothing
    new is started, what is in flight is waited for and kept, and the first such error is raised.
    """
    done: dict[int, AnyTrial] = {}
    errors: list[CalibrateError] = []
    queue = iter(enumerate(cases))

    async def work() -> None:
        for index, case in queue:
            if errors:
                return
            try:
                response = await method.respond(case, 0)
                trial = _trial(candidate, case, response, graders)
            except CalibrateError as error:
                errors.append(error)
                return
            done[index] = trial
            on_trial(trial)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(cases))):
            group.create_task(work())
    if errors:
        raise errors[0]
    return [done[index] for index in range(len(cases))]


def _trial(
    candidate: Candidate, case: Case, response: Response, graders: Sequence[NamedGrader]
) -> AnyTrial:
    answer, reply = response.answer, response.answer.reply
    asked = answer.request.messages if answer.request.input is None else answer.request.input
    if not isinstance(reply, Completion):
        return FailedTrial(
            case, candidate.alias, 0, asked, reply, Decimal(0), reply.latency_s, answer.source
        )
    text = response.text or ""
    return Trial(
        case=case,
        model=candidate.alias,
        repeat=0,
        asked=asked,
        answer=text,
        finish=reply.finish,
        grade=grade_answer(graders, text, case.expected),
        signals=response.signals,
        usage=reply.usage,
        cost_usd=candidate.price.cost(reply.usage, reply.latency_s),
        latency_s=reply.latency_s,
        served_model=reply.served_model,
        source=answer.source,
    )
