"""When an answer goes on: the signal, the threshold, and the scale on which it stands."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from policy.sample import POLICY, changed, parsed

from calibrate.errors import PolicyError
from calibrate.policy import Escalation, Route, Scale, sealed

NAN = math.nan
SHARE = Scale("probability", 0.0, 1.0)
LOGARITHM = Scale("natural log-probability of a token", None, 0.0)


def route(scale: Scale | None, below: float = 0.62, **changes: Any) -> Route:
    escalation = Escalation("sure", below, "large", scale)
    entry = replace(POLICY.workflows["triage"], escalation=escalation)
    found = replace(POLICY, workflows={"triage": entry}).route("triage")
    return replace(found, **changes)


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        ({"sure": 0.61}, "low"),
        ({"sure": 0.62}, None),  # at the threshold it stays
        ({"sure": 1}, None),
        ({}, "missing"),
        ({"other": 0.9}, "missing"),
        ({"sure": NAN}, "missing"),
        ({"sure": None}, "missing"),
        ({"sure": "0.9"}, "missing"),
        ({"sure": True}, "missing"),
        ({"sure": [0.9]}, "missing"),
        ({"sure": 87}, "off_scale"),
        ({"sure": -0.3}, "off_scale"),
        ({"sure": math.inf}, "off_scale"),
        ({"sure": -math.inf}, "off_scale"),
        ({"sure": 1.0000001}, None),  # rounding does not put it off its scale
    ],
)
def test_what_is_low_unknown_or_on_another_scale_goes_on(
    signals: dict[str, Any], reason: str | None
) -> None:
    found = route(SHARE)
    assert found.escalation is not None
    assert found.escalation.reason(signals) == reason
    assert found.should_escalate(signals) is (reason is not None)


@pytest.mark.parametrize("value", [0.5, 0.62, 0.9])
def test_equal_confidences_all_stay_or_all_go_on(value: float) -> None:
    assert {route(SHARE).should_escalate({"sure": value}) for _ in range(9)} == {value < 0.62}


def test_a_scale_may_be_open_at_an_end() -> None:
    found = route(LOGARITHM, below=-0.5)
    assert not found.should_escalate({"sure": -0.1})
    assert found.should_escalate({"sure": -9.0})
    assert found.should_escalate({"sure": 0.87})  # a probability
    assert found.should_escalate({"sure": -math.inf})


def test_without_a_scale_only_the_threshold_counts() -> None:
    assert not route(None).should_escalate({"sure": 87})
    assert route(None).should_escalate({"sure": 0.61})
    assert route(None).should_escalate({"sure": NAN})


def test_where_another_model_answered_nothing_goes_on() -> None:
    assert not route(SHARE, over_context=True).should_escalate({})
    assert not route(SHARE, escalation=None).should_escalate({})


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (SHARE, "probability, 0 to 1"),
        (LOGARITHM, "natural log-probability of a token, 0 at most"),
        (Scale("tokens", low=1.0), "tokens, 1 at least"),
        (Scale("weighted features"), "weighted features"),
    ],
)
def test_a_scale_is_told_in_words(scale: Scale, words: str) -> None:
    assert str(scale) == words


ESCALATION = "escalation: {signal: sure, below: %s, to: large, scale: {unit: x, low: %s, high: %s}}"


def test_a_policy_says_the_scale() -> None:
    text = changed("escalation: null", ESCALATION % (0.6, 0, 1))
    entry = parsed(text).workflows["triage"]
    assert entry.escalation == Escalation("sure", 0.6, "large", Scale("x", 0.0, 1.0))


@pytest.mark.parametrize(
    ("below", "low", "high", "problem"),
    [
        (60, 0, 1, "below: 60 is not on the scale of 'sure': x, 0 to 1"),
        (-1, 0, "null", "below: -1 is not on the scale of 'sure': x, 0 at least"),
        (0.5, 1, 0, "scale: ends at 0 before it begins at 1"),
    ],
)
def test_a_threshold_that_is_not_on_its_scale_is_refused(
    below: float, low: float, high: object, problem: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        parsed(changed("escalation: null", ESCALATION % (below, low, high)))
    assert caught.value.problems == (f"p.yaml:32: workflows.triage.escalation.{problem}",)


def test_the_scale_is_under_the_seal_of_the_route_and_its_absence_is_as_before() -> None:
    entry = POLICY.workflows["triage"]
    digests = [
        sealed("triage", replace(entry, escalation=escalation), POLICY.models).digests
        for escalation in (
            Escalation("sure", 0.6, "large"),
            Escalation("sure", 0.6, "large", None),
            Escalation("sure", 0.6, "large", SHARE),
        )
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_single_text_is_no_list_of_messages() -> None:
    with pytest.raises(TypeError, match="a list of texts, one a message"):
        route(SHARE).input_signals("Where is my parcel?")
