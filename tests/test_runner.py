from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from loopback import Loopback, Received, Response, Script, chat, error

from calibrate.cache import Cache, Recordings
from calibrate.candidates import Candidate
from calibrate.client import Client, Source
from calibrate.completion import ChatMessage, FailureReason, Usage
from calibrate.config import Bar, Endpoint, Message, Model, PriceRow, Workflow
from calibrate.dataset import Case
from calibrate.errors import BudgetError, CacheError, CalibrateError, GraderError, ProviderError
from calibrate.graders import Grade, Grading, build_graders
from calibrate.methods.chat import Chat
from calibrate.methods.noting import Noting
from calibrate.pricing import Budget, TokenPrice
from calibrate.prompts import Prompt
from calibrate.runner import Job, run_trials
from calibrate.signals import reader_for
from calibrate.trial import AnyTrial, FailedTrial, Trial

WORKFLOW = Workflow(
    version=1,
    dataset="datasets/sort.jsonl",
    prompt=[Message(role="user", content="{{ input }}")],
    max_output_tokens=8,
    graders=["exact_match"],
    signals=[],
    bar=Bar(pass_rate=0.9),
)
NOTING = Noting(reader_for("evals/sort.yaml", WORKFLOW))
PRICE = TokenPrice(Decimal(1), Decimal(10))
CANDIDATE = Candidate(
    alias="small",
    tier="cheap",
    model=Model(
        endpoint="e",
        name="small-1",
        price=PriceRow(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(10)),
    ),
    kind="openai",
    timeout_s=20,
    price=PRICE,
    context_window=None,
    estimated_usd=Decimal(0),
)
CASES = [Case(f"t-{number}", str(number), str(number)) for number in range(12)]


def right(received: Received) -> Response:
    return chat(received.asked)


def run(
    folder: Path,
    script: Script,
    *,
    cases: Sequence[Case] = CASES,
    concurrency: int = 4,
    limit_usd: str | None = None,
    graders: Sequence[str] = ("exact_match",),
    on_trial: Callable[[AnyTrial], None] = lambda _: None,
) -> tuple[list[AnyTrial] | CalibrateError, Loopback]:
    async def opened(server: Loopback) -> list[AnyTrial]:
        endpoints = {
            "e": Endpoint(kind="openai", base_url=server.base_url, concurrency=concurrency)
        }
        budget = Budget(None if limit_usd is None else Decimal(limit_usd))
        with Cache(folder / "cache.sqlite") as cache:
            client = Client(endpoints, recordings=Recordings(None), cache=cache, budget=budget)
            async with client:
                method = Chat(CANDIDATE, WORKFLOW, Prompt("sort", WORKFLOW), client, NOTING)
                (trials,) = await run_trials(
                    [Job(CANDIDATE, method, cases)],
                    Grading(build_graders("evals/sort.yaml", graders)),
                    concurrency=client.concurrency,
                    on_trial=on_trial,
                )
                return trials

    with Loopback(script) as server:
        try:
            return asyncio.run(opened(server)), server
        except CalibrateError as failed:
            return failed, server


def kept(folder: Path, server: Loopback) -> list[str]:
    """Return the cases whose answers the cache holds."""
    found = []
    with Cache(folder / "cache.sqlite") as cache:
        client = Client({}, recordings=Recordings(None), cache=None, budget=Budget(None))
        method = Chat(CANDIDATE, WORKFLOW, Prompt("sort", WORKFLOW), client, NOTING)
        for case in CASES:
            (request,) = method.requests(case, 0)
            if cache.get(request, server.base_url) is not None:
                found.append(case.id)
    return found


def test_trials_stand_in_the_order_of_the_cases_whoever_answers_first(tmp_path: Path) -> None:
    finished: list[str] = []

    def script(received: Received) -> Response:
        return right(received).after(0.5 if received.asked == "0" else 0)

    trials, _ = run(
        tmp_path, script, on_trial=lambda trial: finished.append(trial.case.id), concurrency=4
    )
    assert isinstance(trials, list)
    assert [trial.case for trial in trials] == CASES
    assert sorted(finished) == sorted(case.id for case in CASES)
    assert finished[0] != "t-0"


def test_an_answer_becomes_a_graded_trial_with_what_it_cost(tmp_path: Path) -> None:
    trials, _ = run(tmp_path, right, cases=CASES[:1])
    assert isinstance(trials, list)
    (trial,) = trials
    assert isinstance(trial, Trial)
    assert trial == Trial(
        case=CASES[0],
        model="small",
        repeat=0,
        asked=(ChatMessage("user", "0"),),
        answer="0",
        finish="stop",
        grade=Grade(1.0, trial.grade.reason),
        signals={},
        usage=Usage(10, 1),
        cost_usd=Decimal("0.00002"),  # (10 * 1 + 1 * 10) per million
        latency_s=trial.latency_s,
        served_model="served",
        source=Source.ASKED,
    )


def test_a_call_that_failed_for_good_is_a_failed_trial_of_score_0(tmp_path: Path) -> None:
    def script(received: Received) -> Response:
        return error(400, "too rude") if received.asked == "1" else right(received)

    trials, _ = run(tmp_path, script, cases=CASES[:3])
    assert isinstance(trials, list)
    assert [type(trial) for trial in trials] == [Trial, FailedTrial, Trial]
    failed = trials[1]
    assert isinstance(failed, FailedTrial)
    assert (failed.score, failed.cost_usd) == (0.0, Decimal(0))
    assert failed.asked == (ChatMessage("user", "1"),)
    assert (failed.failure.reason, failed.failure.message) == (
        FailureReason.REJECTED,
        "HTTP 400: too rude",
    )


