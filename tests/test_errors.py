"""Every error that a user can meet."""

from __future__ import annotations

import pytest

from calibrate import errors
from calibrate.errors import CalibrateError, ConfigError, did_you_mean, looks_like_key


def test_an_error_holds_one_line_for_each_problem() -> None:
    error = ConfigError(["a.yaml:1: x", "a.yaml:2: y"])
    assert error.problems == ("a.yaml:1: x", "a.yaml:2: y")
    assert str(error) == "a.yaml:1: x\na.yaml:2: y"


def test_one_text_is_one_problem() -> None:
    assert CalibrateError("a.yaml: gone").problems == ("a.yaml: gone",)


def test_every_error_is_in_the_drawing_and_has_the_one_base() -> None:
    found = [item for item in vars(errors).values() if isinstance(item, type)]
    classes = [item for item in found if item.__module__ == "calibrate.errors"]
    assert all(issubclass(item, CalibrateError) for item in classes)
    assert errors.__doc__ is not None
    assert [item.__name__ for item in classes if item.__name__ not in errors.__doc__] == []


KEYS = [
    "sk-proj-abcdefghijklmnop1234",
    "sk-ant-api03-abcdefghijklmnop",
    "sk_live_abcdefghijklmnop1234",
    "gsk_abcdefghijklmnopqrstuvwx",
    "AIza" + "b" * 35,
    "ghp_" + "a1" * 18,
    "github_pat_" + "a" * 40,
    "AKIA" + "A" * 16,
    "xoxb-1234567890-abcdefghijklm",
    "hf_" + "a" * 34,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
    "-----BEGIN RSA PRIVATE KEY",
]


@pytest.mark.parametrize("key", KEYS)
def test_no_message_shows_a_key(key: str) -> None:
    assert looks_like_key(f"api_key: {key}")
    assert key not in str(CalibrateError(f"tiers.yaml: got {key!r}"))
    assert "[key]" in str(CalibrateError(f"tiers.yaml: got {key!r}"))


@pytest.mark.parametrize(
    "text",
    [
        "a risk-assessment-and-management tool",
        "the task-management-platform-of-choice",
        "ask-me-anything-about-your-orders",
        "OPENAI_API_KEY",
        "sk-short",
        "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    ],
)
def test_words_of_a_prompt_are_no_key(text: str) -> None:
    assert not looks_like_key(text)


def test_a_close_name_is_suggested_and_a_far_one_is_not() -> None:
    assert did_you_mean("fronteir", ["cheap", "frontier"]) == "; did you mean 'frontier'?"
    assert did_you_mean("x", ["cheap", "frontier"]) == ""
