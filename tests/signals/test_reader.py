from __future__ import annotations

from typing import Any

import pytest

from calibrate.completion import ChatMessage, Completion, TokenLogprob, Usage
from calibrate.config import Workflow
from calibrate.errors import ConfigError
from calibrate.signals import SIGNALS, SignalReader, reader_for

QUESTION = (ChatMessage("system", "Sort tickets."), ChatMessage("user", "abcd 12?"))
SCHEMA = {
    "type": "object",
    "properties": {"queue": {"enum": ["billing", "shipping"]}, "confidence": {"type": "number"}},
    "required": ["queue"],
}


def reader(**keys: Any) -> SignalReader:
    workflow = {
        "version": 1,
        "dataset": "datasets/sort.jsonl",
        "prompt": [{"role": "user", "content": "x"}],
        "max_output_tokens": 8,
        "graders": ["exact_match"],
        "bar": {"pass_rate": 0.9},
        **keys,
    }
    return reader_for("evals/sort.yaml", Workflow.model_validate(workflow))


def answer(text: str | None) -> Completion:
    token = TokenLogprob("billing", -0.105361, (("shipping", -2.995732),))
    return Completion(
        text=text, usage=Usage(9, 3), served_model="m", latency_s=0.1, logprobs=(token,)
    )


def test_without_signals_of_its_own_a_workflow_notes_all_that_is_free() -> None:
    found = reader(labels=["billing", "shipping"])
    before, after = found.before(QUESTION), found.after(answer("billing"))
    assert after == {
        "answer_logprob": -0.105361,
        "first_token_margin": 0.85,
        "valid_format": 1.0,
        "finished": 1.0,
        "not_refused": 1.0,
        "answer_brevity": -3.0,
    }
    # (13 + 8) characters are 6 tokens, and 4 for each of two messages.
    assert before["input_brevity"] == -14.0
    assert 0 < before["input_simplicity"] < 1
    free = {name for name, signal in SIGNALS.items() if signal.is_free and signal.is_default}
    assert {*before, *after} == free - {"label_margin"}


def test_a_workflow_that_names_its_signals_notes_these_alone() -> None:
    found = reader(signals=["first_token_margin", "input_brevity"])
    assert (found.before(QUESTION), found.after(answer("x"))) == (
        {"input_brevity": -14.0},
        {"first_token_margin": 0.85},
    )
    nothing = reader(signals=[])
    assert (nothing.before(QUESTION), nothing.after(answer("x"))) == ({}, {})


def test_a_simple_input_is_told_by_the_last_message_with_the_products_own_weights() -> None:
    found = reader(signals=[{"input_simplicity": {"weights": {"digits": 2}, "intercept": 3}}])
    assert found.before(QUESTION) == {"input_simplicity": 2.5}  # 3 - 2 * 2 / 8
    assert found.before(()) == {}


