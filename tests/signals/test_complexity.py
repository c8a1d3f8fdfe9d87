from __future__ import annotations

import pytest

from calibrate.config import InputSimplicity
from calibrate.errors import ConfigError
from calibrate.signals.complexity import FEATURES, features_of, simplicity, weights_of


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


def test_as_it_stands_the_score_is_1_less_the_mean_feature() -> None:
    features = dict.fromkeys(FEATURES, 0.25) | {"digits": 0.65}
    weights = weights_of("p", InputSimplicity())
    assert simplicity(features, weights) == 0.7  # 1 - (7 * 0.25 + 0.65) / 8


def test_weights_of_a_products_own() -> None:
    options = InputSimplicity(weights={"digits": 2.0, "code": -1.0}, intercept=0.5)
    features = dict.fromkeys(FEATURES, 1.0) | {"digits": 0.1}
    assert simplicity(features, weights_of("p", options), options.intercept) == 1.3


def test_a_weight_of_no_feature_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        weights_of("p", InputSimplicity(weights={"digit": 1.0, "code": 1.0, "zeal": 1.0}))
    known = ", ".join(FEATURES)
    assert caught.value.problems == (
        f"p.weights.digit: no feature is called so; did you mean 'digits'? (known: {known})",
        f"p.weights.zeal: no feature is called so (known: {known})",
    )
