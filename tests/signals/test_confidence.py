from __future__ import annotations

import pytest

from calibrate.config import SelfReported
from calibrate.errors import ConfigError
from calibrate.signals import patterns
from calibrate.signals.confidence import as_share, confidence_of


def stated(answer: str, **options: object) -> float | None:
    return confidence_of("p", SelfReported.model_validate(options)).stated(answer)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("0.85", 0.85),
        ("0,85", 0.85),
        (".5", 0.5),
        ("1", 1.0),
        ("85%", 0.85),
        ("85 percent", 0.85),
        ("8/10", 0.8),
        ("8 / 10", 0.8),
        ("0.123456789", 0.123457),
        ("85", None),
        ("-0.1", None),
        ("101%", None),
        ("1/0", None),
        ("high", None),
        ("0.9 or so", None),
        ("9" * 31, None),
    ],
)
def test_a_written_number_is_a_share_of_certainty(text: str, share: float | None) -> None:
    assert as_share(text) == share


def test_the_scale_may_end_elsewhere() -> None:
    assert (as_share("85", 100), as_share("4", 5), as_share("6", 5)) == (0.85, 0.8, None)


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("billing\nConfidence: 0.9", 0.9),
        ("**Confidence:** 80 %", 0.8),
        ("confidence level is 7/10.", 0.7),
        ("My confidence is 0.25, so\nConfidence = 0.75", 0.75),
        ("Confidence: 0.1234567890123456", 0.123457),
        ("Confidence: 0.9.", 0.9),
        ('{"label": "billing", "confidence": 0.9}', 0.9),
        ('{"label": "billing", "confidence": "90%"}', 0.9),
        ('{"confidence": 0.00001}', 1e-05),
        ('{"confidence": 1}', 1.0),
        ('{"confidence": true}', None),
        ('{"confidence": null}', None),
        ('{"confidence": [0.9]}', None),
        ('{"confidence": "high"}', None),
        ('{"result": {"confidence": 0.4}}', 0.4),
        ("billing", None),
        ("overconfidence: 0.9", None),
        ("Confidence: high", None),
        ("Confidence: 90", None),
        ("Confidence: 1.2.3", None),
        ("", None),
    ],
)
def test_the_last_stated_confidence_counts(answer: str, share: float | None) -> None:
    assert stated(answer) == share


def test_the_prompt_may_name_another_field() -> None:
    assert stated('{"meta": {"sure": 3}, "confidence": 0.9}', field="meta.sure", most=5) == 0.6
    assert stated("Zuversicht: 70 %", field="Zuversicht") == 0.7
    assert stated("How  sure: 0.7", field="how sure") == 0.7


def test_a_pattern_takes_the_place_of_the_field() -> None:
    answer = 'Sure: 0.1 {"confidence": 0.9} [4] [3]'
    assert stated(answer, pattern=r"\[(\d)\]", most=5) == 0.6
    assert stated('{"confidence": 0.9}', pattern=r"\[(\d)\]") is None
    assert stated("x", pattern=r"(\d)?x") is None


def test_a_text_or_a_value_without_its_confidence() -> None:
    found = confidence_of("p", SelfReported(field="a.sure"))
    assert found.without("billing\nSure: 0.9") == "billing\n"
    assert found.without("billing") == "billing"
    assert found.without_field({"a": {"sure": 1, "b": 2}, "c": 3}) == {"a": {"b": 2}, "c": 3}
    assert found.without_field({"a": [1]}) == {"a": [1]}
    assert found.without_field([1]) == [1]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "p.pattern: not a regular expression: missing ) at position 1"),
        (r"\d", "p.pattern: needs a group: put what is looked for in ( )"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_told(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        stated("", pattern=pattern)
    assert str(caught.value) == problem


def test_a_pattern_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "TIMEOUT_S", 0.05)
    with pytest.raises(ConfigError) as caught:
        stated("a" * 60 + "b", pattern=r"((?:a|aa|aaa)+)$")
    assert str(caught.value) == (
        "signals: the pattern '((?:a|aa|aaa)+)$' did not end within 0.05 s on an answer of 61 "
        "characters; simplify it"
    )
