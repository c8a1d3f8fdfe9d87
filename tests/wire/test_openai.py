"""OpenAI's format over real HTTP, with the deviations of the servers that speak it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from wire.api import Api
from wire.line import KEY_ENV, Line
from wire.openai_api import (
    azure,
    deepseek,
    litellm,
    llama_cpp,
    ollama,
    openai,
    openrouter,
    vllm,
)

from calibrate.client import Source
from calibrate.completion import Completion, Failure, FailureReason, TokenLogprob, Usage
from calibrate.errors import ProviderError

Open = Callable[[Api], Line]
EVERY = [openai, azure, openrouter, vllm, ollama, litellm, llama_cpp, deepseek]
LOGPROBS = (
    TokenLogprob("ship", -0.25, (("ship", -0.25), ("bill", -1.75))),
    TokenLogprob("ping", -0.5),
)
# "Sort." and the question, 4 characters a token, and 4 tokens for each of 2 messages
SORT = 8


def completion(text: str = "shipping", **changes: Any) -> Completion:
    fields: dict[str, Any] = {
        "usage": Usage(12, 3),
        "served_model": "small-2026-01-01",
        "latency_s": 0.0,
    }
    return Completion(text=text, **fields | changes)


@pytest.mark.parametrize("api", EVERY)
def test_each_server_answers_a_question(line: Open, api: Callable[[], Api]) -> None:
    answer = line(api()).ask("Where is it?", temperature=0)
    assert answer.reply == completion()
    # 12 tokens at $1 and 3 at $10 a million
    assert (answer.source, answer.attempts) == (Source.ASKED, 1)
    assert answer.paid_usd == Decimal("0.000042")


@pytest.mark.parametrize(
    ("api", "question", "expected"),
    [
        (
            openai,
            "think",
            completion(usage=Usage(2006, 300, 1920, cache_write_tokens=64, reasoning_tokens=256)),
        ),
        (openai, "refuse", completion("I can't help with that.", finish="refusal")),
        (openai, "filter", completion("", finish="content_filter")),
        (
            openai,
            "call",
            completion('{"name": "track", "arguments": {"id": 7}}', finish="tool_calls"),
        ),
        (openai, "cut", completion("ship", finish="length")),
        (openai, "null content", completion("")),
        (azure, "cut by the filter", completion("ship", finish="content_filter")),
        (
            openrouter,
            "billed",
            completion(
                usage=Usage(194, 20, 90, cache_write_tokens=100, reasoning_tokens=16),
                served_model="one/small",
                billed_usd=Decimal("0.00095"),
            ),
        ),
        (vllm, "think", completion()),
        (
            ollama,
            "known already",  # 18 characters with the system message are 5 tokens
            completion(usage=Usage(5 + SORT, 3, is_estimated=True), served_model="small"),
        ),
        (litellm, "cached", completion(usage=Usage(119, 3, 100, cache_write_tokens=7))),
        (llama_cpp, "timed", completion(usage=Usage(12, 3, 9), logprobs=LOGPROBS)),
        (
            llama_cpp,
            "no usage",  # 13 characters asked are 4 tokens; 8 answered are 2, and 4 for the message
            completion(usage=Usage(4 + SORT, 6, is_estimated=True)),
        ),
        (deepseek, "cached", completion(usage=Usage(100, 30, 64, reasoning_tokens=25))),
    ],
)
def test_each_server_says_it_in_its_own_way_and_one_thing_is_read(
    line: Open, api: Callable[[], Api], question: str, expected: Completion
) -> None:
    assert line(api()).reply(question) == expected


@pytest.mark.parametrize(
    ("api", "question", "reason", "message"),
    [
        (
            openai,
            "too long",
            FailureReason.CONTEXT_LENGTH,
            "HTTP 400: This model's maximum context length is 8192 tokens. However, your messages "
            "resulted in 9000 tokens. Please reduce the length of the messages.",
        ),
        (
            azure,
            "violence",
            FailureReason.CONTENT_FILTER,
            "HTTP 400: The response was filtered due to the prompt triggering Azure OpenAI's "
            "content management policy.",
        ),
        (
            openrouter,
            "violence",
            FailureReason.CONTENT_FILTER,
            "HTTP 403: Your input was flagged",
        ),
        (
            vllm,
            "too long",
            FailureReason.CONTEXT_LENGTH,
            "HTTP 400: This model's maximum context length is 2048 tokens. However, you requested "
            "3000 tokens in the messages, Please reduce the length of the messages.",
        ),
        (ollama, "bad option", FailureReason.REJECTED, "HTTP 400: invalid options: n"),
        (
            litellm,
            "too long",
            FailureReason.CONTEXT_LENGTH,
            "HTTP 400: litellm.ContextWindowExceededError: litellm.BadRequestError: "
            "AnthropicException - prompt is too long",
        ),
        (
            llama_cpp,
            "too long",
            FailureReason.CONTEXT_LENGTH,
            "HTTP 400: the request exceeds the available context size, try increasing it",
        ),
    ],
)
def test_what_a_server_will_not_answer_is_asked_once_and_told_by_name(
    line: Open, api: Callable[[], Api], question: str, reason: FailureReason, message: str
) -> None:
    answer = line(api()).ask(question)
    assert isinstance(answer.reply, Failure)
    assert (answer.reply.reason, answer.reply.message) == (reason, message)
    assert (answer.attempts, answer.paid_usd) == (1, 0)


@pytest.mark.parametrize(
    ("api", "question", "attempts"),
    [
        (openai, "busy", 2),
        (openai, "down", 3),
        (openrouter, "fails inside", 2),
        (openrouter, "breaks off", 2),
        (litellm, "busy", 2),
        (llama_cpp, "loading", 2),
        (deepseek, "out of capacity", 2),
    ],
)
def test_what_passes_is_asked_again(
    line: Open, api: Callable[[], Api], question: str, attempts: int
) -> None:
    answer = line(api()).ask(question)
    assert (answer.reply, answer.attempts) == (completion(), attempts)


@pytest.mark.parametrize(("api", "wait_s"), [(openai, 7.0), (litellm, 3.0)])
def test_a_server_says_how_long_to_wait(line: Open, api: Callable[[], Api], wait_s: float) -> None:
    asking = line(api())
    asking.ask("busy")
    assert sum(asking.time.waits) == pytest.approx(wait_s)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("garbage", "not JSON: b'<html><body><h1>502 Bad Gateway</h1></body></html>'"),
        ("no choices", "no choices in the answer"),
    ],
)
def test_garbage_is_a_failure_by_name_after_three_attempts(
    line: Open, question: str, message: str
) -> None:
    answer = line(openai()).ask(question)
    assert answer.reply == Failure(FailureReason.BAD_RESPONSE, message, 0.0, 200)
    assert answer.attempts == 3


@pytest.mark.parametrize(
    ("api", "question", "name", "message"),
    [
        (
            openai,
            "Where is it?",
            "missing",
            "HTTP 404: The model does not exist or you do not have access to it.",
        ),
        (openai, "broke", "small", "HTTP 429: You exceeded your current quota"),
        (azure, "Where is it?", "large", "HTTP 404: The deployment does not exist."),
        (openrouter, "no credit", "small", "HTTP 402: Add credits"),
        (ollama, "not pulled", "small", "HTTP 404: model 'small' not found"),
        (deepseek, "poor", "small", "HTTP 402: Insufficient Balance"),
    ],
)
def test_what_would_fail_every_request_ends_the_asking(
    line: Open, api: Callable[[], Api], question: str, name: str, message: str
) -> None:
    asking = line(api())
    with pytest.raises(ProviderError) as caught:
        asking.ask(question, name=name)
    assert message in str(caught.value)
    assert len(asking.received) == 1


@pytest.mark.parametrize("api", EVERY)
def test_a_key_that_is_not_valid_ends_the_asking(
    line: Open, monkeypatch: pytest.MonkeyPatch, api: Callable[[], Api]
) -> None:
    monkeypatch.setenv(KEY_ENV, "sk-another")
    with pytest.raises(ProviderError, match="HTTP 401: Incorrect API key provided"):
        line(api()).ask("Where is it?")


def test_a_reasoning_model_behind_another_host_says_which_limit_it_takes(line: Open) -> None:
    asking = line(openai())
    refused = asking.reply("Where is it?", name="reasoner")
    assert isinstance(refused, Failure)
    assert refused.message.endswith(
        "give the model `parameters: {output_limit: max_completion_tokens}`"
    )
    taken = asking.reply("Where is it?", name="reasoner", output_limit="max_completion_tokens")
    assert taken == completion()


def test_log_probabilities_come_with_the_answer_where_they_are_asked_for(line: Open) -> None:
    asking = line(openai())
    found = asking.ask("with logprobs", logprobs=True).reply
    assert found == completion(logprobs=LOGPROBS)
    assert asking.received[0].body["top_logprobs"] == 5


def test_a_schema_and_stop_words_reach_the_server_in_its_own_words(line: Open) -> None:
    schema = {"type": "object", "properties": {"date": {"type": "string"}}}
    asking = line(vllm())
    assert asking.reply("Where is it?", output_schema=schema, stop=["\n"]) == completion()
    sent = asking.received[0].body
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert sent["stop"] == ["\n"]


@pytest.mark.parametrize("question", ["embed", "embed in base64"])
def test_a_text_is_embedded(line: Open, question: str) -> None:
    assert line(openai()).embed(question).reply == Completion(
        embedding=(0.5, -2.0),
        finish="embedding",
        usage=Usage(5, 0),
        served_model="embedding-3",
        latency_s=0.0,
    )


def test_a_server_without_embeddings_is_not_asked_twice(line: Open) -> None:
    answer = line(llama_cpp()).embed("embed")
    assert answer.reply == Failure(
        FailureReason.REJECTED, "HTTP 501: This server does not support embeddings.", 0.0, 501
    )
    assert answer.attempts == 1