def test_a_score_that_is_fitted_later_is_not_noted() -> None:
    options = {"bar": {"pass_rate": 0.9, "cascades": True}}
    found = reader(signals=["input_brevity", {"input_simplicity": {"fit": True}}], **options)
    assert found.before(QUESTION) == {"input_brevity": -14.0}


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('{"queue": "billing"}', 1.0),
        ('```json\n{"queue": "shipping"}\n```', 1.0),
        ('{"queue": "other"}', 0.0),
        ("billing", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_where_there_is_a_schema_a_valid_answer_fits_it(text: str | None, valid: float) -> None:
    found = reader(output_schema=SCHEMA, labels=["billing", "shipping"])
    assert found.after(answer(text))["valid_format"] == valid


@pytest.mark.parametrize(("text", "valid"), [("**Billing**\nwhy", 1.0), ("a billing case", 0.0)])
def test_where_there_are_labels_a_valid_answer_begins_with_one(text: str, valid: float) -> None:
    assert reader(labels=["billing", "shipping"]).after(answer(text))["valid_format"] == valid


def test_without_a_format_no_answer_is_valid_or_not() -> None:
    assert "valid_format" not in reader().after(answer("x"))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "nope"}, '"nope" is not valid under any of the schemas'),
        ({"$ref": "http://example.org/x"}, "Resource 'http://example.org/x' is not present"),
    ],
)
def test_a_schema_that_cannot_be_used_matters_where_valid_format_is_named(
    schema: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        reader(output_schema=schema, signals=["valid_format"])
    assert str(caught.value).startswith(
        f"evals/sort.yaml: signals.valid_format: not a usable JSON Schema: {why}"
    )
    assert "valid_format" not in reader(output_schema=schema).after(answer("{}"))


def test_a_stated_confidence_is_noted_where_it_is_named_and_stated() -> None:
    found = reader(signals=["self_reported"])
    assert found.after(answer("billing\nConfidence: 80 %")) == {"self_reported": 0.8}
    assert found.after(answer("billing")) == {}


@pytest.mark.parametrize(
    ("keys", "one", "other"),
    [
        ({"labels": ["billing", "shipping"]}, "Billing.", '"billing"'),
        ({"labels": ["billing", "shipping"]}, "billing", "**billing**\nas it is about money"),
        ({"labels": ["yes", "12"]}, "12", "12."),
        ({"output_schema": SCHEMA}, '{"queue":"billing"}', '```\n{"queue": "billing"}\n```'),
        ({}, '{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}'),
        ({}, "1.0", "1"),
        ({}, '"Two words"', "two  words."),
    ],
)
def test_answers_that_say_the_same(keys: dict[str, Any], one: str, other: str) -> None:
    found = reader(**keys)
    assert found.said(one) == found.said(other) is not None


@pytest.mark.parametrize(
    ("keys", "one", "other"),
    [
        ({"labels": ["billing", "shipping"]}, "billing", "shipping"),
        ({"output_schema": SCHEMA}, '{"queue": "billing"}', '{"queue": "shipping"}'),
        ({}, '{"a": 1}', '{"a": "1"}'),
        ({}, "one", "two"),
        ({}, "-1", "1"),
    ],
)
def test_answers_that_differ(keys: dict[str, Any], one: str, other: str) -> None:
    found = reader(**keys)
    assert found.said(one) != found.said(other)


@pytest.mark.parametrize(
    ("keys", "unreadable"),
    [
        ({"labels": ["billing", "shipping"]}, "either"),
        ({"output_schema": SCHEMA}, "billing"),
        ({}, " . "),
    ],
)
def test_what_cannot_be_read_says_nothing(keys: dict[str, Any], unreadable: str) -> None:
    assert reader(**keys).said(unreadable) is None


@pytest.mark.parametrize(
    ("keys", "one", "other"),
    [
        ({}, "Blue.\nConfidence: 0.9", "blue\nConfidence: 0.4"),
        ({}, '{"a": 1, "confidence": 0.9}', '{"a": 1, "confidence": 0.4}'),
        (
            {"output_schema": SCHEMA},
            '{"queue": "billing", "confidence": 1}',
            '{"queue": "billing", "confidence": 0.4}',
        ),
    ],
)
def test_answers_may_differ_in_their_confidence(keys: dict[str, Any], one: str, other: str) -> None:
    found = reader(signals=["self_reported", "agreement"], **keys)
    assert found.said(one) == found.said(other) is not None


def test_a_pattern_says_what_is_compared() -> None:
    found = reader(signals=[{"agreement": {"pattern": r"answer is (-?\d+)|#(x)?"}}])
    assert found.said("6 * 7, so the answer is 42") == found.said("The answer is 42!") == "42"
    assert found.said("42") is None
    assert found.said("#") is None


def test_everything_wrong_with_the_options_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        reader(
            signals=[
                {"agreement": {"pattern": "("}},
                {"self_reported": {"pattern": "x"}},
                {"input_simplicity": {"weights": {"nope": 1}}},
                "valid_format",
            ],
            output_schema={"type": "nope"},
        )
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [
        "signals.self_reported.pattern",
        "signals.agreement.pattern",
        "signals.input_simplicity.weights.nope",
        "signals.valid_format",
    ]
