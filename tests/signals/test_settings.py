"""The `signals:` key of a workflow file, and the table of what there is."""

from __future__ import annotations

from typing import get_args

import pytest

from calibrate.config import Agreement, SelfReported, SignalName, SignalOptions, Workflow
from calibrate.document import load_document
from calibrate.errors import ConfigError
from calibrate.record import parse_document
from calibrate.signals.settings import Settings, settings_of
from calibrate.signals.table import SIGNALS

WORKFLOW = """\
version: 1
dataset: datasets/sort.jsonl
prompt: [{role: user, content: x}]
max_output_tokens: 8
graders: [exact_match]
bar: {pass_rate: 0.9}
"""


def settings(signals: str) -> Settings:
    document = load_document("evals/sort.yaml", f"{WORKFLOW}signals: {signals}\n")
    return settings_of(parse_document(Workflow, document))


def test_signals_are_named_with_or_without_options() -> None:
    found = settings("[first_token_margin, self_reported, {agreement: {samples: 5}}]")
    assert found.names == {"first_token_margin", "self_reported", "agreement"}
    assert found.agreement == Agreement(samples=5, temperature=0.7)
    assert found.self_reported == SelfReported(field="confidence")
    assert found.verifier is None


@pytest.mark.parametrize("spec", ["agreement", "{agreement: }", "{agreement: {}}"])
def test_options_have_defaults(spec: str) -> None:
    assert settings(f"[{spec}]").agreement == Agreement()


def test_what_is_not_named_is_not_asked_for() -> None:
    found = settings("[]")
    assert (found.names, found.agreement, found.self_reported) == (frozenset(), None, None)


@pytest.mark.parametrize(
    ("signals", "problem"),
    [
        ("[agreement, {agreement: {}}]", "signals: agreement: named twice"),
        ("[{agrement: {}}]", "signals[0].agrement: unknown key; did you mean 'agreement'?"),
        (
            "[{agreement: {sampels: 3}}]",
            "signals[0].agreement.sampels: unknown key; did you mean 'samples'?",
        ),
        (
            "[{agreement: {samples: 21}}]",
            "signals[0].agreement.samples: expected less than or equal to 20, got 21",
        ),
        (
            "[{agreement: {temperature: 0}}]",
            "signals[0].agreement.temperature: expected greater than 0, got 0",
        ),
        ("[verifier]", "signals[0]: which model verifies? write `verifier: {model: …}`"),
        ("[{verifier: }]", "signals[0]: which model verifies? write `verifier: {model: …}`"),
        ("[{verifier: {}}]", "signals[0].verifier.model: is missing"),
        (
            "[{a: 1, b: 2}]",
            "signals[0]: expected one signal: its name, or its name with a mapping of options",
        ),
        ("[{agreement: 3}]", "signals[0].agreement: expected a mapping of keys, got 3"),
        (
            "[{not_refused: {markers: ['']}}]",
            "signals[0].not_refused.markers[0]: expected a text, not an empty one, got ''",
        ),
        (
            "[{input_simplicity: {fit: true, weights: {digits: 1}}}]",
            "signals[0].input_simplicity: `weights` and `intercept` are given or fitted, not both",
        ),
        (
            "[{input_simplicity: {share: 0.5}}]",
            "signals[0].input_simplicity: `share` is that of the cases to fit on: it needs "
            "`fit: true`",
        ),
        (
            "[{input_simplicity: {fit: true, share: 1}}]",
            "signals[0].input_simplicity.share: expected less than 1, got 1",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(signals: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(signals)
    assert str(caught.value) == f"evals/sort.yaml:7: {problem}"


def test_an_unknown_name_is_told_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"signals\[0\]: expected 'answer_logprob', .*'agrement'"):
        settings("[agrement]")


def test_a_format_can_only_be_valid_where_there_is_one() -> None:
    with pytest.raises(ConfigError, match="valid_format needs `labels` or `output_schema`"):
        settings("[valid_format]")


def test_every_signal_that_can_be_named_is_in_the_table() -> None:
    assert tuple(SIGNALS) == get_args(SignalName)
    assert set(SignalOptions.model_fields) <= set(SIGNALS)


def test_what_is_noted_by_default_costs_nothing() -> None:
    assert all(
        signal.is_free and signal.tokens == "0" for signal in SIGNALS.values() if signal.is_default
    )
    assert [name for name, signal in SIGNALS.items() if not signal.is_free] == [
        *("agreement", "verifier")
    ]


def test_every_signal_has_a_scale_of_its_own() -> None:
    assert all(signal.unit and signal.low < signal.high for signal in SIGNALS.values())
    probabilities = {name for name, signal in SIGNALS.items() if signal.unit == "probability"}
    assert probabilities == {"self_reported", "verifier"}
    assert all((SIGNALS[name].low, SIGNALS[name].high) == (0, 1) for name in probabilities)
