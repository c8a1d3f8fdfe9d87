from __future__ import annotations

import json

import pytest

from calibrate.completion import ChatMessage, Request
from calibrate.providers import openai
from calibrate.providers.azure import DEFAULT_BASE_URL, decode, encode

CHAT = Request(
    "azure",
    "triage 2",
    messages=(ChatMessage("user", "Where is it?"),),
    parameters={"temperature": 0, "max_output_tokens": 8},
    logprobs=True,
)


@pytest.mark.parametrize(
    "base_url",
    ["https://mine.openai.azure.com", "https://mine.openai.azure.com/openai"],
)
def test_a_deployment_has_an_address_of_its_own(base_url: str) -> None:
    call = encode(CHAT, base_url, "key-canary")
    assert call.url == (
        "https://mine.openai.azure.com/openai/deployments/triage%202/chat/completions"
        "?api-version=2024-10-21"
    )
    assert call.headers == {"content-type": "application/json", "api-key": "key-canary"}
    assert "canary" not in repr(call)
    assert json.loads(call.body) == {
        "messages": [{"role": "user", "content": "Where is it?"}],
        "temperature": 0,
        "max_completion_tokens": 8,
        "logprobs": True,
        "top_logprobs": 5,
    }


def test_a_model_may_name_another_version_of_the_api() -> None:
    parameters = {"api_version": "2025-04-01-preview", "dimensions": 4}
    request = Request("azure", "embed", input="Hi", parameters=parameters)
    call = encode(request, "https://gate.example/azure", None)
    assert call.url == (
        "https://gate.example/azure/openai/deployments/embed/embeddings"
        "?api-version=2025-04-01-preview"
    )
    assert call.headers == {"content-type": "application/json"}
    assert json.loads(call.body) == {"dimensions": 4, "input": "Hi"}


def test_the_undated_api_takes_the_deployment_as_its_model() -> None:
    call = encode(CHAT, "https://mine.openai.azure.com/openai/v1", "key-canary")
    assert call.url == "https://mine.openai.azure.com/openai/v1/chat/completions"
    assert call.headers["api-key"] == "key-canary"
    assert json.loads(call.body)["model"] == "triage 2"


def test_a_name_leaves_the_deployments_in_no_way() -> None:
    request = Request("azure", "../../evil?x=1#", messages=CHAT.messages)
    assert encode(request, "https://mine.openai.azure.com", None).url == (
        "https://mine.openai.azure.com/openai/deployments/..%2F..%2Fevil%3Fx%3D1%23"
        "/chat/completions?api-version=2024-10-21"
    )


def test_answers_are_openais_and_the_address_must_be_given() -> None:
    assert decode is openai.decode
    assert DEFAULT_BASE_URL is None
