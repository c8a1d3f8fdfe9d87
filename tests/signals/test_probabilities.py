from __future__ import annotations

import math

import pytest

from calibrate.completion import Completion, TokenLogprob, Usage
from calibrate.signals.probabilities import from_completion, yes_score


def answer(*tokens: TokenLogprob) -> Completion:
    return Completion(
        text="a", usage=Usage(1, 1), served_model="m", latency_s=0.1, logprobs=tuple(tokens)
    )


def test_without_log_probabilities_there_is_no_signal() -> None:
    assert from_completion(answer()) == {}


def test_the_signals_are_the_mean_and_the_margin_of_the_first_token() -> None:
    first = TokenLogprob("ship", -0.1, (("ship", -0.1), ("bill", -3.0), ("other", -4.0)))
    # (-0.1 - 0.3) / 2; exp(-0.1) - exp(-3) = 0.904837 - 0.049787
    assert from_completion(answer(first, TokenLogprob("ping", -0.3))) == {
        "answer_logprob": -0.2,
        "first_token_margin": 0.85505,
    }


def test_the_margin_is_negative_where_the_model_was_made_to_say_less_than_its_best() -> None:
    first = TokenLogprob("ship", -3.0, (("bill", -0.1),))
    assert from_completion(answer(first))["first_token_margin"] == -0.85505


@pytest.mark.parametrize("top", [(), (("ship", -0.1),)])
def test_without_an_alternative_there_is_no_margin(top: tuple[tuple[str, float], ...]) -> None:
    assert from_completion(answer(TokenLogprob("ship", -0.1, top))) == {"answer_logprob": -0.1}


def test_a_token_that_cannot_be_had_makes_the_mean_missing_and_not_infinite() -> None:
    never = TokenLogprob("ship", -math.inf, (("bill", -0.1),))
    assert from_completion(answer(never)) == {"first_token_margin": -0.904837}


def test_a_log_probability_above_0_counts_as_certain() -> None:
    first = TokenLogprob("ship", 1e-7, (("bill", -20.0),))
    assert from_completion(answer(first))["first_token_margin"] == 1.0


@pytest.mark.parametrize("logprob", [math.nan])
def test_what_is_no_number_is_missing(logprob: float) -> None:
    assert from_completion(answer(TokenLogprob("ship", logprob, (("bill", -0.1),)))) == {}


@pytest.mark.parametrize(
    ("tokens", "score"),
    [
        # (1 + 0.9 - 0.05) / 2, where exp(-0.105361) = 0.9 and exp(-2.995732) = 0.05
        ([("Yes", -0.105361, [("Yes", -0.105361), ("No", -2.995732)])], 0.925),
        # 0.6 and 0.2 are two ways to write yes, 0.1 is a no: (1 + 0.8 - 0.1) / 2
        ([(" yes", -0.510826, [("YES", -1.609438), ("no.", -2.302585)])], 0.85),
        ([("No", -0.105361, [("Maybe", -2.302585)])], 0.05),
        # marks before the word are passed over
        ([("**", -0.1, [("Yes", -3.0)]), ("Yes", -0.105361, [])], 0.95),
        ([("\u2581yes", 0.0, [])], 1.0),
        ([("Maybe", -0.1, [("Yes", -3.0)])], None),
        ([("yes", math.nan, [])], None),
        ([], None),
    ],
)
def test_a_verdict_is_the_margin_of_yes_over_no_between_0_and_1(
    tokens: list[tuple[str, float, list[tuple[str, float]]]], score: float | None
) -> None:
    found = yes_score([TokenLogprob(text, logprob, tuple(top)) for text, logprob, top in tokens])
    assert found == (None if score is None else pytest.approx(score, abs=2e-6))
