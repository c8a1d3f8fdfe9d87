"""Is an entry still what a run wrote?"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from policy.sample import POLICY

from calibrate.policy import (
    Attempt,
    Escalation,
    FallbackEvidence,
    Override,
    PolicyModel,
    PolicyPrice,
    Rejected,
    RoutedWorkflow,
    ServingLimits,
    WorkflowPolicy,
    edits,
    sealed,
)

ENTRY = sealed(
    "triage",
    replace(
        POLICY.workflows["triage"],
        attempts=(Attempt("small", 1, "certified", "claim", "evidence"),),
    ),
    POLICY.models,
)
LARGE = FallbackEvidence(
    "large",
    ("small",),
    "missed",
    *(120, 3.1, "measured"),
    estimate=0.71,
    lower_bound=0.62,
    misses=("quality",),
)
UNMEASURED = FallbackEvidence("large", ("small",), "not_measured", 0, 3.1, "estimated")
ROUTE = "the route was edited"
MODEL = "a model that the route names is not as it was when the route was decided"
EVIDENCE = "the evidence or its inputs were edited"
ATTEMPTS = "the attempts were edited"


def texts_of(
    entry: RoutedWorkflow, models: dict[str, PolicyModel] = POLICY.models, name: str = "triage"
) -> list[str]:
    return [
        ".".join(map(str, place)) + (": " if place else "") + text
        for place, text in edits(name, entry, models)
    ]


def test_an_entry_is_as_it_was_sealed() -> None:
    assert texts_of(ENTRY) == []
    assert sealed("triage", ENTRY, POLICY.models) == ENTRY


def sha256(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_the_digests_of_a_policy_never_change() -> None:
    assert ENTRY.digests is not None
    assert ENTRY.digests.route == sha256(
        '{"escalation":null,"fallbacks":["large"],"limits":{"max_output_tokens":8,"timeout_s":10},'
        '"model":"small","over_context":"large","override":null,"status":"certified",'
        '"tier":"cheap","workflow":"triage"}'
    )
    assert ENTRY.digests.models == sha256(
        '{"large":{"context_window":1000,"endpoint":"openai","kind":"openai","method":"chat",'
        '"name":"large-1"},"small":{"api_key_env":"LOCAL_KEY",'
        '"base_url":"http://127.0.0.1:9/v1","context_window":100,"endpoint":"local",'
        '"kind":"openai","method":"chat","name":"small-1",'
        '"origin":{"note":"made at home","verified":false},"parameters":{"temperature":0},'
        '"price":{"input_usd_per_mtok":0.1}}}'
    )
    assert ENTRY.digests.attempts == sha256(
        '[{"claim":"claim","evidence":"evidence","model":"small","number":1,"verdict":"certified"}]'
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"status": "uncertified"}, ROUTE),
        ({"tier": "frontier"}, ROUTE),
        ({"fallbacks": ()}, ROUTE),
        ({"over_context": None}, ROUTE),
        ({"escalation": Escalation("margin", 0.5, "large")}, ROUTE),
        ({"limits": ServingLimits(9, 10.0)}, ROUTE),
        ({"limits": ServingLimits(8)}, ROUTE),
        ({"override": Override("large", "frontier", "a", "b", "2026-01-31")}, ROUTE),
        ({"attempts": ()}, ATTEMPTS),
        ({"attempts": (replace(ENTRY.attempts[0], number=2),)}, ATTEMPTS),
        ({"inputs": replace(ENTRY.inputs, prompt="sha256:1")}, EVIDENCE),
        ({"digests": None}, "it has no digests: an older calibrate or a person wrote it"),
    ],
)
def test_what_was_edited_is_named(changes: dict[str, Any], text: str) -> None:
    assert texts_of(replace(ENTRY, **changes)) == [text]


def test_an_entry_under_another_name_was_edited() -> None:
    assert texts_of(ENTRY, name="other") == [ROUTE]


def test_another_model_in_the_route_is_two_edits() -> None:
    assert texts_of(replace(ENTRY, model="large", fallbacks=())) == [ROUTE, MODEL]


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "http://127.0.0.1:8/v1"},
        {"name": "small-2"},
        {"price": PolicyPrice(input_usd_per_mtok=0.2)},
        {"parameters": {"temperature": 1}},
        {"api_key_env": None},
    ],
)
def test_a_model_that_was_edited_is_told_of_each_route_that_names_it(
    changes: dict[str, Any],
) -> None:
    models = {**POLICY.models, "small": replace(POLICY.models["small"], **changes)}
    assert texts_of(ENTRY, models) == [MODEL]
    other = {**POLICY.models, "unused": POLICY.models["small"]}
    assert texts_of(ENTRY, other) == []


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"signature": "another"}, []),
        ({"lower_bound": 0.93}, []),
        ({"estimate": 0.98}, ["evidence.estimate: the evidence implies 0.972028, not 0.98"]),
        ({"passed": 140}, ["evidence.estimate: the evidence implies 0.979021, not 0.972028"]),
        ({"saving": 0.97}, ["evidence.saving: the evidence implies 0.96129, not 0.97"]),
        ({"floor": 0.8}, ["evidence.floor: the evidence implies 0.9, not 0.8"]),
        ({"lower_bound": 0.98}, ["evidence.lower_bound: 0.98 is above the estimate of 0.972028"]),
        (
            {"cases": 100},
            ["evidence.cases_used: 143 of 100 cases cannot be used"],
        ),
        (
            {"passed": 150, "estimate": 1.048951},
            ["evidence.passed: 150 of 143 cases cannot have passed"],
        ),
        (
            {"alpha_spent": 0.06},
            ["evidence.alpha_spent: is no share of the error at confidence 0.95"],
        ),
        (
            {"passed": 100, "estimate": 0.699301, "lower_bound": None},
            ["evidence.estimate: is below the floor, and yet the status is certified"],
        ),
        (
            {"rejected": (Rejected("tiny", "failed", "quality", 40, 0.9, 0.95, 0.84),)},
            [
                "evidence.rejected.0.lower_bound: 0.95 is above the estimate of 0.9",
                "evidence.rejected.0.upper_bound: 0.84 is below the estimate of 0.9",
            ],
        ),
        ({"when_down": (LARGE,)}, []),
        ({"when_down": (UNMEASURED,)}, []),
        (
            {"when_down": (LARGE, replace(LARGE, lower_bound=0.9))},
            ["evidence.when_down.1.lower_bound: 0.9 is above the estimate of 0.71"],
        ),
        (
            {"when_down": (replace(LARGE, model="xl", down=("small", "medium")),)},
            [
                "evidence.when_down.0.model: 'xl' is no model of the route",
                "evidence.when_down.0.down: 'medium' is no model of the route",
            ],
        ),
        (
            {"when_down": (replace(LARGE, misses=()), replace(LARGE, meets_bar="certified"))},
            [
                "evidence.when_down.0.misses: does not go with 'missed'",
                "evidence.when_down.1.misses: does not go with 'certified'",
            ],
        ),
        (
            {"when_down": (replace(UNMEASURED, cases=3), replace(LARGE, cases=0))},
            [
                "evidence.when_down.0.cases: 3 do not go with 'not_measured'",
                "evidence.when_down.1.cases: 0 do not go with 'missed'",
            ],
        ),
    ],
)
def test_figures_are_computed_again(changes: dict[str, Any], texts: list[str]) -> None:
    entry = replace(ENTRY, evidence=replace(ENTRY.evidence, **changes))
    assert texts_of(entry) == [EVIDENCE, *texts]
    again = sealed("triage", entry, POLICY.models)  # by someone who computed the digests, too
    assert texts_of(again) == texts


@pytest.mark.parametrize(
    "changes",
    [
        {"estimate": None, "lower_bound": None, "cases_used": 0, "passed": 0},  # never asked
        {"test": "betting", "passed": 0},  # mean scores: few cases pass as a whole
        {"saving": None, "baseline_cost_usd_per_1k_requests": 0.0},
        {"bar": {"mean_score": 0.9}},
        {"bar": {"pass_rate": 0.95, "tolerance": 0.05, "confidence": 0.95}},
        {"bar": {}},
    ],
)
def test_what_does_not_follow_from_other_figures_is_left_alone(changes: dict[str, Any]) -> None:
    entry = replace(ENTRY, evidence=replace(ENTRY.evidence, **changes))
    assert texts_of(sealed("triage", entry, POLICY.models)) == []


def test_routes_without_evidence_are_checked_for_what_they_have() -> None:
    entry = RoutedWorkflow(
        status=ENTRY.status,
        tier=ENTRY.tier,
        model=ENTRY.model,
        fallbacks=ENTRY.fallbacks,
        escalation=None,
        over_context=ENTRY.over_context,
        limits=ENTRY.limits,
        digests=ENTRY.digests,
    )
    assert texts_of(entry) == []
    assert texts_of(replace(entry, tier="dear")) == [ROUTE]


def test_only_a_whole_entry_is_sealed() -> None:
    assert isinstance(ENTRY, WorkflowPolicy)
