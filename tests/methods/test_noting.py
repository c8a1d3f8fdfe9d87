from __future__ import annotations

from typing import Any

import pytest

from calibrate.completion import ChatMessage
from calibrate.config import Tiers, Workflow
from calibrate.dataset import Case, Example
from calibrate.errors import CalibrateError, ConfigError, PriceError
from calibrate.methods import Noting, noting_for
from calibrate.prompts import Prompt

PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
TIERS = {
    "version": 1,
    "endpoints": {
        "e": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"},
        "a": {"kind": "anthropic", "timeout_s": 30},
    },
    "models": {
        "small": {"endpoint": "e", "name": "small-1", "price": PRICE},
        "large": {"endpoint": "e", "name": "large-1", "price": PRICE, "parameters": {"seed": 1}},
        "aside": {"endpoint": "e", "name": "aside-1", "price": PRICE},
        "quiet": {"endpoint": "a", "name": "quiet-1", "price": PRICE},
        "mute": {
            "endpoint": "e",
            "name": "mute-1",
            "price": PRICE,
            "parameters": {"logprobs": False},
        },
        "mini": {"endpoint": "e", "name": "mini-1", "price": PRICE, "method": "nearest_example"},
        "free": {"endpoint": "e", "name": "free-1", "price": "auto"},
        "own": {"endpoint": "e", "name": "own-1", "price": PRICE, "parameters": {"n": 2}},
    },
    "tiers": {"cheap": ["small", "mini"], "frontier": ["large"]},
    "baseline": "frontier",
}
CASES = [
    Case("t-1", {"ticket": "Where is it?"}, "canary of gold", {"language": "en"}),
    Case("t-2", {"ticket": "My money!"}, "canary of gold"),
]


def noting(verifier: dict[str, Any] | None, **keys: Any) -> Noting:
    workflow = Workflow.model_validate(
        {
            "version": 1,
            "dataset": "datasets/sort.jsonl",
            "prompt": [
                {"role": "system", "content": "Sort tickets."},
                {"role": "user", "content": "Ticket: {{ input.ticket }}"},
            ],
            "max_output_tokens": 100,
            "stop": ["x"],
            "output_schema": {"type": "object"},
            "graders": ["exact_match"],
            "bar": {"pass_rate": 0.9},
            "signals": [] if verifier is None else [{"verifier": verifier}],
            **keys,
        }
    )
    prompt = Prompt("sort", workflow)
    tiers = Tiers.model_validate(TIERS)
    return noting_for("sort", tiers, workflow, prompt, CASES, [Example("in", "out")])


def test_without_a_verifier_there_is_a_reader_and_the_baselines_name() -> None:
    found = noting(None)
    assert (found.verifier, found.baseline) == (None, "large")


def test_a_verifier_is_shown_the_question_and_the_answer_and_no_gold() -> None:
    found = noting({"model": "large"}, limits={"timeout_s": 20}).verifier
    assert found is not None
    question = [ChatMessage("system", "Sort tickets."), ChatMessage("user", "Ticket: Lost.")]
    request = found.request(CASES[0], question, "shipping")
    assert (request.kind, request.name, request.repeat) == ("openai", "large-1", 0)
    assert request.parameters == {"seed": 1, "max_output_tokens": 8}
    assert request.logprobs
    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.messages[1].content == (
        "What was asked:\n\nsystem: Sort tickets.\n\nuser: Ticket: Lost.\n\n"
        "The answer:\n\nshipping\n\nIs this answer right? Reply with one word: yes or no."
    )
    assert "canary" not in str(request.to_json())
    assert (found.candidate.tier, found.candidate.timeout_s) == ("frontier", 20)


def test_a_prompt_of_ones_own_sees_the_case_the_examples_and_each_answer() -> None:
    content = "{{ input.case.ticket }} {{ examples[0].expected }} {{ input.answer }}"
    found = noting({"model": "aside", "prompt": [{"role": "user", "content": content}]}).verifier
    assert found is not None
    said = [found.request(CASES[0], [], answer).texts for answer in ("shipping", "billing")]
    assert said == [["Where is it? out shipping"], ["Where is it? out billing"]]


@pytest.mark.parametrize(
    ("verifier", "problem"),
    [
        (
            {"model": "lrge"},
            "evals/sort.yaml: signals.verifier.model: no model is called 'lrge'; "
            "did you mean 'large'?",
        ),
        (
            {"model": "quiet"},
            "evals/sort.yaml: signals.verifier.model: 'quiet' gives no log-probabilities; "
            "write `score: number`",
        ),
        (
            {"model": "mute"},
            "evals/sort.yaml: signals.verifier.model: 'mute' gives no log-probabilities; "
            "write `score: number`",
        ),
        (
            {"model": "mini"},
            "evals/sort.yaml: signals.verifier.model: 'mini' answers by nearest_example; "
            "a verdict needs a chat model",
        ),
        (
            {"model": "own"},
            "models.own.parameters: n: calibrate sets this itself; remove it",
        ),
        (
            {"model": "large", "prompt": [{"role": "user", "content": "{{ x"}]},
            "evals/sort.yaml: signals.verifier.prompt[0]: line 1: unexpected end of template, "
            "expected 'end of print statement'.",
        ),
    ],
)
def test_a_verifier_that_cannot_be_asked_is_told(verifier: dict[str, Any], problem: str) -> None:
    with pytest.raises(CalibrateError) as caught:
        noting(verifier)
    assert str(caught.value) == problem


def test_a_verifier_needs_a_price() -> None:
    with pytest.raises(PriceError, match="the catalogue knows no 'free-1'"):
        noting({"model": "free"})


def test_a_verifier_outside_the_tiers_may_give_numbers() -> None:
    for alias in ("quiet", "mute", "aside"):
        found = noting({"model": alias, "score": "number"}).verifier
        assert found is not None
        assert (found.candidate.alias, found.candidate.tier) == (alias, "")


def test_a_template_that_one_case_breaks_is_told_before_anything_is_asked() -> None:
    content = "{{ input.answer }} {{ tags.language }}"
    with pytest.raises(ConfigError) as caught:
        noting({"model": "large", "prompt": [{"role": "user", "content": content}]})
    (problem,) = caught.value.problems
    assert problem.startswith("evals/sort.yaml: signals.verifier.prompt[0]: 'dict object' has no")
    assert problem.endswith("(case 't-2')")


def test_what_is_wrong_with_the_other_signals_is_told_too() -> None:
    with pytest.raises(ConfigError, match=r"evals/sort.yaml: signals.agreement.pattern: not a"):
        noting(None, signals=[{"agreement": {"pattern": "("}}])


def test_a_verifier_that_is_declared_cannot_be_left_out() -> None:
    found = noting({"model": "large"})
    with pytest.raises(ValueError, match="a verifier is declared, and none is ready"):
        Noting(found.reader)
