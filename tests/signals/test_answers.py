from __future__ import annotations

from typing import Any

import pytest

from calibrate.signals.answers import (
    MOST_CHARACTERS,
    NotJsonError,
    canonical,
    folded,
    json_in,
    label_in,
    labels_by_form,
)

LABELS = labels_by_form(["billing", "Gift card", "über"])


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('\ufeff \n{"a": [1.5, null, true]}\n', {"a": [1.5, None, True]}),
        ('```json\n{"a": "x"}\n```', {"a": "x"}),
        ("42", 42),
    ],
)
def test_an_answer_that_is_json_is_its_value(answer: str, value: Any) -> None:
    assert json_in(answer) == value


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "billing",
        'Here it is: {"a": 1}',
        '{"a": 1} {"b": 2}',
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        "1" * 201,
        "[" * 200 + "]" * 200,
        "[" * 100_000,
        f'"{"x" * MOST_CHARACTERS}"',
    ],
)
def test_any_other_answer_is_no_json(answer: str) -> None:
    with pytest.raises(NotJsonError):
        json_in(answer)


def test_equal_values_have_one_form() -> None:
    assert canonical({"b": 1.0, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"é","b":1}'


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("**Billing.**", "billing"),
        ("  Two\n words ", "two words"),
        ("U\u0308BER", "über"),
        ("“quoted”", "quoted"),
        ("3.5", "3.5"),
        (" .\n", ""),
    ],
)
def test_case_space_and_marks_are_no_difference(text: str, form: str) -> None:
    assert folded(text) == form


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("billing", "billing"),
        ("\n\n**GIFT  CARD**\nbecause the card is lost", "Gift card"),
        ("U\u0308ber!", "über"),
        ("Billing and über", None),
        ("The answer is billing", None),
        ("because\nbilling", None),
        ("", None),
    ],
)
def test_the_first_line_is_a_label_or_it_is_none(answer: str, label: str | None) -> None:
    assert label_in(answer, LABELS) == label
