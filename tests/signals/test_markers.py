from __future__ import annotations

import pytest

from calibrate.completion import Completion, Usage
from calibrate.signals.markers import (
    FIRST_CHARACTERS,
    REFUSALS,
    answer_brevity,
    finished,
    not_refused,
)


def answer(text: str | None = "billing", finish: str = "stop", output: int = 1) -> Completion:
    return Completion(
        text=text, usage=Usage(1, output), served_model="m", latency_s=0.1, finish=finish
    )


@pytest.mark.parametrize(
    ("finish", "ended", "kept"),
    [
        ("stop", 1.0, 1.0),
        ("tool_calls", 1.0, 1.0),
        ("length", 0.0, 1.0),
        ("content_filter", 0.0, 0.0),
        ("refusal", 0.0, 0.0),
    ],
)
def test_the_finish_reason_says_whether_an_answer_is_whole(
    finish: str, ended: float, kept: float
) -> None:
    assert (finished(answer(finish=finish)), not_refused(answer(finish=finish))) == (ended, kept)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't do that.",
        "I\u2019m unable to read it.",
        "**Es tut mir leid, aber ich kann** das nicht",
        "As an AI, I have no opinion.",
    ],
)
def test_a_refusal_is_known_by_its_first_words(text: str) -> None:
    assert not_refused(answer(text)) == 0.0


@pytest.mark.parametrize("text", ["billing", "", None, "x" * FIRST_CHARACTERS + " I cannot help"])
def test_other_answers_are_no_refusals(text: str | None) -> None:
    assert not_refused(answer(text)) == 1.0


def test_a_product_may_have_refusals_of_its_own() -> None:
    assert not_refused(answer("NO  Comment."), ["No comment"]) == 0.0
    assert not_refused(answer("I cannot help"), ["No comment"]) == 1.0


def test_every_built_in_phrase_can_be_found() -> None:
    assert [phrase for phrase in REFUSALS if not_refused(answer(phrase)) == 1.0] == []


def test_brevity_falls_with_the_tokens_that_were_billed() -> None:
    assert [str(answer_brevity(answer(output=count))) for count in (0, 1, 250)] == [
        *("0.0", "-1.0", "-250.0")
    ]
