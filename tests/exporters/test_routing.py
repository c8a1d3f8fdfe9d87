"""What a gateway can serve of a policy: chains, long inputs, escalations and what gets lost."""

from __future__ import annotations

from typing import Any

import pytest
from exporters.sample import chat_model, policy_of, workflow

from calibrate.errors import PolicyError
from calibrate.exporters.routing import BASE_URLS, GatewayRoute, Plan, input_limit, plan_routes
from calibrate.policy import Escalation, Override, PolicyModel, ServingLimits, WorkflowPolicy
from calibrate.providers import provider

MODELS = {
    "tiny": chat_model(context_window=1000),
    "small": chat_model(context_window=4000),
    "medium": chat_model(context_window=8000),
    "large": chat_model(context_window=16_000),
    "open": chat_model(context_window=None),
    "near": chat_model(method="nearest_example", context_window=256),
    "other": chat_model(kind="smoke", base_url=None),
}


def plan_of(entry: WorkflowPolicy, **options: Any) -> Plan:
    settings = {"kinds": frozenset({"openai"}), **options}
    return plan_routes(policy_of(MODELS, {"one": entry}), **settings)


def route_of(entry: WorkflowPolicy, **options: Any) -> GatewayRoute:
    (route,) = plan_of(entry, **options).routes
    return route


def aliases(targets: Any) -> list[str]:
    return [target.alias for target in targets]


def told(entry: WorkflowPolicy, **options: Any) -> list[str]:
    return [note.text for note in plan_of(entry, **options).notes]


def test_the_chain_is_the_model_and_its_fallbacks_in_order() -> None:
    entry = workflow("small", fallbacks=("large", "tiny"))
    assert aliases(route_of(entry).chain) == ["small", "large", "tiny"]
    assert told(entry) == []


def test_a_classifier_gives_way_to_the_first_fallback() -> None:
    entry = workflow("near", fallbacks=("medium", "large"), over_context="large")
    route = route_of(entry)
    assert aliases(route.chain) == ["medium", "large"]
    assert aliases(route.long_chain) == ["large"]
    assert told(entry) == [
        "near answers as an embeddings classifier, which no gateway can ask: medium answers instead"
    ]


def test_the_model_for_long_inputs_is_dropped_where_the_new_first_one_holds_as_much() -> None:
    assert route_of(workflow("near", fallbacks=("large",), over_context="medium")).long is None
    assert route_of(workflow("near", fallbacks=("open",), over_context="large")).long is None


def test_a_model_without_a_known_window_may_take_long_inputs() -> None:
    route = route_of(workflow("small", fallbacks=("tiny", "medium", "open"), over_context="open"))
    assert aliases(route.long_chain) == ["open", "medium"]


def test_the_model_for_long_inputs_comes_last_where_only_a_failure_leads_to_it() -> None:
    route = route_of(workflow("small", fallbacks=("tiny",), over_context="large"))
    assert aliases(route.with_long_last) == ["small", "tiny", "large"]
    route = route_of(workflow("small", fallbacks=("large", "tiny"), over_context="large"))
    assert aliases(route.with_long_last) == ["small", "large", "tiny"]


@pytest.mark.parametrize(
    ("window", "output", "limit"), [(4000, 50, 3950), (None, 50, None), (100, 300, 0)]
)
def test_an_input_has_the_window_less_the_answer(
    window: int | None, output: int, limit: int | None
) -> None:
    models = {"m": chat_model(context_window=window)}
    limits = ServingLimits(output)
    policy = policy_of(models, {"one": workflow("m", limits=limits)})
    plan = plan_routes(policy, kinds=frozenset({"openai"}))
    assert plan.routes[0].max_input_tokens == limit
    assert input_limit(plan.routes[0].chain[0], limits) == limit


def test_an_escalation_that_cannot_be_made_goes_to_the_stronger_model_at_once() -> None:
    entry = workflow(
        "small",
        escalation=Escalation("answer_logprob", -0.3, "large"),
        fallbacks=("medium", "large", "small"),
    )
    route = route_of(entry)
    assert (aliases(route.chain), route.escalation) == (["large", "medium"], None)
    assert told(entry) == [
        "no escalation from small on a low answer_logprob: large answers every request"
    ]


