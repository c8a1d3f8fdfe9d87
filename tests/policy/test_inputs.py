"""What a service computes of a request before it is sent, from the policy alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy.sample import POLICY, changed, parsed

from calibrate.errors import PolicyError
from calibrate.policy import Escalation, InputScore, Route
from calibrate.policy.inputs import FEATURES, features_of
from calibrate.signals import SIGNALS

SCORE = InputScore(intercept=0.95, weights={"digits": 2.0, "questions": -0.5})
MESSAGES = ["You answer questions.", "12 of 24?"]  # 4 of 9 characters are digits


def route(escalation: Escalation | None) -> Route:
    entry = replace(POLICY.workflows["triage"], escalation=escalation)
    return replace(POLICY, workflows={"triage": entry}).route("triage")


def test_the_size_of_a_request_is_known_before_the_call() -> None:
    by_size = route(Escalation("input_brevity", -20.0, "large"))
    assert by_size.escalation is not None
    assert by_size.escalation.is_before_call
    signals = by_size.input_signals(["x" * 36])  # a token for four characters, and four more
    assert (signals, by_size.should_escalate(signals)) == ({"input_brevity": -13.0}, False)
    longer = by_size.input_signals(["x" * 36, "y" * 20])
    assert (longer, by_size.should_escalate(longer)) == ({"input_brevity": -22.0}, True)


def test_the_score_is_that_of_the_last_message() -> None:
    by_score = route(Escalation("input_simplicity", 0.3, "large", score=SCORE))
    signals = by_score.input_signals(MESSAGES)
    # 0.95 - 2 x 0.444444 + 0.5 x 0.289065: features have six digits
    assert signals == {"input_simplicity": 0.205645}
    assert by_score.should_escalate(signals)
    simple = by_score.input_signals(["12 of 24?", "Who answers?"])
    assert simple == {"input_simplicity": 1.094532}
    assert not by_score.should_escalate(simple)


@pytest.mark.parametrize(
    "escalation",
    [
        None,
        Escalation("label_margin", 0.6, "large"),
        Escalation("input_simplicity", 0.6, "large"),  # without weights nobody can compute it
    ],
)
def test_nothing_is_computed_where_the_route_does_not_go_by_the_request(
    escalation: Escalation | None,
) -> None:
    assert route(escalation).input_signals(MESSAGES) == {}


def test_other_signals_stay_as_they_are() -> None:
    by_score = Escalation("input_simplicity", 0.3, "large", score=SCORE)
    assert by_score.completed({"finished": 1.0}, MESSAGES) == {
        "finished": 1.0,
        "input_simplicity": 0.205645,
    }
    assert by_score.completed({"finished": 1.0}, []) == {"finished": 1.0}
    by_answer = Escalation("label_margin", 0.3, "large")
    assert by_answer.completed({"label_margin": 0.1}, MESSAGES) == {"label_margin": 0.1}


@pytest.mark.parametrize(
    ("escalation", "problem"),
    [
        (
            "{signal: input_simplicity, below: 0.6, to: large, "
            "score: {intercept: 1, weights: {digit: 1}}}",
            "escalation.score: no feature is called 'digit'; did you mean 'digits'? (known: "
            "length, lines, digits, questions, code, scripts, word_length, sentence_length)",
        ),
        (
            "{signal: label_margin, below: 0.6, to: large, "
            "score: {intercept: 1, weights: {digits: 1}}}",
            "escalation.score: computes input_simplicity, and the signal is 'label_margin'",
        ),
    ],
)
def test_a_score_that_nobody_can_compute_is_refused(escalation: str, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parsed(changed("escalation: null", f"escalation: {escalation}"))
    (told,) = caught.value.problems
    assert told.endswith(problem)


def test_a_score_survives_the_file() -> None:
    text = (
        "{signal: input_simplicity, below: 0.6, to: large, "
        "score: {intercept: 0.95, weights: {digits: 2, questions: -0.5}}}"
    )
    found = parsed(changed("escalation: null", f"escalation: {text}"))
    escalation = found.workflows["triage"].escalation
    assert escalation == Escalation("input_simplicity", 0.6, "large", score=SCORE)


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        ("length", "word", "word " * 50),
        ("lines", "a", "a\nb\nc"),
        ("digits", "about ten", "about 10"),
        ("digits", "٣ and no other", "٣٤"),
        ("questions", "Why?", "Why? When? 何?"),
        ("code", "Please import the list from the shop", "def f(x):\n    return {\n}"),
        ("scripts", "Привет, как дела", "Hello, как дела"),
        ("word_length", "to be or not", "constitutional considerations"),
        ("sentence_length", "One. Two. Three.", "One two three and no end of it"),
    ],
)
def test_a_feature_rises_with_what_it_is_called(name: str, less: str, more: str) -> None:
    assert 0 <= features_of(less)[name] < features_of(more)[name] <= 1


def test_the_features_of_a_text_by_hand() -> None:
    # ln 9 / ln 100001; 2 of 8 characters; ln 2 / ln 11; 5 characters in 3 words / 20;
    # ln(1 + 3) / ln 101
    assert features_of("ab 12 ? ") == {
        "length": 0.190848,
        "lines": 0.0,
        "digits": 0.25,
        "questions": 0.289065,
        "code": 0.0,
        "scripts": 0.0,
        "word_length": 0.083333,
        "sentence_length": 0.300381,
    }


@pytest.mark.parametrize(
    "line",
    ["```", "}", "x = f(y);", "if (a) {", "#include <x>", "class A:", "import os.path"],
)
def test_lines_of_code_are_known(line: str) -> None:
    assert features_of(line)["code"] == 1.0


@pytest.mark.parametrize("text", ["日本語のテキストとカタカナ", "Das ist ein Text", "É", "12 %"])
def test_one_writing_system_is_no_mix(text: str) -> None:
    assert features_of(text)["scripts"] == 0.0


@pytest.mark.parametrize("text", ["", " \n", "?" * 200_000, "\x00", "{" * 100_000, "字 " * 9_999])
def test_every_text_has_every_feature_from_0_to_1(text: str) -> None:
    found = features_of(text)
    assert list(found) == list(FEATURES)
    assert all(0 <= value <= 1 for value in found.values())


def test_what_a_policy_takes_for_known_before_the_call_is_that() -> None:
    before = {name for name, signal in SIGNALS.items() if signal.moment == "before"}
    assert {n for n in SIGNALS if Escalation(n, 0.5, "large").is_before_call} == before
