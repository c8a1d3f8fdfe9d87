from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, Received, Response, Script, embedding, error

from calibrate.cache import Cache, Recordings
from calibrate.candidates import Candidate
from calibrate.client import Client, Source
from calibrate.completion import Failure, FailureReason
from calibrate.config import Bar, Endpoint, Message, Model, PriceRow, Workflow
from calibrate.dataset import Case, Example
from calibrate.errors import DatasetError, ProviderError
from calibrate.methods.base import Response as Answered
from calibrate.methods.nearest_example import NearestExample
from calibrate.methods.noting import Noting
from calibrate.pricing import Budget, TokenPrice
from calibrate.prompts import Prompt
from calibrate.signals import reader_for

CANDIDATE = Candidate(
    alias="mini",
    tier="cheap",
    model=Model(
        endpoint="e",
        name="mini-1",
        method="nearest_example",
        price=PriceRow(input_usd_per_mtok=Decimal(1)),
        parameters={"dimensions": 2},
    ),
    kind="openai",
    timeout_s=20,
    price=TokenPrice(Decimal(1), Decimal(0)),
    context_window=None,
    estimated_usd=Decimal(0),
)
LABELS = ["billing", "shipping"]
WORKFLOW = Workflow(
    version=1,
    dataset="datasets/sort.jsonl",
    prompt=[Message(role="user", content="Sort: {{ input }}")],
    max_output_tokens=8,
    labels=LABELS,
    graders=["one_of"],
    signals=["label_margin"],
    bar=Bar(pass_rate=0.9),
)
EXAMPLES = [
    Example("money", "billing"),
    Example("card", "billing"),
    Example("parcel", "shipping"),
    Example("weather", "neither"),  # a label that the workflow does not have
]
# The centroid of billing: (1, 0) and (0.6, 0.8) of unit length, averaged (0.8, 0.4), made a unit
# vector: (2, 1) / sqrt 5. That of shipping is (0, 1); its length does not matter.
VECTORS = {
    "money": [1.0, 0.0],
    "card": [3.0, 4.0],
    "parcel": [0.0, 9.0],
    "a bill": [2.0, 1.0],
    "a box": [0.0, 0.5],
    "nothing": [0.0, 0.0],
    "three": [1.0, 0.0, 0.0],
}


def known(received: Received) -> Response:
    return embedding(VECTORS[received.asked])


def case(value: Any) -> Case:
    return Case("t-1", value, "billing")


def nearest(
    client: Client, examples: Sequence[Example] = EXAMPLES, workflow: Workflow = WORKFLOW
) -> NearestExample:
    noting = Noting(reader_for("evals/sort.yaml", workflow))
    return NearestExample(CANDIDATE, LABELS, examples, Prompt("sort", workflow), client, noting)


def use(
    folder: Path,
    script: Script,
    work: Callable[[NearestExample], Coroutine[Any, Any, Any]],
    workflow: Workflow = WORKFLOW,
) -> tuple[Any, Loopback]:
    async def opened(server: Loopback) -> Any:
        endpoints = {"e": Endpoint(kind="openai", base_url=server.base_url, concurrency=2)}
        with Cache(folder / "cache.sqlite") as cache:
            client = Client(
                endpoints, recordings=Recordings(None), cache=cache, budget=Budget(None)
            )
            async with client:
                return await work(nearest(client, workflow=workflow))

    with Loopback(script) as server:
        return asyncio.run(opened(server)), server


def respond(
    folder: Path, *values: Any, script: Script = known, workflow: Workflow = WORKFLOW
) -> list[Answered]:
    async def work(method: NearestExample) -> list[Answered]:
        await method.prepare()
        return [await method.respond(case(value), 0) for value in values]

    found: list[Answered] = use(folder, script, work, workflow)[0]
    return found


def test_the_label_of_the_nearest_centroid_is_the_answer(tmp_path: Path) -> None:
    bill, box = respond(tmp_path, "a bill", "a box")
    assert (bill.text, box.text) == ("billing", "shipping")
    # a bill is (2, 1) / sqrt 5: its cosine to billing is 1, to shipping 1 / sqrt 5 = 0.447214.
    assert bill.signals == {"label_margin": pytest.approx(1 - 0.447214, abs=1e-5)}
    # a box is (0, 1): 1 to shipping, 0.447214 to billing.
    assert box.signals == {"label_margin": pytest.approx(1 - 0.447214, abs=1e-5)}