def test_an_escalation_that_can_be_made_is_kept() -> None:
    escalation = Escalation("answer_logprob", -0.3, "large")
    entry = workflow("small", escalation=escalation, fallbacks=("medium",))
    route = route_of(entry, signals=frozenset({"answer_logprob"}))
    assert aliases(route.chain) == ["small", "large", "medium"]
    assert route.escalation == escalation
    assert told(entry, signals=frozenset({"answer_logprob"})) == []


def test_an_escalation_to_a_model_that_cannot_be_asked_leaves_the_route_out() -> None:
    entry = workflow("small", escalation=Escalation("answer_logprob", -0.3, "other"))
    with pytest.raises(PolicyError, match="one: left out: other is of kind 'smoke'"):
        plan_of(entry)


def test_fallbacks_and_models_for_long_inputs_that_cannot_be_asked_are_told() -> None:
    entry = workflow("small", fallbacks=("other", "medium"), over_context="near")
    assert aliases(route_of(entry).chain) == ["small", "medium"]
    assert told(entry) == [
        "the fallback other is of kind 'smoke', which this export does not know: it is left out",
        "near, for long inputs, answers as an embeddings classifier, which no gateway can ask: "
        "it is left out",
    ]


def test_a_model_without_an_address_cannot_be_asked() -> None:
    entry = workflow("small", fallbacks=("other",))
    assert told(entry, kinds=frozenset({"openai", "smoke"})) == [
        "the fallback other has no base_url: it is left out"
    ]


def test_a_gateway_may_refuse_a_model() -> None:
    def refuse(model: PolicyModel, base_url: str) -> str | None:
        return f"is at {base_url}" if model.context_window == 4000 else None

    entry = workflow("small", fallbacks=("large",))
    assert aliases(route_of(entry, refuse=refuse).chain) == ["large"]
    assert told(entry, refuse=refuse) == [
        "small is at https://api.openai.com/v1: large answers instead"
    ]


def test_an_override_in_force_is_served_and_told() -> None:
    override = Override("large", "frontier", "ada", "an incident", "9999-12-31")
    entry = workflow("small", fallbacks=("medium",), override=override)
    assert aliases(route_of(entry).chain) == ["large", "medium"]
    assert told(entry) == ["large by override until 9999-12-31: export again after that"]


def test_an_override_that_has_ended_is_none() -> None:
    override = Override("large", "frontier", "ada", "an incident", "2000-01-01")
    entry = workflow("small", fallbacks=("medium",), override=override)
    assert aliases(route_of(entry).chain) == ["small", "medium"]
    assert told(entry) == []


def test_a_name_that_cannot_be_carried_is_left_out_with_the_rule() -> None:
    policy = policy_of(MODELS, {"": workflow("small"), "a/b": workflow("small")}, "a/b")
    plan = plan_routes(policy, kinds=frozenset({"openai"}))
    assert plan.left_out == ("",)
    assert [(note.workflow, note.text) for note in plan.notes] == [
        (
            "",
            "left out: the rule is: a name must be valid Unicode and have 1 to 200 characters "
            "once everything but letters, digits and `-._` is percent-encoded",
        ),
        ("a/b", "clients ask for it as a%2Fb"),
    ]
    assert plan.default == plan.routes[0]


def test_every_bad_address_is_told_at_once() -> None:
    models = {"a": chat_model(base_url="nowhere"), "b": chat_model(base_url="http://h/?q=%REQ(X)%")}
    with pytest.raises(PolicyError) as caught:
        plan_routes(policy_of(models, {"one": workflow("a")}), kinds=frozenset({"openai"}))
    assert caught.value.problems == (
        "models.a.base_url: not a plain http or https address",
        "models.b.base_url: not a plain http or https address",
    )


def test_a_note_is_one_printable_line() -> None:
    policy = policy_of(MODELS, {"a\nb: 1\x1b[2J": workflow("small")})
    plan = plan_routes(policy, kinds=frozenset({"openai"}))
    assert str(plan.notes[0]) == (
        "a\\u000ab: 1\\u001b[2J: clients ask for it as a%0Ab%3A%201%1B%5B2J"
    )


@pytest.mark.parametrize("kind", BASE_URLS)
def test_a_kinds_own_address_is_the_one_that_was_measured(kind: str) -> None:
    assert BASE_URLS[kind] == provider(kind).DEFAULT_BASE_URL
