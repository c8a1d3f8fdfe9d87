from __future__ import annotations

import json
from typing import Any

import pytest

from calibrate.completion import (
    ChatMessage,
    Completion,
    Failure,
    FailureReason,
    Reply,
    Request,
    TokenLogprob,
    Usage,
)
from calibrate.providers.openai import decode, encode

CHAT = Request(
    "openai",
    "small",
    messages=(ChatMessage("system", "Sort."), ChatMessage("user", "Where is it?")),
    parameters={"temperature": 0, "max_output_tokens": 8},
)
EMBED = Request("openai", "mini", input="Where is it?")


def body(**changes: Any) -> bytes:
    value = {
        "model": "small-2026-01-01",
        "choices": [{"message": {"content": "shipping"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3},
    }
    return json.dumps(value | changes).encode()


def choice(message: Any, finish: Any = "stop", **others: Any) -> list[dict[str, Any]]:
    return [{"message": message, "finish_reason": finish, **others}]


def answered(request: Request, value: bytes) -> Completion:
    reply = decode(request, 200, value, 0.5)
    assert isinstance(reply, Completion)
    return reply


def broken(value: bytes, request: Request = CHAT) -> str:
    reply = decode(request, 200, value, 0.5)
    assert isinstance(reply, Failure)
    assert (reply.reason, reply.latency_s, reply.status) == (FailureReason.BAD_RESPONSE, 0.5, 200)
    return reply.message


def test_a_chat_is_one_post_with_the_parameters_of_the_model() -> None:
    call = encode(CHAT, "http://127.0.0.1:8081/v1", None)
    assert call.url == "http://127.0.0.1:8081/v1/chat/completions"
    assert call.headers == {"content-type": "application/json"}
    assert json.loads(call.body) == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Sort."},
            {"role": "user", "content": "Where is it?"},
        ],
        "temperature": 0,
        "max_tokens": 8,
    }


def test_the_key_is_a_bearer_token_and_is_not_shown() -> None:
    call = encode(CHAT, "http://127.0.0.1:8081/v1", "sk-canary")
    assert call.headers["authorization"] == "Bearer sk-canary"
    assert "sk-canary" not in repr(call)


def test_openai_itself_gets_the_new_name_of_the_token_limit() -> None:
    sent = json.loads(encode(CHAT, "https://api.openai.com/v1", "k").body)
    assert sent["max_completion_tokens"] == 8
    assert "max_tokens" not in sent


def test_logprobs_stop_and_schema_are_asked_for_in_openais_words() -> None:
    schema = {"type": "object", "properties": {"date": {"type": "string"}}}
    request = Request(
        "openai",
        "small",
        messages=(ChatMessage("user", "Hi"),),
        parameters={"stop": ["\n"], "output_schema": schema},
        logprobs=True,
    )
    assert json.loads(encode(request, "http://127.0.0.1/v1", None).body) == {
        "model": "small",
        "messages": [{"role": "user", "content": "Hi"}],
        "stop": ["\n"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
        "logprobs": True,
        "top_logprobs": 5,
    }


def test_an_embedding_is_asked_for_by_its_text() -> None:
    request = Request("openai", "mini", input="Hi", parameters={"dimensions": 4})
    call = encode(request, "http://127.0.0.1/v1", None)
    assert call.url == "http://127.0.0.1/v1/embeddings"
    assert json.loads(call.body) == {"model": "mini", "input": "Hi", "dimensions": 4}


def test_a_chat_answer_is_read_whole() -> None:
    assert decode(CHAT, 200, body(), 0.5) == Completion(
        text="shipping",
        finish="stop",
        usage=Usage(input_tokens=12, output_tokens=3),
        served_model="small-2026-01-01",
        latency_s=0.5,
    )


def test_log_probabilities_are_read_with_their_alternatives() -> None:
    logprobs = {
        "content": [
            {
                "token": "ship",
                "logprob": -0.1234567,
                "top_logprobs": [
                    {"token": "ship", "logprob": -0.1234567},
                    {"token": "bill", "logprob": -2.5},
                ],
            },
            {"token": "ping", "logprob": 0, "top_logprobs": None},
        ]
    }
    found = answered(CHAT, body(choices=choice({"content": "shipping"}, logprobs=logprobs)))
    assert found.logprobs == (
        TokenLogprob("ship", -0.12346, (("ship", -0.12346), ("bill", -2.5))),
        TokenLogprob("ping", 0.0, ()),
    )


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        [],
        {"content": None},
        {"content": 5},
        {"content": ["shipping"]},
        {"content": [None]},
        {"content": [{"token": "a"}]},
        {"content": [{"token": "a", "logprob": None}]},
        {"content": [{"token": "a", "logprob": "much"}]},
        {"content": [{"token": "a", "logprob": 700.0}]},
        {"content": [{"token": "a", "logprob": -1, "top_logprobs": 7}]},
        {"content": [{"token": "a", "logprob": -1, "top_logprobs": ["b"]}]},
        {"content": [{"token": "a", "logprob": -1, "top_logprobs": [{"token": "b"}]}]},
    ],
)
def test_log_probabilities_that_cannot_be_read_are_not_there(logprobs: Any) -> None:
    found = answered(CHAT, body(choices=choice({"content": "shipping"}, logprobs=logprobs)))
    assert (found.text, found.logprobs) == ("shipping", ())


