from __future__ import annotations

import json
from decimal import Decimal
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
from calibrate.errors import ConfigError
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


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://mine.services.ai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
        ("https://mine.cloudapp.azure.com/v1", "max_tokens"),
        ("https://proxy.example/api.openai.com/v1", "max_tokens"),
        ("https://api.openai.com.example/v1", "max_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens"),
    ],
)
def test_only_openais_own_hosts_get_the_new_name_of_the_output_limit(
    base_url: str, name: str
) -> None:
    sent = json.loads(encode(CHAT, base_url, "k").body)
    assert {key: sent[key] for key in sent if key.startswith("max_")} == {name: 8}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("base_url", ["https://api.openai.com/v1", "http://127.0.0.1/v1"])
def test_a_model_may_name_the_output_limit_itself(base_url: str, name: str) -> None:
    parameters = {"output_limit": name, "max_output_tokens": 8}
    request = Request("openai", "small", (ChatMessage("user", "Hi"),), parameters=parameters)
    assert json.loads(encode(request, base_url, None).body) == {
        "model": "small",
        "messages": [{"role": "user", "content": "Hi"}],
        name: 8,
    }


def test_an_output_limit_of_another_name_is_refused() -> None:
    request = Request("openai", "small", parameters={"output_limit": 300})
    with pytest.raises(ConfigError) as caught:
        encode(request, "http://127.0.0.1/v1", None)
    assert str(caught.value) == (
        "parameters.output_limit: expected max_tokens or max_completion_tokens, got 300"
    )


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
        {"content": [{"token": "a", "logprob": -(10**400)}]},
        {"content": [{"token": {}, "logprob": -1}]},
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
        ({"content": None, "tool_calls": "track"}, "tool_calls", "", "tool_calls"),
        ({"content": None, "tool_calls": [{"function": {"name": 7}}]}, "stop", "", "stop"),
        ({"content": "ship"}, "eos", "ship", "stop"),
        ({"content": "ship"}, "model_length", "ship", "length"),
        ({"content": "", "refusal": {"why": "no"}}, "stop", "", "stop"),
        # Parts, as Mistral's reasoning models and some gateways write them
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]},
                    {"type": "text", "text": "ship"},
                    "odd",
                    {"type": "text", "text": "ping"},
                ]
            },
            "stop",
            "shipping",
            "stop",
        ),
        (
            {"content": [{"type": "refusal", "refusal": "I can't."}]},
            "stop",
            "I can't.",
            "refusal",
        ),
        ({"content": []}, "length", "", "length"),
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
        (body(choices=choice({"content": {"text": "a"}})), "the answer's content is not text"),
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
        ({"prompt_tokens": 12}, Usage(12, 6, is_estimated=True)),
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 30,
                "total_tokens": 42,
                "completion_tokens_details": {"reasoning_tokens": 25},
            },
            Usage(12, 30, reasoning_tokens=25),
        ),
        # xAI: reasoning is not part of the completion, but of the sum.
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 5,
                "total_tokens": 42,
                "completion_tokens_details": {"reasoning_tokens": 25},
            },
            Usage(12, 30, reasoning_tokens=25),
        ),
        ({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 0}, Usage(12, 3)),
        (
            {"prompt_tokens": 0, "completion_tokens": 3, "total_tokens": 42},
            Usage(13, 3, is_estimated=True),
        ),
        # DeepSeek
        (
            {"prompt_tokens": 12, "completion_tokens": 3, "prompt_cache_hit_tokens": 8},
            Usage(12, 3, 8),
        ),
        # Moonshot
        ({"prompt_tokens": 12, "completion_tokens": 3, "cached_tokens": 8}, Usage(12, 3, 8)),
        # OpenRouter
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 8},
            },
            Usage(12, 3, cache_write_tokens=8),
        ),
        # LiteLLM before Anthropic
        (
            {"prompt_tokens": 12, "completion_tokens": 3, "cache_creation_input_tokens": 8},
            Usage(12, 3, cache_write_tokens=8),
        ),
        # Ollama counts nothing in where it had the prompt already.
        ({"prompt_tokens": 0, "completion_tokens": 3}, Usage(13, 3, is_estimated=True)),
        ({"prompt_tokens": 12, "completion_tokens": 0}, Usage(12, 6, is_estimated=True)),
        ({"prompt_tokens": 10**9, "completion_tokens": 3}, Usage(13, 3, is_estimated=True)),
        ({"prompt_tokens": True, "completion_tokens": 3}, Usage(13, 3, is_estimated=True)),
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
        ({"prompt_tokens": -1, "completion_tokens": 3}, Usage(13, 3, is_estimated=True)),
        ({"prompt_tokens": 12, "completion_tokens": -3}, Usage(12, 6, is_estimated=True)),
        ({"prompt_tokens": 12, "completion_tokens": None}, Usage(12, 6, is_estimated=True)),
        ({"prompt_tokens": "12", "completion_tokens": 3}, Usage(13, 3, is_estimated=True)),
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
        ('[{"embedding": "AACAPw"}]', "the embedding is not a list of numbers"),
        ('[{"embedding": "AACA"}]', "the embedding is not a list of numbers"),
        ('[{"embedding": "\u00e9"}]', "the embedding is not a list of numbers"),
        ('[{"embedding": "AADAfw=="}]', "the embedding is not a list of numbers"),  # NaN
        ('[{"embedding": [[1]]}]', "the embedding is not a list of numbers"),
        (f'[{{"embedding": [1{"0" * 400}]}}]', "the embedding is not a list of numbers"),
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


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("message", "finish", "text"),
    [
        (
            {"content": None, "tool_calls": [call("track", '{"id": 7, "où": "é"}')]},
            "tool_calls",
            '{"name": "track", "arguments": {"id": 7, "où": "é"}}',
        ),
        (
            {
                "content": "I look it up.",
                "tool_calls": [call("track", "{}"), call("refund", {"id": 7})],
            },
            "stop",
            '[{"name": "track", "arguments": {}}, {"name": "refund", "arguments": {"id": 7}}]',
        ),
        (
            {"tool_calls": [{"type": "custom", "custom": {"name": "sql", "input": "SELECT"}}]},
            "tool_calls",
            '{"name": "sql", "arguments": "SELECT"}',
        ),
        (
            {"tool_calls": [{"type": "custom", "custom": {"name": "add", "input": "7"}}]},
            "tool_calls",
            '{"name": "add", "arguments": "7"}',
        ),
        (
            {"tool_calls": [call("track", "{}")], "function_call": {"name": "track"}},
            "tool_calls",
            '{"name": "track", "arguments": {}}',
        ),
        (
            {"function_call": {"name": "track", "arguments": "{}"}},
            "function_call",
            '{"name": "track", "arguments": {}}',
        ),
        (
            {"tool_calls": [call("track", '{"id": "\\ud800"}')]},
            "tool_calls",
            '{"name": "track", "arguments": {"id": "?"}}',
        ),
    ],
)
def test_a_call_is_the_answer_and_is_graded_as_json(message: Any, finish: str, text: str) -> None:
    found = answered(CHAT, body(choices=choice(message, finish)))
    assert (found.text, found.finish) == (text, "tool_calls")


