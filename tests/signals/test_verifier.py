from __future__ import annotations

import pytest

from calibrate.completion import Completion, TokenLogprob, Usage
from calibrate.config import Verifier
from calibrate.signals import default_prompt, verifier_score


def verdict(text: str | None, *tokens: TokenLogprob) -> Completion:
    return Completion(
        text=text, usage=Usage(9, 1), served_model="m", latency_s=0.1, logprobs=tokens
    )


def test_a_verdict_from_log_probabilities_needs_them() -> None:
    options = Verifier(model="large")
    sure = TokenLogprob("yes", -0.105361, (("no", -2.995732),))
    assert verifier_score(verdict("yes", sure), options) == pytest.approx(0.925, abs=2e-6)
    assert verifier_score(verdict("yes"), options) is None


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("85", 0.85),
        ("I see 2 mistakes.\nScore: **40**.", 0.4),
        ("85%", 0.85),
        ("7/10", 0.7),
        ("0.5", 0.005),
        ("120", None),
        ("gpt4", None),
        ("none", None),
        (None, None),
    ],
)
def test_a_verdict_in_a_number_is_a_share_of_the_scales_end(
    text: str | None, score: float | None
) -> None:
    options = Verifier(model="large", score="number", most=100)
    assert verifier_score(verdict(text), options) == score


def test_the_built_in_prompt_asks_for_what_is_read() -> None:
    yes, number = (
        default_prompt(Verifier(model="m", most=5, score=score))[-1].content
        for score in ("log_probability", "number")
    )
    assert yes.endswith("Is this answer right? Reply with one word: yes or no.")
    assert number.endswith("Reply with one number from 0 to 5, nothing else.")
    assert "{{ input.question }}" in yes
    assert "{{ input.answer }}" in number