@pytest.mark.parametrize("number", ["-Infinity", "NaN", "-1e999"])
def test_log_probabilities_that_are_not_numbers_are_not_there(number: str) -> None:
    logprobs = f'{{"content": [{{"token": "a", "logprob": {number}}}]}}'
    value = f'{{"choices": [{{"message": {{"content": "a"}}, "logprobs": {logprobs}}}]}}'
    assert answered(CHAT, value.encode()).logprobs == ()


@pytest.mark.parametrize(
    ("message", "finish", "text", "found_finish"),
    [
        ({"content": None, "refusal": "I can't."}, "stop", "I can't.", "refusal"),
        ({"content": "", "refusal": "I can't."}, "stop", "I can't.", "refusal"),
        ({"content": "yes", "refusal": None}, "stop", "yes", "stop"),
        ({"content": None}, "content_filter", "", "content_filter"),
        ({"content": None, "tool_calls": [{}]}, "tool_calls", "", "tool_calls"),
        ({"content": "ship"}, "length", "ship", "length"),
        ({"content": "ship"}, None, "ship", "stop"),
        ({}, "stop", "", "stop"),
    ],
)
def test_refused_filtered_and_cut_answers_are_answers(
    message: Any, finish: Any, text: str, found_finish: str
) -> None:
    found = answered(CHAT, body(choices=choice(message, finish)))
    assert (found.text, found.finish) == (text, found_finish)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"<html><h1>502</h1></html>", "not JSON: b'<html><h1>502</h1></html>'"),
        (b"", "not JSON: b''"),
        (b'data: {"choices": []}', """not JSON: b'data: {"choices": []}'"""),
        (b'{"choices": [', """not JSON: b'{"choices": ['"""),
        (b'{"text": "\xff"}', """not JSON: b'{"text": "\\xff"}'"""),
        (b"[" * 100_000, f"not JSON: {b'[' * 80!r}"),
        (b"9" * 10_000, f"not JSON: {b'9' * 80!r}"),
        (b"[]", "expected a JSON object, got list"),
        (b"null", "expected a JSON object, got NoneType"),
        (body(choices=[]), "no choices in the answer"),
        (body(choices=None), "no choices in the answer"),
        (body(choices={"0": {}}), "no choices in the answer"),
        (body(choices=[None]), "no choices in the answer"),
        (body(choices=[{"text": "an old completion"}]), "no message in the answer"),
        (body(choices=choice("shipping")), "no message in the answer"),
        (body(choices=choice({"content": [{"text": "a"}]})), "the answer's content is not text"),
        (body(choices=choice({"content": 5})), "the answer's content is not text"),
    ],
)
def test_a_body_that_is_no_chat_answer_is_a_bad_response(value: bytes, message: str) -> None:
    assert broken(value) == message


