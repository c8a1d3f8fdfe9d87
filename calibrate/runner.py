"""Put cases to a model and grade the answers."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.candidates import Candidate
from calibrate.completion import Completion
from calibrate.dataset import Case
from calibrate.errors import CalibrateError
from calibrate.graders import Grading
from calibrate.graders.grading import SHORT
from calibrate.methods import Method, Response
from calibrate.trial import AnyTrial, FailedTrial, Trial

__all__ = ["Job", "run_trials"]

LOOK_AHEAD = 16  # cases; what is stored of them is read at once, which holds up what arrives


@dataclass(frozen=True, slots=True)
class Job:
    """Cases that are put to a model."""

    candidate: Candidate
    method: Method
    cases: Sequence[Case]


async def run_trials(
    jobs: Sequence[Job],
    grading: Grading,
    *,
    repeats: int = 1,
    concurrency: Callable[[str], int],
    on_trial: Callable[[AnyTrial], None],
    on_end: Callable[[], None] = lambda: None,
) -> list[list[AnyTrial]]:
    """Return the trials of each job: of each case, its repeats together, in the cases' order.

    Endpoints are asked side by side, each with so many requests in flight, its jobs in turn. When
    something makes going on pointless (an endpoint that is down, a spent budget), nothing new is
    started (`on_end` is told), what is in flight is waited for and kept, and the first such error
    is raised.
    """
    done: list[list[AnyTrial | None]] = [[None] * (repeats * len(job.cases)) for job in jobs]
    errors: list[CalibrateError] = []

    async def work(queue: Iterator[tuple[int, int, Case, int]]) -> None:
        while not errors:
            try:
                if (asked := next(queue, None)) is None:
                    return
                at, number, case, repeat = asked
                if not number % LOOK_AHEAD:
                    await asyncio.sleep(0)  # stored answers give nothing else a turn
                job = jobs[at]
                response = await job.method.respond(case, repeat)
                trial = _trial(job.candidate, case, repeat, response, grading)
            except CalibrateError as error:
                errors.append(error)
                on_end()
                return
            done[at][number] = trial
            on_trial(trial)

    async with asyncio.TaskGroup() as group:
        for endpoint, numbered in _by_endpoint(jobs).items():
            queue = _looked_ahead(numbered, repeats)
            most = repeats * sum(len(job.cases) for _, job in numbered)
            for _ in range(min(concurrency(endpoint), most)):
                group.create_task(work(queue))
    if errors:
        raise errors[0]
    return [[trial for trial in trials if trial is not None] for trials in done]


def _by_endpoint(jobs: Sequence[Job]) -> Mapping[str, list[tuple[int, Job]]]:
    """Return the jobs with their numbers, by whom they ask."""
    found: defaultdict[str, list[tuple[int, Job]]] = defaultdict(list)
    for at, job in enumerate(jobs):
        found[job.candidate.model.endpoint].append((at, job))
    return found


def _looked_ahead(
    jobs: Sequence[tuple[int, Job]], repeats: int
) -> Iterator[tuple[int, int, Case, int]]:
    """Yield what is asked, each method being told of its next ones in time."""
    for at, job in jobs:
        asked = [(case, repeat) for case in job.cases for repeat in range(repeats)]
        for start in range(0, len(asked), LOOK_AHEAD):
            ahead = asked[start : start + LOOK_AHEAD]
            job.method.look_ahead(ahead)
            for number, (case, repeat) in enumerate(ahead, start):
                yield at, number, case, repeat


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
    if len(text) <= SHORT:
        text = sys.intern(text)  # labels and the like: one for all of the trials
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
