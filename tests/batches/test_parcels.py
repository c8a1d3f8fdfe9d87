"""No batch is larger than its server takes, or than its results can be fetched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from batches.desk import ask

from calibrate.batches import anthropic, openai
from calibrate.batches.api import Server
from calibrate.batches.parcels import custom_id, parcels
from calibrate.completion import Request
from calibrate.methods import Ask

URL = "http://127.0.0.1:9/v1"
SMALL = SimpleNamespace(MOST_REQUESTS=9, MOST_BYTES=45_000, row=openai.row, target=openai.target)


def sizes(asks: list[Ask], api: Any) -> list[int]:
    return [len(parcel.asks) for parcel in parcels(asks, api, URL)]


def test_the_documented_limits_are_kept() -> None:
    assert (openai.MOST_REQUESTS, openai.MOST_BYTES) == (50_000, 200_000_000)
    assert (anthropic.MOST_REQUESTS, anthropic.MOST_BYTES) == (100_000, 256_000_000)


def test_requests_are_split_by_their_number() -> None:
    assert sizes([ask("openai", "a")] * 20, SMALL) == [9, 9, 2]


def test_requests_are_split_by_what_they_weigh() -> None:
    half = ask("openai", "x" * 20_000)
    assert sizes([half, half, half], SMALL) == [2, 1]
    rows = [openai.row(half.request, URL, custom_id("0" * 16, number)) for number in range(2)]
    call = openai.upload(Server(URL, None), rows, "0" * 16)
    assert call is not None
    assert 40_000 < len(call.body) < SMALL.MOST_BYTES


def test_a_request_that_is_too_large_by_itself_is_the_servers_to_refuse() -> None:
    assert sizes([ask("openai", "x" * 50_000), ask("openai", "a")], SMALL) == [1, 1]


def test_requests_are_split_by_what_their_results_may_weigh() -> None:
    long = ask("anthropic", "a", max_output_tokens=10_000_000)
    assert sizes([long] * 5, anthropic) == [3, 2]


def test_log_probabilities_and_vectors_weigh_more() -> None:
    plain = ask("openai", "a", max_output_tokens=1_000)
    asked = plain.request
    counted = Ask(
        "e",
        Request("openai", "gpt", asked.messages, parameters=asked.parameters, logprobs=True),
        plain.price,
        10.0,
    )
    vector = Ask("e", Request("openai", "gpt", input="a"), plain.price, 10.0)
    assert len(sizes([plain] * 900, openai)) == 1
    assert len(sizes([counted] * 900, openai)) == 2
    assert len(sizes([vector] * 6_600, openai)) == 2


def test_chats_and_vectors_and_models_are_not_mixed_and_keep_their_order() -> None:
    chat, other = ask("openai", "a"), ask("openai", "b")
    model = Ask("e", Request("openai", "mini", chat.request.messages), chat.price, 10.0)
    vector = Ask("e", Request("openai", "gpt", input="a"), chat.price, 10.0)
    found = parcels([chat, vector, model, other], openai, URL)
    assert [parcel.asks for parcel in found] == [(chat, other), (vector,), (model,)]
    assert found[1].target == "/v1/embeddings"
