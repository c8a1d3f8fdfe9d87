from __future__ import annotations

import pytest

from calibrate.completion import Completion, TokenLogprob, Usage
from calibrate.signals import from_completion


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