def test_half_a_surrogate_pair_becomes_a_question_mark_and_a_whole_one_stays() -> None:
    value = rb'{"choices": [{"message": {"content": "a\ud83d\ude00b\ud800c"}}]}'
    assert answered(CHAT, value).text == "a\N{GRINNING FACE}b?c"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 12, "completion_tokens": 3}, Usage(12, 3)),
        ({"prompt_tokens": 12}, Usage(12, 0)),
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 8},
            },
            Usage(12, 3, 8),
        ),
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 13},
            },
            Usage(12, 3, 0),
        ),
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": None},
            },
            Usage(12, 3, 0),
        ),
        # 17 characters asked: 5 tokens of 4, and 4 for each of 2 messages; 8 answered: 2 and 4.
        (None, Usage(13, 6, is_estimated=True)),
        ([], Usage(13, 6, is_estimated=True)),
        ({}, Usage(13, 6, is_estimated=True)),
        ({"prompt_tokens": -1, "completion_tokens": 3}, Usage(13, 6, is_estimated=True)),
        ({"prompt_tokens": 12, "completion_tokens": -3}, Usage(13, 6, is_estimated=True)),
        ({"prompt_tokens": 12, "completion_tokens": None}, Usage(13, 6, is_estimated=True)),
        ({"prompt_tokens": "12", "completion_tokens": 3}, Usage(13, 6, is_estimated=True)),
    ],
)
def test_usage_that_is_missing_or_nonsense_is_estimated_and_says_so(
    usage: Any, expected: Usage
) -> None:
    assert answered(CHAT, body(usage=usage)).usage == expected


def test_a_server_that_does_not_name_the_model_is_taken_to_serve_the_one_asked() -> None:
    assert answered(CHAT, body(model=None)).served_model == "small"


def test_an_embedding_is_rounded_as_a_recording_would() -> None:
    value = {
        "model": "mini",
        "data": [{"embedding": [0.1, -2, 0]}],
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    assert decode(EMBED, 200, json.dumps(value).encode(), 0.5) == Completion(
        embedding=(0.0999755859375, -2.0, 0.0),  # 0.1 in 16 bits
        finish="embedding",
        usage=Usage(5, 0),
        served_model="mini",
        latency_s=0.5,
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("null", "no embedding in the answer"),
        ("[]", "no embedding in the answer"),
        ("[null]", "no embedding in the answer"),
        ('["AACAPw=="]', "no embedding in the answer"),
        ("[{}]", "no embedding in the answer"),
        ('[{"embedding": []}]', "no embedding in the answer"),
        ('[{"embedding": "AACAPw=="}]', "no embedding in the answer"),
        ('[{"embedding": [1]}, {"embedding": [1]}]', "no embedding in the answer"),
        ('[{"embedding": [null]}]', "the embedding is not a list of numbers"),
        ('[{"embedding": ["a"]}]', "the embedding is not a list of numbers"),
        ('[{"embedding": [1e9]}]', "the embedding is not a list of numbers"),
        ('[{"embedding": [NaN]}]', "the embedding is not a list of numbers"),
        ('[{"embedding": [Infinity]}]', "the embedding is not a list of numbers"),
    ],
)
def test_a_body_that_is_no_embedding_is_a_bad_response(data: str, message: str) -> None:
    assert broken(f'{{"data": {data}}}'.encode(), EMBED) == message


def failure(status: int, value: bytes) -> Reply:
    return decode(CHAT, status, value, 0.5)


def test_an_error_keeps_the_servers_message_and_status() -> None:
    value = b'{"error": {"message": "Rate limit reached\\nfor small", "type": "requests"}}'
    assert failure(429, value) == Failure(
        FailureReason.RATE_LIMITED, "HTTP 429: Rate limit reached for small", 0.5, 429
    )