def test_a_call_that_was_cut_keeps_its_arguments_as_they_are() -> None:
    message = {"tool_calls": [call("track", '{"id": ')]}
    found = answered(CHAT, body(choices=choice(message, "length")))
    assert (found.text, found.finish) == ('{"name": "track", "arguments": "{\\"id\\": "}', "length")


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        (
            {"error": {"code": 502, "message": "Provider returned error"}},
            FailureReason.SERVER_ERROR,
            "HTTP 200 with error 502: Provider returned error",
        ),
        (
            {
                "choices": [
                    {
                        "message": {"content": "shi"},
                        "finish_reason": "error",
                        "error": {"code": 429, "message": "slow down"},
                    }
                ]
            },
            FailureReason.RATE_LIMITED,
            "HTTP 200 with error 429: slow down",
        ),
        (
            {"choices": choice({"content": "shi"}, "error")},
            FailureReason.SERVER_ERROR,
            "the server broke off its answer: error",
        ),
        (
            {"choices": choice({"content": ""}, "insufficient_system_resource")},
            FailureReason.SERVER_ERROR,
            "the server broke off its answer: insufficient_system_resource",
        ),
    ],
)
def test_an_answer_that_the_server_broke_off_is_a_failure(
    changes: dict[str, Any], reason: FailureReason, message: str
) -> None:
    assert decode(CHAT, 200, body(**changes), 0.5) == Failure(reason, message, 0.5, 200)


def test_an_error_that_is_null_is_none() -> None:
    assert answered(CHAT, body(error=None)).text == "shipping"


@pytest.mark.parametrize(
    ("usage", "billed"),
    [
        ({}, None),
        ({"cost": 0.00095}, Decimal("0.00095")),
        ({"cost": 0}, Decimal(0)),
        ({"cost": -1}, None),
        ({"cost": 1e9}, None),
        ({"cost": True}, None),
        ({"cost": "0.1"}, None),
        ({"cost": {"total_cost": 0.1}}, None),
        (
            {
                "cost": 0.01,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 0.2},
            },
            Decimal("0.21"),
        ),
        ({"cost": 0.01, "is_byok": True, "cost_details": None}, None),
        (
            {"cost": 0.01, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.2}},
            Decimal("0.01"),
        ),
    ],
)
def test_what_the_provider_says_it_charged_is_kept(usage: Any, billed: Decimal | None) -> None:
    counts = {"prompt_tokens": 12, "completion_tokens": 3}
    assert answered(CHAT, body(usage=counts | usage)).billed_usd == billed


def test_an_embedding_has_no_output_whatever_the_sum() -> None:
    value = {"data": [{"embedding": [1]}], "usage": {"prompt_tokens": 5, "total_tokens": 9}}
    assert answered(EMBED, json.dumps(value).encode()).usage == Usage(5, 0)


def test_an_embedding_may_come_as_base64_of_float32() -> None:
    # 1.0 is 0x3f800000 and -2.0 is 0xc0000000: 00 00 80 3f 00 00 00 c0 is AACAPwAAAMA= in base64.
    found = answered(EMBED, b'{"data": [{"embedding": "AACAPwAAAMA="}]}')
    assert found.embedding == (1.0, -2.0)
    # 12 characters asked: 3 tokens, and 4 for the message.
    assert found.usage == Usage(7, 0, is_estimated=True)


@pytest.mark.parametrize("name", ["served", "finish_reason"])
@pytest.mark.parametrize("value", [7, {"a": 1}, [], "", True])
def test_a_name_that_is_no_text_is_not_taken_for_one(name: str, value: Any) -> None:
    changes = {"model": value} if name == "served" else {"choices": choice({"content": "a"}, value)}
    found = answered(CHAT, body(**changes))
    expected = ("small", "stop") if name == "served" else ("small-2026-01-01", "stop")
    assert (found.served_model, found.finish) == expected


def test_arguments_nested_too_deeply_are_kept_as_they_are() -> None:
    arguments = "[" * 5_000 + "]" * 5_000
    message = {"tool_calls": [call("track", arguments)]}
    found = answered(CHAT, body(choices=choice(message, "tool_calls")))
    assert found.text == json.dumps({"name": "track", "arguments": arguments})
