"""From a workflow and the size of an input to a route."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy.sample import POLICY, changed, parsed

from calibrate.errors import PolicyError
from calibrate.policy import (
    Escalation,
    Override,
    Policy,
    PolicyModel,
    Route,
    ServingLimits,
    WorkflowPolicy,
)
from calibrate.policy.resolving import Resolver

OVERRIDE = Override("large", "frontier", "ana", "an incident", "2026-03-31")


def with_entry(**changes: Any) -> Policy:
    return replace(POLICY, workflows={"triage": replace(POLICY.workflows["triage"], **changes)})


def test_a_request_goes_to_the_workflows_model() -> None:
    route = POLICY.route("triage")
    assert (route.alias, route.name, route.tier, route.status) == (
        *("small", "small-1", "cheap", "certified"),
    )
    assert [model.name for model in route.fallbacks] == ["large-1"]
    assert (route.limits, route.over_context) == (ServingLimits(8, 10.0), False)
    assert route.override is None


@pytest.mark.parametrize(
    ("tokens", "alias", "fallbacks"),
    [
        (0, "small", ["large-1"]),
        (92, "small", ["large-1"]),  # 92 + 8 for the answer = 100, the window
        (93, "large", []),
        (992, "large", []),  # 992 + 8 = 1000
    ],
)
def test_an_input_that_is_too_large_goes_to_the_larger_model(
    tokens: int, alias: str, fallbacks: list[str]
) -> None:
    route = POLICY.route("triage", input_tokens=tokens)
    assert (route.alias, [model.name for model in route.fallbacks]) == (alias, fallbacks)
    assert route.over_context is (alias == "large")


def test_an_input_that_no_model_can_take_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        POLICY.route("triage", input_tokens=1993)
    assert caught.value.problems == ("triage: no model of the policy can take 1,993 input tokens",)


def test_without_a_larger_model_a_large_input_is_refused() -> None:
    policy = parsed(changed("over_context: large", "over_context: null"))
    with pytest.raises(PolicyError):
        policy.route("triage", input_tokens=93)


def test_a_model_without_a_window_takes_anything() -> None:
    policy = parsed(changed("    context_window: 100\n", ""))
    assert policy.route("triage", input_tokens=10**9).alias == "small"


def test_a_fallback_that_is_too_small_is_left_out() -> None:
    policy = parsed(changed("context_window: 1000", "context_window: 50"))
    assert policy.route("triage", input_tokens=80).fallbacks == ()


def test_an_unknown_workflow_is_named_with_the_known_ones() -> None:
    with pytest.raises(PolicyError) as caught:
        POLICY.route("tirage")
    assert caught.value.problems == (
        "the policy has no workflow 'tirage'; did you mean 'triage'? (known: triage)",
    )
    with pytest.raises(PolicyError, match="known: none"):
        Policy(1, "").route("triage")


def test_the_default_serves_an_unknown_workflow_where_the_caller_asks_for_that() -> None:
    policy = replace(POLICY, default="triage")
    route = policy.route("other", or_default=True, input_tokens=93)
    assert (route.workflow, route.alias) == ("triage", "large")
    assert policy.route("triage", or_default=True).workflow == "triage"
    with pytest.raises(PolicyError, match="the policy has no workflow 'other' "):
        policy.route("other")
    with pytest.raises(PolicyError, match="the policy has no workflow 'other' and no default"):
        POLICY.route("other", or_default=True)


def test_names_that_clients_make_up_are_not_remembered() -> None:
    resolver = Resolver(POLICY.models, POLICY.workflows, "triage")
    for number in range(50):
        assert resolver.route(f"made-up-{number}", None, True).workflow == "triage"
    assert list(resolver._steps) == ["triage"]


def pickled(policy: Policy) -> Policy:
    found: Policy = pickle.loads(pickle.dumps(policy))  # noqa: S301 - our own bytes
    return found


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_of_a_policy_routes_like_it(copied: Callable[[Policy], Policy]) -> None:
    assert POLICY.route("triage").alias == "small"
    found = copied(POLICY)
    assert found == POLICY
    assert found.route("triage", input_tokens=93).alias == "large"


def test_a_changed_copy_has_routes_of_its_own() -> None:
    assert POLICY.route("triage").alias == "small"
    assert with_entry(model="large", fallbacks=()).route("triage").alias == "large"


def test_threads_get_the_same_routes() -> None:
    policy = with_entry()
    start, found = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        found.extend(policy.route("triage", input_tokens=tokens) for tokens in (1, 93))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert {route.alias for route in found[::2]} == {"small"}
    assert {route.alias for route in found[1::2]} == {"large"}


def test_an_override_is_followed_up_to_its_last_day() -> None:
    policy = with_entry(override=OVERRIDE, escalation=Escalation("margin", 0.5, "large"))
    until = policy.in_force(date(2026, 3, 31)).route("triage")
    assert (until.alias, until.tier, until.status) == ("large", "frontier", "certified")
    assert (until.override, until.escalation, until.fallbacks) == (OVERRIDE, None, ())
    after = policy.in_force(date(2026, 4, 1)).route("triage")
    assert (after.alias, after.tier, after.override) == ("small", "cheap", None)
    assert after.escalation is not None
    assert policy.workflows["triage"].model == "small"


def test_a_policy_in_force_is_in_force_only_once() -> None:
    policy = with_entry(override=OVERRIDE)
    once = policy.in_force(date(2026, 3, 1))
    assert once.in_force(date(2026, 3, 1)) == once
    assert POLICY.in_force() == POLICY


def test_a_longer_input_than_an_override_holds_goes_to_a_larger_model() -> None:
    models = {**POLICY.models, "tiny": PolicyModel("local", "openai", "tiny-1", context_window=20)}
    override = replace(OVERRIDE, model="tiny")
    entry = replace(POLICY.workflows["triage"], override=override, over_context=None, fallbacks=())
    policy = replace(POLICY, models=models, workflows={"triage": entry})
    now = policy.in_force(date(2026, 3, 1))
    assert now.route("triage", input_tokens=12).alias == "tiny"
    assert now.route("triage", input_tokens=13).alias == "small"
    with pytest.raises(PolicyError):
        now.route("triage", input_tokens=93)


def test_an_override_whose_window_is_not_known_takes_everything() -> None:
    models = {**POLICY.models, "any": PolicyModel("local", "openai", "any-1")}
    policy = replace(with_entry(override=replace(OVERRIDE, model="any")), models=models)
    route = policy.in_force(date(2026, 3, 1)).route("triage", input_tokens=10**9)
    assert (route.alias, route.over_context) == ("any", False)


def test_an_override_without_a_larger_model_refuses_long_inputs() -> None:
    near = replace(POLICY.models["small"], method="nearest_example")
    policy = replace(
        with_entry(override=OVERRIDE, fallbacks=(), over_context=None),
        models={**POLICY.models, "small": replace(near, context_window=10**6)},
    )
    with pytest.raises(PolicyError):  # no gateway can ask the other one
        policy.in_force(date(2026, 3, 1)).route("triage", input_tokens=993)


def test_an_override_ends_by_the_clock_in_a_service_that_goes_on() -> None:
    midnight = 1775001600.0  # 2026-04-01T00:00:00Z
    clock = [midnight - 0.001, midnight - 0.001, midnight, midnight]
    policy = with_entry(override=OVERRIDE)
    resolver = Resolver(policy.models, policy.workflows, None, lambda: clock.pop(0))
    assert resolver.route("triage", None, False).alias == "large"
    assert resolver.route("triage", None, False).alias == "large"
    assert resolver.route("triage", None, False).alias == "small"
    assert clock == []
    assert resolver.route("triage", None, False).alias == "small"


def slow_route(policy: Policy, tokens: int | None) -> Route | None:
    """The rule as the documentation words it, without any table."""
    entry: WorkflowPolicy = policy.workflows["triage"]

    def fits(alias: str) -> bool:
        window = policy.models[alias].context_window
        return tokens is None or window is None or tokens + entry.limits.max_output_tokens <= window

    takers = [alias for alias in (entry.model, entry.over_context) if alias and fits(alias)]
    if not takers:
        return None
    alias = takers[0]
    return Route(
        workflow="triage",
        status=entry.status,
        tier=entry.tier,
        alias=alias,
        model=policy.models[alias],
        limits=entry.limits,
        fallbacks=tuple(
            policy.models[other] for other in entry.fallbacks if other != alias and fits(other)
        ),
        escalation=entry.escalation,
        over_context=alias != entry.model,
    )


@settings(max_examples=150, deadline=None)
@given(
    windows=st.lists(st.none() | st.integers(1, 40), min_size=4, max_size=4),
    limit=st.integers(1, 20),
    fallbacks=st.permutations([1, 2, 3]).map(lambda order: order[:2]),
    over_context=st.none() | st.integers(1, 3),
    tokens=st.none() | st.integers(0, 50),
)
def test_the_table_says_what_the_rule_says(
    windows: list[int | None],
    limit: int,
    fallbacks: list[int],
    over_context: int | None,
    tokens: int | None,
) -> None:
    models = {
        f"m{i}": PolicyModel("e", "openai", f"n{i}", context_window=w)
        for i, w in enumerate(windows)
    }
    entry = replace(
        POLICY.workflows["triage"],
        model="m0",
        fallbacks=tuple(f"m{i}" for i in fallbacks),
        over_context=None if over_context is None else f"m{over_context}",
        limits=ServingLimits(limit),
    )
    policy = Policy(1, "x", models=models, workflows={"triage": entry})
    wanted = slow_route(policy, tokens)
    if wanted is None:
        with pytest.raises(PolicyError):
            policy.route("triage", input_tokens=tokens)
    else:
        assert policy.route("triage", input_tokens=tokens) == wanted
