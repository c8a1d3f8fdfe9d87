from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from calibrate.candidates import (
    Candidate,
    Field,
    Inapplicable,
    chat_form,
    embedding_request,
    field_of,
)
from calibrate.completion import ChatMessage, Request
from calibrate.config import Tiers, Workflow
from calibrate.dataset import Case
from calibrate.errors import ConfigError
from calibrate.prompts import Prompt

# Two cases of 8 and 4 characters: about 2 + 4 and 1 + 4 tokens of input.
CASES = [Case("t-1", "abcdefgh", "a"), Case("t-2", "abcd", "b")]


def tiers(**changes: Any) -> Tiers:
    price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
    value = {
        "version": 1,
        "endpoints": {
            "e": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "timeout_s": 60},
            "a": {"kind": "anthropic"},
        },
        "models": {
            "dear": {
                "endpoint": "e",
                "name": "dear-1",
                "price": {**price, "input_usd_per_mtok": 9},
            },
            "twin-b": {"endpoint": "e", "name": "b-1", "price": price},
            "twin-a": {"endpoint": "a", "name": "a-1", "price": price},
            "mini": {
                "endpoint": "e",
                "name": "mini-1",
                "method": "nearest_example",
                "price": {"input_usd_per_mtok": 1},
            },
            "large": {"endpoint": "e", "name": "large-1", "price": price, "context_window": 99},
        },
        "tiers": {"cheap": ["dear", "twin-b", "twin-a", "mini"], "frontier": ["large"]},
        "baseline": "frontier",
    }
    return Tiers.model_validate(value | changes)


def workflow(**changes: Any) -> Workflow:
    value = {
        "version": 1,
        "dataset": "datasets/sort.jsonl",
        "prompt": [{"role": "user", "content": "{{ input }}"}],
        "max_output_tokens": 8,
        "labels": ["a", "b"],
        "examples": "datasets/sort.examples.jsonl",
        "graders": ["one_of"],
        "bar": {"pass_rate": 0.9},
    }
    return Workflow.model_validate(value | changes)


def field(of: Tiers | None = None, on: Workflow | None = None) -> Field:
    flow = on or workflow()
    return field_of("evals/sort.yaml", of or tiers(), flow, CASES, Prompt("sort", flow))


def candidate(alias: str, found: Field | None = None) -> Candidate:
    return next(c for c in (found or field()).candidates if c.alias == alias)


def test_candidates_stand_by_tier_then_estimated_cost_then_name() -> None:
    found = field()
    # A mean of (6 + 5) / 2 = 5.5 tokens in and 8 out, per million: mini 5.5, twins 5.5 + 16,
    # dear 9 * 5.5 + 16; large is as cheap as the twins, but in a dearer tier.
    assert [(c.alias, c.tier, c.estimated_usd) for c in found.candidates] == [
        ("mini", "cheap", Decimal("0.0000055")),
        ("twin-a", "cheap", Decimal("0.0000215")),
        ("twin-b", "cheap", Decimal("0.0000215")),
        ("dear", "cheap", Decimal("0.0000655")),
        ("large", "frontier", Decimal("0.0000215")),
    ]
    assert found.baseline is found.candidates[-1]
    assert found.inapplicable == ()
    assert found.baseline.context_window == 99


@pytest.mark.parametrize("missing", ["labels", "examples"])
def test_an_embeddings_model_is_no_candidate_without_labels_and_examples(missing: str) -> None:
    found = field(on=workflow(**{missing: None}))
    assert [c.alias for c in found.candidates] == ["twin-a", "twin-b", "dear", "large"]
    assert found.inapplicable == (
        Inapplicable(
            "mini", "cheap", "nearest_example needs a workflow with `labels` and `examples`"
        ),
    )


def test_a_workflow_may_consider_some_tiers_and_the_baseline_is_always_among_them() -> None:
    aliases = [c.alias for c in field(on=workflow(tiers=["cheap"])).candidates]
    assert aliases == ["mini", "twin-a", "twin-b", "dear", "large"]
    assert [c.alias for c in field(on=workflow(tiers=["frontier"])).candidates] == ["large"]


def test_a_baseline_that_cannot_serve_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        field(tiers(tiers={"cheap": ["large"], "frontier": ["mini"]}), workflow(labels=None))
    assert str(caught.value) == ("evals/sort.yaml: the baseline 'mini' cannot serve this workflow")


