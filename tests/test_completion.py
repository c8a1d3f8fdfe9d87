from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.completion import (
    MALFORMED_REPLY,
    ChatMessage,
    Completion,
    Failure,
    FailureReason,
    Reply,
    Request,
    TokenLogprob,
    Usage,
    as_float16,
    estimated_tokens,
    reply_from_json,
    reply_to_json,
)
from calibrate.fingerprint import digest

CHAT = Request(
    "openai",
    "small",
    messages=(ChatMessage("system", "Sort."), ChatMessage("user", "Où est mon colis ?")),
    parameters={"temperature": 0, "max_output_tokens": 8},
    logprobs=True,
)
EMBED = Request("openai", "mini", input="Where is it?")


def test_the_key_of_a_chat_never_changes() -> None:
    # Recordings are committed: a change of this digest loses every one of them.
    # $ printf '%s' '{"kind":"openai","logprobs":true,"messages":[{"content":"Sort.",
    #   "role":"system"},{"content":"Où est mon colis ?","role":"user"}],"name":"small",
    #   "parameters":{"max_output_tokens":8,"temperature":0},"repeat":0}' | sha256sum
    assert CHAT.key == "c3f1fd6ba4d6fc51b5c50cbf44098c16ba329385bb412d1ecd8fdaabead3aa22"


def test_the_key_of_an_embedding_never_changes() -> None:
    # $ printf '%s' '{"input":"Where is it?","kind":"openai","logprobs":false,"name":"mini",
    #   "parameters":{},"repeat":0}' | sha256sum
    assert EMBED.key == "6c28a57f1fb375215622c539e266ab0fbbac939358a5edb08e77662d8969e1ad"


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.dictionaries(
        st.text(max_size=3),
        st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    ),
    st.booleans(),
)
def test_the_key_is_the_digest_of_the_canonical_request(
    text: str, parameters: dict[str, object], is_chat: bool
) -> None:
    request = Request(
        "openai",
        text,
        (ChatMessage("user", text), ChatMessage("system", "x")) if is_chat else (),
        None if is_chat else text,
        parameters,
        is_chat,
        2,
    )
    assert request.key == digest(request.to_json()).removeprefix("sha256:")


def test_the_key_does_not_depend_on_the_order_of_parameters_or_on_how_a_number_is_written() -> None:
    other = {"max_output_tokens": 8.0, "temperature": 0.0}
    assert Request("openai", "small", CHAT.messages, None, other, True).key == CHAT.key


@pytest.mark.parametrize(
    "other",
    [
        Request("anthropic", "mini", input="Where is it?"),
        Request("openai", "mini-2", input="Where is it?"),
        Request("openai", "mini", input="Where is it"),
        Request("openai", "mini", input="Where is it?", parameters={"dimensions": 4}),
        Request("openai", "mini", input="Where is it?", logprobs=True),
        Request("openai", "mini", input="Where is it?", repeat=1),
        Request("openai", "mini", messages=(ChatMessage("user", "Where is it?"),)),
    ],
)
def test_everything_that_can_change_the_answer_changes_the_key(other: Request) -> None:
    assert other.key != EMBED.key


@pytest.mark.parametrize("request_", [CHAT, EMBED])
def test_a_request_is_read_back_as_it_was_written(request_: Request) -> None:
    assert Request.from_json(json.loads(json.dumps(request_.to_json()))) == request_


REPLIES: list[Reply] = [
    Completion(
        text="shipping\n\N{GRINNING FACE}",
        finish="length",
        logprobs=(TokenLogprob("ship", -0.25, (("ship", -0.25), ("bill", -2.5))),),
        usage=Usage(12, 3, 8),
        served_model="small-2026",
        latency_s=0.5,
    ),
    Completion(text="", usage=Usage(12, 3, is_estimated=True), served_model="m", latency_s=1),
    Completion(
        text="ship",
        usage=Usage(12, 30, 4, cache_write_tokens=8, reasoning_tokens=27),
        served_model="m",
        latency_s=1,
        billed_usd=Decimal("0.00095"),
    ),
    Completion(
        embedding=(0.5, -2.0, 0.0),
        finish="embedding",
        usage=Usage(5, 0),
        served_model="mini",
        latency_s=0.0078,
    ),
    Failure(FailureReason.TIMEOUT, "no answer within 10 s", 10.0),
    Failure(FailureReason.REJECTED, "HTTP 400: bad", 0.25, 400),
]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_is_read_back_as_it_was_written(reply: Reply) -> None:
    assert reply_from_json(json.loads(json.dumps(reply_to_json(reply)))) == reply