def test_what_a_request_says_before_it_is_sent_is_the_same_as_for_a_chat(tmp_path: Path) -> None:
    free = WORKFLOW.model_copy(update={"signals": None})
    (found,) = respond(tmp_path, "a bill", workflow=free)
    assert set(found.signals) == {"input_brevity", "input_simplicity", "label_margin"}
    assert found.signals["input_brevity"] == -7.0  # `Sort: a bill` is 12 characters, a message


def test_a_margin_stays_with_the_model_that_has_it(tmp_path: Path) -> None:
    free = WORKFLOW.model_copy(update={"signals": None})

    async def work(method: NearestExample) -> Mapping[str, float]:
        await method.prepare()
        await method.respond(case("a bill"), 0)
        return method._reader.before(Prompt("sort", free).messages(case("a bill")))

    assert set(use(tmp_path, known, work, free)[0]) == {"input_brevity", "input_simplicity"}


def test_a_margin_that_is_not_wanted_is_not_noted(tmp_path: Path) -> None:
    nothing = WORKFLOW.model_copy(update={"signals": []})
    assert [one.signals for one in respond(tmp_path, "a bill", workflow=nothing)] == [{}]


def test_a_tie_goes_to_the_first_label_by_name(tmp_path: Path) -> None:
    (found,) = respond(tmp_path, "nothing")
    assert (found.text, found.signals) == ("billing", {"label_margin": 0.0})


def test_an_input_of_several_texts_is_embedded_as_its_lines(tmp_path: Path) -> None:
    async def work(method: NearestExample) -> list[str | None]:
        return [request.input for request in method.requests(case({"a": "x", "b": "y"}), 0)]

    assert use(tmp_path, known, work)[0] == ["x\ny"]


def test_every_example_with_a_label_of_the_workflow_is_asked_once(tmp_path: Path) -> None:
    async def work(method: NearestExample) -> list[Source]:
        assert [request.input for request in method.preparation()] == ["money", "card", "parcel"]
        return [answer.source for answer in await method.prepare()]

    sources, server = use(tmp_path, known, work)
    assert sources == [Source.ASKED] * 3
    assert sorted(received.asked for received in server.received) == ["card", "money", "parcel"]
    assert {received.body["dimensions"] for received in server.received} == {2}


def test_a_failed_call_is_an_answer_without_text(tmp_path: Path) -> None:
    def script(received: Received) -> Response:
        return known(received) if received.asked in VECTORS else error(400, "no")

    (found,) = respond(tmp_path, "unheard of", script=script)
    assert isinstance(found.answer.reply, Failure)
    assert found.answer.reply.reason is FailureReason.REJECTED
    assert (found.text, found.signals) == (None, {})


def test_an_example_that_cannot_be_embedded_is_an_error(tmp_path: Path) -> None:
    def script(received: Received) -> Response:
        return error(400, "too rude") if received.asked == "card" else known(received)

    with pytest.raises(ProviderError) as caught:
        respond(tmp_path, "a bill", script=script)
    assert str(caught.value) == (
        "models.mini: an example got no embedding: HTTP 400: too rude; --no-cache asks again"
    )


def test_examples_in_flight_when_one_cannot_be_asked_are_kept(tmp_path: Path) -> None:
    async def prepare(method: NearestExample) -> None:
        with pytest.raises(ProviderError, match="HTTP 401"):
            await method.prepare()

    def script(received: Received) -> Response:
        return error(401, "no") if received.asked == "money" else known(received).after(0.2)

    # Two at a time: card is in flight when money is refused, and parcel is not even sent.
    _, server = use(tmp_path, script, prepare)
    assert sorted(received.asked for received in server.received) == ["card", "money"]
    with Cache(tmp_path / "cache.sqlite") as cache:
        request = nearest(_unused()).preparation()[1]
        assert cache.get(request, server.base_url) is not None


def _unused() -> Client:
    return Client({}, recordings=Recordings(None), cache=None, budget=Budget(None))


def test_vectors_of_different_lengths_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="embeddings of different lengths"):
        respond(tmp_path, "three")


def test_a_chat_answer_where_an_embedding_should_be_is_no_embedding(tmp_path: Path) -> None:
    def script(received: Received) -> Response:
        return Response(200, b'{"choices": [{"message": {"content": "hi"}}]}')

    with pytest.raises(ProviderError, match="no embedding in the answer"):
        respond(tmp_path, "a bill", script=script)


@pytest.mark.parametrize(
    ("examples", "missing"),
    [([], "'billing', 'shipping'"), ([Example("money", "billing")], "'shipping'")],
)
def test_a_label_without_an_example_is_an_error(examples: Sequence[Example], missing: str) -> None:
    with pytest.raises(DatasetError) as caught:
        nearest(_unused(), examples)
    assert str(caught.value) == f"models.mini: nearest_example has no example for {missing}"
