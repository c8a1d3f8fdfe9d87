"""Put cases to a model and grade the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.completion import Completion
from calibrate.dataset import Case
from calibrate.errors import CalibrateError
from calibrate.graders import Grading
from calibrate.methods import Method, Response
from calibrate.trial import AnyTrial, FailedTrial, Trial

__all__ = ["run_trials"]

LOOK_AHEAD = 64  # cases; what is stored of them is read at once


async def run_trials(
    candidate: Candidate,
    method: Method,
    grading: Grading,
    cases: Sequence[Case],
    *,
    repeats: int = 1,
    concurrency: int,
    on_trial: Callable[[AnyTrial], None],
) -> list[AnyTrial]:
    """Return the trials of each case, its repeats together, in the order of the cases.

    When something makes going on pointless (an endpoint that is down, a spent budget), nothing
    new is started, what is in flight is waited for and kept, and the first such error is raised.
    """
    done: dict[int, AnyTrial] = {}
    errors: list[CalibrateError] = []
    asked = [(case, repeat) for case in cases for repeat in range(repeats)]
    queue = enumerate(_looked_ahead(method, asked))

    async def work() -> None:
        for index, (case, repeat) in queue:
            if errors:
                return
            try:
                response = await method.respond(case, repeat)
                trial = _trial(candidate, case, repeat, response, grading)
            except CalibrateError as error:
                errors.append(error)
                return
            done[index] = trial
            on_trial(trial)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(asked))):
            group.create_task(work())
    if errors:
        raise errors[0]
    return [done[index] for index in range(len(asked))]


def _looked_ahead(method: Method, asked: Sequence[tuple[Case, int]]) -> Iterator[tuple[Case, int]]:
    """Yield what is asked, the method being told of the next ones in time."""
    for start in range(0, len(asked), LOOK_AHEAD):
        ahead = asked[start : start + LOOK_AHEAD]
        method.look_ahead(ahead)
        yield from ahead


def _trial(
    candidate: Candidate,
    case: Case,
    repeat: int,
    response: Response,
    grading: Grading,
) -> AnyTrial:
    answer, reply = response.answer, response.answer.reply
    asked = answer.request.messages if answer.request.input is None else answer.request.input
    if not isinstance(reply, Completion):
        return FailedTrial(
            case, candidate.alias, repeat, asked, reply, Decimal(0), reply.latency_s, answer.source
        )
    text = response.text or ""
    return Trial(
        case=case,
        model=candidate.alias,
        repeat=repeat,
        asked=asked,
        answer=text,
        finish=reply.finish,
        grade=grading.grade(text, case.expected),
        signals=response.signals,
        usage=reply.usage,
        cost_usd=candidate.price.cost(reply.usage, reply.latency_s),
        latency_s=reply.latency_s,
        served_model=reply.served_model,
        source=answer.source,
        signal_costs=response.costs,
    )
