from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from loopback import Loopback, Received, Response, chat, error

from calibrate.cache import Recordings
from calibrate.candidates import Candidate
from calibrate.client import Client
from calibrate.completion import ChatMessage, Failure, Request
from calibrate.config import Bar, Endpoint, Message, Model, PriceRow, Workflow
from calibrate.dataset import Case, Example
from calibrate.methods import method_for
from calibrate.methods.base import Response as Answered
from calibrate.methods.chat import Chat
from calibrate.methods.nearest_example import NearestExample
from calibrate.methods.noting import Noting
from calibrate.pricing import Budget, TokenPrice
from calibrate.prompts import Prompt
from calibrate.signals import reader_for

WORKFLOW = Workflow(
    version=1,
    dataset="datasets/sort.jsonl",
    prompt=[Message(role="user", content="Sort: {{ input.ticket }}")],
    max_output_tokens=8,
    labels=["billing", "shipping"],
    graders=["one_of"],
    bar=Bar(pass_rate=0.9),
)
CASE = Case("t-1", {"ticket": "Where is it?"}, "shipping")


def candidate(method: str = "chat") -> Candidate:
    return Candidate(
        alias="small",
        tier="cheap",
        model=Model.model_validate(
            {
                "endpoint": "e",
                "name": "small-1",
                "method": method,
                "price": PriceRow(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2)),
                "parameters": {"temperature": 0},
            }
        ),
        kind="openai",
        timeout_s=20,
        price=TokenPrice(Decimal(1), Decimal(2)),
        context_window=None,
        estimated_usd=Decimal(0),
    )


def client(server: Loopback) -> Client:
    endpoints = {"e": Endpoint(kind="openai", base_url=server.base_url)}
    return Client(endpoints, recordings=Recordings(None), cache=None, budget=Budget(None))


def respond(response: Response, repeat: int = 0) -> tuple[Answered, list[Received]]:
    async def opened(server: Loopback) -> Answered:
        async with client(server) as opened_client:
            noting = Noting(reader_for("evals/sort.yaml", WORKFLOW))
            method = Chat(candidate(), WORKFLOW, Prompt("sort", WORKFLOW), opened_client, noting)
            assert method.preparation() == []
            assert await method.prepare() == []
            assert len(method.requests(CASE, repeat)) == 1
            assert method.others(CASE, repeat) == []
            return await method.respond(CASE, repeat)

    with Loopback(lambda _: response) as server:
        return asyncio.run(opened(server)), server.received


def test_a_case_is_the_workflows_prompt_put_to_the_model() -> None:
    logprobs = {"content": [{"token": "shipping", "logprob": -0.5, "top_logprobs": []}]}
    found, received = respond(chat("shipping", logprobs=logprobs))
    assert [one.body for one in received] == [
        {
            "model": "small-1",
            "messages": [{"role": "user", "content": "Sort: Where is it?"}],
            "temperature": 0,
            "max_tokens": 8,
            "logprobs": True,
            "top_logprobs": 5,
        }
    ]
    assert found.text == "shipping"
    assert found.signals == {
        "input_brevity": -9.0,  # 18 characters and a message
        "input_simplicity": found.signals["input_simplicity"],
        "answer_logprob": -0.5,
        "valid_format": 1.0,
        "finished": 1.0,
        "not_refused": 1.0,
        "answer_brevity": -1.0,
    }
    assert found.costs == {}


def test_an_empty_answer_is_a_text_and_a_failed_call_is_none() -> None:
    assert respond(chat(None))[0].text == ""
    failed, _ = respond(error(400, "no"))
    assert isinstance(failed.answer.reply, Failure)
    assert (failed.text, failed.signals) == (None, {})


def test_a_repeat_is_a_request_of_its_own() -> None:
    first, again = (respond(chat("a"), repeat)[0].answer.request for repeat in (0, 1))
    assert first.key != again.key
    assert again == Request(
        "openai",
        "small-1",
        messages=(ChatMessage("user", "Sort: Where is it?"),),
        parameters={"temperature": 0, "max_output_tokens": 8},
        logprobs=True,
        repeat=1,
    )


@pytest.mark.parametrize(("method", "kind"), [("chat", Chat), ("nearest_example", NearestExample)])
def test_a_model_answers_by_the_method_that_it_states(method: str, kind: type) -> None:
    examples = [Example("money", "billing"), Example("parcel", "shipping")]
    noting = Noting(reader_for("evals/sort.yaml", WORKFLOW))
    with Loopback(lambda _: chat("a")) as server:
        found = method_for(
            candidate(method), WORKFLOW, Prompt("sort", WORKFLOW), examples, client(server), noting
        )
    assert type(found) is kind