def test_every_model_that_cannot_be_priced_or_served_is_named() -> None:
    models = {
        "one": {"endpoint": "e", "name": "one-1", "price": "auto"},
        "two": {"endpoint": "a", "name": "two-1", "price": "auto"},
        "three": {
            "endpoint": "a",
            "name": "three-1",
            "method": "nearest_example",
            "price": {"input_usd_per_mtok": 1},
        },
    }
    with pytest.raises(ConfigError) as caught:
        field(tiers(models=models, tiers={"cheap": list(models)}, baseline="cheap"))
    give = "give price: {input_usd_per_mtok: …, output_usd_per_mtok: …}"
    assert caught.value.problems == (
        f"models.one.price: the catalogue knows no 'one-1' at http://127.0.0.1:9/v1; {give}",
        f"models.two.price: the catalogue knows no 'two-1' at https://api.anthropic.com/v1; {give}",
        "models.three: 'anthropic' endpoints have no embeddings",
    )


@pytest.mark.parametrize(("limit_s", "timeout_s"), [(None, 60), (10, 10), (90, 60)])
def test_the_smaller_time_out_holds(limit_s: float | None, timeout_s: float) -> None:
    found = field(on=workflow(limits={"timeout_s": limit_s}))
    assert candidate("large", found).timeout_s == timeout_s


def test_parameters_that_are_not_the_models_to_choose_are_refused() -> None:
    models = tiers().models
    wild = models["large"].model_copy(update={"parameters": {"n": 4, "stream": True, "top_p": 1}})
    with pytest.raises(ConfigError) as caught:
        field(tiers(models=models | {"large": wild}))
    assert str(caught.value) == (
        "models.large.parameters: n, stream: calibrate sets this itself; remove it"
    )


def test_what_a_catalogue_price_does_not_cover_is_refused_beside_what_is_calibrates_own() -> None:
    large = {
        "endpoint": "o",
        "name": "gpt-5-mini",
        "price": "auto",
        "parameters": {"service_tier": "priority", "bestOf": 2},
    }
    auto = {**tiers().models, "large": large}
    endpoints = {**tiers().endpoints, "o": {"kind": "openai"}}
    with pytest.raises(ConfigError) as caught:
        field(tiers(models=auto, endpoints=endpoints))
    assert caught.value.problems == (
        "models.large.parameters: bestOf: calibrate sets this itself; remove it",
        "models.large.parameters: service_tier: priority: costs more than the catalogue's price; "
        "give price: {input_usd_per_mtok: …, output_usd_per_mtok: …}",
    )


def test_the_order_is_by_the_plain_price_of_input_whatever_a_cache_write_costs() -> None:
    models = tiers().models
    price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "cache_write_usd_per_mtok": 99}
    writing = {"endpoint": "e", "name": "large-1", "price": price}
    found = field(tiers(models={**models, "large": writing}))
    assert candidate("large", found).estimated_usd == Decimal("0.0000215")


MESSAGES = (ChatMessage("user", "Hi"),)


def test_a_chat_request_holds_the_models_parameters_and_the_workflows_wishes() -> None:
    flow = workflow(stop=["\n"], output_schema={"type": "object"})
    assert chat_form(candidate("large"), flow).request(MESSAGES, 2) == Request(
        "openai",
        "large-1",
        messages=MESSAGES,
        parameters={
            "max_output_tokens": 8,
            "stop": ["\n"],
            "output_schema": {"type": "object"},
        },
        logprobs=True,
        repeat=2,
    )


def test_log_probabilities_are_asked_for_where_there_are_any_and_they_are_wanted() -> None:
    assert not chat_form(candidate("twin-a"), workflow()).request(MESSAGES).logprobs
    models = tiers().models
    silent = models["large"].model_copy(update={"parameters": {"logprobs": False, "top_p": 1}})
    found = field(tiers(models=models | {"large": silent}))
    request = chat_form(candidate("large", found), workflow()).request(MESSAGES)
    assert not request.logprobs
    assert request.parameters == {"top_p": 1, "max_output_tokens": 8}


def test_an_embedding_request_holds_the_input_as_text() -> None:
    assert embedding_request(candidate("mini"), {"a": "x", "n": 5}) == Request(
        "openai", "mini-1", input="x\n5"
    )