def test_an_embedding_is_written_as_little_endian_float16() -> None:
    # 0.5 is 0x3800, -2 is 0xc000, 0 is 0: 00 38 00 c0 00 00 is ADgAwAAA in base64.
    assert reply_to_json(REPLIES[3]) == {
        "embedding": "ADgAwAAA",
        "finish": "embedding",
        "logprobs": [],
        "usage": {"input_tokens": 5, "output_tokens": 0, "cached_input_tokens": 0},
        "served_model": "mini",
        "latency_s": 0.0078,
        "status": 200,
    }


def test_what_is_seldom_there_is_written_only_where_it_is() -> None:
    assert reply_to_json(REPLIES[2]) == {
        "text": "ship",
        "finish": "stop",
        "logprobs": [],
        "usage": {
            "input_tokens": 12,
            "output_tokens": 30,
            "cached_input_tokens": 4,
            "cache_write_tokens": 8,
            "reasoning_tokens": 27,
        },
        "served_model": "m",
        "latency_s": 1,
        "status": 200,
        "billed_usd": "0.00095",
    }
    assert set(reply_to_json(REPLIES[0])["usage"]) == {
        "input_tokens",
        "output_tokens",
        "cached_input_tokens",
    }
    assert "billed_usd" not in reply_to_json(REPLIES[0])


def test_a_line_recorded_before_there_were_more_numbers_is_read() -> None:
    line = (
        '{"finish":"stop","latency_s":0.5,"logprobs":[["a",-0.25,[["a",-0.25]]]],'
        '"served_model":"m","status":200,"text":"a","usage":{"cached_input_tokens":0,'
        '"input_tokens":12,"output_tokens":3}}'
    )
    assert reply_from_json(json.loads(line)) == Completion(
        text="a",
        logprobs=(TokenLogprob("a", -0.25, (("a", -0.25),)),),
        usage=Usage(12, 3),
        served_model="m",
        latency_s=0.5,
    )


def test_the_texts_of_a_request_are_what_is_billed_as_input() -> None:
    assert CHAT.texts == ["Sort.", "Où est mon colis ?"]
    assert EMBED.texts == ["Where is it?"]


@given(st.lists(st.floats(-65504, 65504), min_size=1))
def test_rounding_an_embedding_twice_changes_nothing(vector: list[float]) -> None:
    once = as_float16(vector)
    assert as_float16(list(once)) == once


@pytest.mark.parametrize(
    "change",
    [
        {"text": None},
        {"text": 5},
        {"embedding": "ADgA"},  # three bytes
        {"embedding": "A"},
        {"embedding": 7},
        {"latency_s": "fast"},
        {"latency_s": True},
        {"status": "200"},
        {"usage": None},
        {"usage": {"input_tokens": "12", "output_tokens": 3}},
        {"usage": {"input_tokens": 12, "output_tokens": 3, "dollars": 1}},
        {"usage": {"input_tokens": 12, "output_tokens": 3, "reasoning_tokens": "1"}},
        {"billed_usd": 0.1},
        {"billed_usd": "much"},
        {"billed_usd": "NaN"},
        {"usage": {"input_tokens": 12}},
        {"served_model": None},
        {"finish": None},
        {"logprobs": [["a"]]},
        {"logprobs": 5},
        {"error": "no"},
        {"error": {"reason": "tired", "message": "no"}},
        {"error": {"reason": "timeout", "message": None}},
    ],
)
def test_what_is_no_reply_is_refused_by_one_kind_of_errors(change: dict[str, Any]) -> None:
    value = reply_to_json(REPLIES[0])
    with pytest.raises(MALFORMED_REPLY):
        reply_from_json(value | change)


@pytest.mark.parametrize("value", [[], "text", None, {}])
def test_what_is_no_object_is_no_reply(value: Any) -> None:
    with pytest.raises(MALFORMED_REPLY):
        reply_from_json(value)


def test_tokens_are_estimated_by_a_pure_formula() -> None:
    # 4 characters a token, rounded up over all messages, and 4 tokens a message.
    assert estimated_tokens([]) == 0
    assert estimated_tokens([""]) == 4
    assert estimated_tokens(["abcd"]) == 5
    assert estimated_tokens(["abcd", "e"]) == 10
