"""Which model parameters a project may not set."""

from __future__ import annotations

from typing import Any

import pytest

from calibrate.parameters import parameter_problems

FUNCTION = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}
TOOLS = (
    "tools: only functions can be offered; what a provider's own tool reads and costs "
    "cannot be known before; remove it"
)


@pytest.mark.parametrize(
    "name",
    [
        # another model, or another prompt
        *("model", "models", "fallbacks", "messages", "contents", "input", "prompt", "system"),
        *("system_instruction", "systemInstruction", "cachedContent", "mcp_servers"),
        # what cannot be read
        *("stream", "stream_options", "modalities", "responseModalities", "audio"),
        # more answers, longer ones, or fees of their own
        *("n", "best_of", "candidateCount", "candidate_count", "prediction", "plugins"),
        *("web_search_options", "max_tokens", "max_completion_tokens"),
        *("max_output_tokens", "maxOutputTokens"),
    ],
)
def test_what_a_promise_rests_on_is_calibrates_own(name: str) -> None:
    assert parameter_problems({name: 1, "temperature": 0}, is_catalogue_price=False) == [
        f"{name}: calibrate sets this itself; remove it"
    ]


def test_several_are_named_at_once() -> None:
    assert parameter_problems({"stream": True, "n": 2}, is_catalogue_price=False) == [
        "n, stream: calibrate sets this itself; remove it"
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"temperature": 0, "top_p": 0.9, "logprobs": False, "reasoning_effort": "low"},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"service_tier": "flex", "inference_geo": "global"},
        {"cache_control": {"type": "ephemeral", "ttl": "5m"}},
        {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
        {"tools": [FUNCTION], "tool_choice": "auto"},
        {"tools": [{"type": "custom", "custom": {"name": "run"}}]},
        {"tools": [{"name": "lookup", "input_schema": {"type": "object"}}]},
        {"tools": [{"functionDeclarations": [{"name": "lookup"}]}]},
        {"tools": [{"function_declarations": [{"name": "lookup"}]}]},
        {"tools": None},
    ],
)
def test_other_parameters_are_the_projects_to_choose(parameters: dict[str, Any]) -> None:
    assert parameter_problems(parameters, is_catalogue_price=True) == []


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "web_search"},
        {"googleSearch": {}},
        {"functionDeclarations": [{"name": "lookup"}], "google_search": {}},
        "web_search",
    ],
)
def test_a_tool_that_the_provider_runs_is_refused(tool: object) -> None:
    assert parameter_problems({"tools": [FUNCTION, tool]}, is_catalogue_price=False) == [TOOLS]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"service_tier": "priority"}, "service_tier: priority"),
        ({"serviceTier": "fast"}, "serviceTier: fast"),
        ({"speed": "fast"}, "speed: fast"),
        ({"inference_geo": "us"}, "inference_geo: us"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "ttl: 1h"),
        ({"tools": [{"name": "f", "cache_control": {"ttl": "1h"}}]}, "ttl: 1h"),
    ],
)
def test_what_is_dearer_than_the_catalogue_says_needs_a_price_of_its_own(
    parameters: dict[str, Any], said: str
) -> None:
    assert parameter_problems(parameters, is_catalogue_price=True) == [
        f"{said}: costs more than the catalogue's price; "
        "give price: {input_usd_per_mtok: …, output_usd_per_mtok: …}"
    ]
    assert parameter_problems(parameters, is_catalogue_price=False) == []