def test_no_cases_are_no_trials(tmp_path: Path) -> None:
    assert run(tmp_path, right, cases=[])[0] == []


def test_an_error_starts_nothing_new_keeps_what_is_in_flight_and_is_raised(tmp_path: Path) -> None:
    # Four at a time; the second is refused while the other three are in flight.
    def script(received: Received) -> Response:
        return error(401, "no") if received.asked == "1" else right(received).after(0.2)

    failed, server = run(tmp_path, script)
    assert isinstance(failed, ProviderError)
    assert sorted(received.asked for received in server.received) == ["0", "1", "2", "3"]
    assert kept(tmp_path, server) == ["t-0", "t-2", "t-3"]


def test_a_spent_budget_ends_the_run_with_what_it_paid_for_kept(tmp_path: Path) -> None:
    # At most (1 byte + 32) * 1 + 8 * 10 = 113 per million each, really 20: one after another,
    # 20 * n + 113 <= 200 lets five through (n = 0 to 4).
    failed, server = run(tmp_path, right, concurrency=1, limit_usd="0.000200")
    assert isinstance(failed, BudgetError)
    assert len(server.received) == 5
    assert kept(tmp_path, server) == ["t-0", "t-1", "t-2", "t-3", "t-4"]


def test_a_grader_that_cannot_judge_ends_the_run_with_the_answers_kept(tmp_path: Path) -> None:
    cases = [Case("t-0", "0", "not a number")]
    failed, server = run(tmp_path, right, cases=cases, graders=["numeric"])
    assert isinstance(failed, GraderError)
    assert kept(tmp_path, server) == ["t-0"]


@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_no_more_than_the_concurrency_is_in_flight(tmp_path: Path, concurrency: int) -> None:
    trials, server = run(tmp_path, right, concurrency=concurrency)
    assert isinstance(trials, list)
    assert len(server.received) == len(CASES)
    assert server.most_in_flight <= concurrency


def side_by_side(
    servers: Mapping[str, Loopback], asked: Sequence[tuple[str, str, Sequence[Case]]]
) -> list[list[AnyTrial]] | CalibrateError:
    """Run jobs, each of an alias at an endpoint with some cases, two requests at a time."""
    endpoints = {
        name: Endpoint(kind="openai", base_url=server.base_url, concurrency=2)
        for name, server in servers.items()
    }

    async def opened() -> list[list[AnyTrial]]:
        budget = Budget(None)
        async with Client(
            endpoints, recordings=Recordings(None), cache=None, budget=budget
        ) as client:
            jobs = []
            for alias, endpoint, cases in asked:
                model = CANDIDATE.model.model_copy(update={"endpoint": endpoint, "name": alias})
                one = replace(CANDIDATE, alias=alias, model=model)
                method = Chat(one, WORKFLOW, Prompt("sort", WORKFLOW), client, NOTING)
                jobs.append(Job(one, method, cases))
            return await run_trials(
                jobs,
                Grading(build_graders("evals/sort.yaml", ["exact_match"])),
                concurrency=client.concurrency,
                on_trial=lambda _: None,
            )

    try:
        return asyncio.run(opened())
    except CalibrateError as failed:
        return failed


def test_endpoints_are_asked_side_by_side() -> None:
    # Each answers only once the other has been asked.
    both = threading.Barrier(2, timeout=20)

    def script(received: Received) -> Response:
        both.wait()
        return right(received)

    with Loopback(script) as one, Loopback(script) as other:
        found = side_by_side(
            {"one": one, "other": other},
            [("small", "one", CASES[:1]), ("large", "other", CASES[:1])],
        )
    assert isinstance(found, list)
    assert [[trial.model for trial in trials] for trials in found] == [["small"], ["large"]]


def test_the_models_of_one_endpoint_are_asked_in_turn_without_a_gap() -> None:
    # The last case of the first model is answered only once the second model is asked.
    is_asked = threading.Event()

    def script(received: Received) -> Response:
        if received.model == "large":
            is_asked.set()
        elif received.asked == "2":
            assert is_asked.wait(20)
        return right(received)

    with Loopback(script) as server:
        found = side_by_side({"e": server}, [("small", "e", CASES[:3]), ("large", "e", CASES[3:5])])
    assert isinstance(found, list)
    assert [[trial.case for trial in trials] for trials in found] == [CASES[:3], CASES[3:5]]
    assert [received.model for received in server.received] == ["small"] * 3 + ["large"] * 2
    assert server.most_in_flight == 2


def test_an_error_at_one_endpoint_starts_nothing_new_at_another() -> None:
    is_refused = threading.Event()

    def refusing(received: Received) -> Response:
        is_refused.set()
        return error(401, "no")

    def waiting(received: Received) -> Response:
        assert is_refused.wait(20)
        return right(received).after(0.2)

    with Loopback(refusing) as one, Loopback(waiting) as other:
        failed = side_by_side(
            {"one": one, "other": other}, [("small", "one", CASES), ("large", "other", CASES)]
        )
    assert isinstance(failed, ProviderError)
    assert (len(one.received), len(other.received)) == (2, 2)
    assert len(other.delivered) == 2


def test_what_cannot_be_looked_up_ends_the_run_like_any_error(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    run(tmp_path, right)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE served")
    connection.close()
    failed, server = run(tmp_path, right)
    assert isinstance(failed, CacheError)
    assert server.received == []
