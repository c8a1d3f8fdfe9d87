"""What is particular to one gateway's export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from exporters.sample import chat_model, policy_of, sample_policy, workflow

from calibrate.exporters import Exported, export_policy
from calibrate.exporters.prices import per_token
from calibrate.policy import (
    Escalation,
    PolicyModel,
    PolicyPrice,
    PriceStep,
    ServingLimits,
    WorkflowPolicy,
    load_routes,
)


def export_one(
    gateway: str, models: dict[str, PolicyModel], default: str | None = None, **route: Any
) -> Exported:
    """Export the workflow `one` of the first model."""
    entry = workflow(next(iter(models)), **route)
    return export_policy(gateway, policy_of(models, {"one": entry}, default))


def told(exported: Exported) -> list[str]:
    return [str(note) for note in exported.notes]


# LiteLLM


def litellm(*args: Any, **options: Any) -> Any:
    return yaml.safe_load(export_one("litellm", *args, **options).text)


def test_litellm_reads_a_key_from_its_environment_and_sends_no_other() -> None:
    (deployment,) = litellm({"m": chat_model()})["model_list"]
    assert deployment["litellm_params"]["api_key"] == "os.environ/OPENAI_API_KEY"
    (deployment,) = litellm({"m": chat_model(api_key_env=None)})["model_list"]
    assert deployment["litellm_params"]["api_key"] == "none"


@pytest.mark.parametrize(
    ("kind", "base_url", "api_base"),
    [
        ("openai", None, None),
        ("openai", "https://api.openai.com/v1/", None),
        ("openai", "http://h:1/v1/", "http://h:1/v1"),
        ("anthropic", None, None),
        ("anthropic", "http://h:1/v1", "http://h:1"),
        ("anthropic", "http://h:1/claude", "http://h:1/claude"),
    ],
)
def test_litellm_is_told_an_address_that_is_not_its_own(
    kind: str, base_url: str | None, api_base: str | None
) -> None:
    (deployment,) = litellm({"m": chat_model(kind=kind, base_url=base_url)})["model_list"]
    call = deployment["litellm_params"]
    assert (call["model"], call.get("api_base")) == (f"{kind}/small-1", api_base)


def test_litellm_parameters_cannot_stand_in_for_the_policys_own_words() -> None:
    parameters = {"model": "x", "api_key": "x", "max_tokens": 9, "top_p": 1, "api_base": "x"}
    models = {"m": chat_model(base_url="http://h/v1", parameters=parameters)}
    call = litellm(models)["model_list"][0]["litellm_params"]
    assert (call["model"], call["max_tokens"], call["top_p"]) == ("openai/small-1", 50, 1)
    assert (call["api_key"], call["api_base"]) == ("os.environ/OPENAI_API_KEY", "http://h/v1")


def test_litellm_has_a_group_for_long_inputs_and_one_for_refused_contents() -> None:
    models = {
        "m": chat_model(context_window=1000),
        "n": chat_model(context_window=500),
        "o": chat_model(context_window=None),
    }
    document = litellm(models, fallbacks=("n", "o"), over_context="o")
    groups = [(d["model_name"], d["model_info"]) for d in document["model_list"]]
    assert groups == [
        ("one", {"id": "one/1/m", "max_input_tokens": 950}),
        ("one", {"id": "one/2/n", "max_input_tokens": 450}),
        ("one", {"id": "one/3/o", "max_input_tokens": 950}),
        ("one::long", {"id": "one::long/1/o"}),
        ("one::refused", {"id": "one::refused/1/n", "max_input_tokens": 450}),
        ("one::refused", {"id": "one::refused/2/o", "max_input_tokens": 950}),
    ]
    settings = document["router_settings"]
    assert settings["context_window_fallbacks"] == [{"one": ["one::long"]}]
    assert settings["content_policy_fallbacks"] == [{"one": ["one::refused"]}]


def test_litellm_goes_on_along_the_chain_where_no_model_is_for_long_inputs() -> None:
    settings = litellm({"m": chat_model(), "n": chat_model()}, fallbacks=("n",))["router_settings"]
    assert settings["context_window_fallbacks"] == [{"one": ["one::refused"]}]
    settings = litellm({"m": chat_model()})["router_settings"]
    assert settings["context_window_fallbacks"] == settings["content_policy_fallbacks"] == []


def test_litellm_serves_unknown_names_as_the_default() -> None:
    models = {"m": chat_model(), "n": chat_model(context_window=9000)}
    document = litellm(models, "one", fallbacks=("n",), over_context="n")
    star = [d["model_info"]["id"] for d in document["model_list"] if d["model_name"] == "*"]
    assert star == ["*/1/m", "*/2/n"]
    settings = document["router_settings"]
    assert settings["context_window_fallbacks"] == [{"one": ["one::long"]}, {"*": ["one::long"]}]


@pytest.mark.parametrize(
    ("usd_per_mtok", "usd_per_token"), [(0.1, 1e-07), (0.4, 4e-07), (2.0, 2e-06), (0.0, 0.0)]
)
def test_a_price_per_token_has_no_noise(usd_per_mtok: float, usd_per_token: float) -> None:
    assert per_token(usd_per_mtok) == usd_per_token
    assert repr(per_token(usd_per_mtok)) == repr(usd_per_token)


# Envoy


def scripts(exported: Exported) -> dict[str, str]:
    """The script of each listener."""
    found = {}
    for listener in yaml.safe_load(exported.text)["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        lua = manager["http_filters"][0]["typed_config"]
        found[listener["name"]] = lua["default_source_code"]["inline_string"]
    return found


def test_envoys_scripts_hold_no_foreign_text_as_it_came() -> None:
    name = "m'\"\\]]\n--[["
    parameters = {"a'b": "]]--'", "max_tokens": 9, "stream": True}
    script = scripts(export_one("envoy", {"m": chat_model(name=name, parameters=parameters)}))
    assert r"\109" not in script["model/m"]
    line = next(x for x in script["model/m"].splitlines() if x.startswith("local fixed"))
    # JSON within a Lua string: quotes and backslashes are there by number alone.
    assert line == (
        r"local fixed = '\034model\034:\034m\039\092\034\092\092]]\092n--[[\034,"
        r"\034a\039b\034:\034]]--\039\034'"
    )
    assert r"['a\039b'] = true, ['max_tokens'] = true" in script["model/m"]


@pytest.mark.parametrize(
    ("base_url", "limit"),
    [("https://api.openai.com/v1", "max_completion_tokens"), ("http://h/v1", "max_tokens")],
)
def test_envoy_sends_the_output_limit_by_the_name_that_the_server_knows(
    base_url: str, limit: str
) -> None:
    script = scripts(export_one("envoy", {"m": chat_model(base_url=base_url)}))["model/m"]
    assert f"""'"{limit}":' .. string.format""" in script


def test_envoys_default_is_named_in_its_script() -> None:
    models = {"m": chat_model()}
    assert "local default = nil\n" in scripts(export_one("envoy", models))["calibrate"]
    script = scripts(export_one("envoy", models, "one"))["calibrate"]
    assert "local default = 'one'\n" in script


@pytest.mark.parametrize(
    ("timeout_s", "written"),
    [(2.0, "2s"), (0.25, "0.25s"), (1e-9, "0.001s"), (1e6, "1000000s"), (0.1 + 0.2, "0.3s")],
)
def test_envoy_reads_a_time_out_in_seconds(timeout_s: float, written: str) -> None:
    exported = export_one("envoy", {"m": chat_model()}, limits=ServingLimits(9, timeout_s))
    assert f"timeout: {json.dumps(written)}\n" in exported.text


def test_envoy_speaks_tls_where_the_address_does() -> None:
    def provider_of(base_url: str) -> dict[str, Any]:
        exported = export_one("envoy", {"m": chat_model(base_url=base_url)})
        clusters = yaml.safe_load(exported.text)["static_resources"]["clusters"]
        found: dict[str, Any] = clusters[-1]
        return found

    secure, plain = provider_of("https://host/v1"), provider_of("http://[::1]/v1")
    assert secure["transport_socket"]["typed_config"]["sni"] == "host"
    assert "transport_socket" not in plain
    address = plain["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert address == {"socket_address": {"address": "::1", "port_value": 80}}


# Envoy AI Gateway


def objects(*args: Any, **options: Any) -> dict[str, Any]:
    """The specifications by kind and name."""
    documents = yaml.safe_load_all(export_one("envoy-ai", *args, **options).text)
    return {f"{d['kind']}/{d['metadata']['name']}": d["spec"] for d in documents}


def test_envoy_ai_has_what_one_model_needs() -> None:
    found = objects({"m": chat_model(base_url="http://127.0.0.1:81/v1", api_key_env=None)})
    assert list(found) == [
        *("AIGatewayRoute/one", "BackendTrafficPolicy/one"),
        *("AIServiceBackend/m", "Backend/m"),
    ]
    assert found["Backend/m"] == {"endpoints": [{"ip": {"address": "127.0.0.1", "port": 81}}]}


def test_envoy_ai_takes_every_other_name_by_a_route_without_a_match() -> None:
    routes = {k: v for k, v in objects({"m": chat_model()}, "one").items() if "Route" in k}
    matches = [rule.get("matches") for route in routes.values() for rule in route["rules"]]
    name = {"type": "Exact", "name": "x-ai-eg-model", "value": "one"}
    assert matches == [[{"headers": [name]}], None]


@pytest.mark.parametrize(
    ("timeout_s", "written"),
    [
        (2.0, "2s"),
        (0.25, "250ms"),
        (1e-9, "1ms"),
        (123.456, "123s456ms"),
        (100_000.0, "1667m"),
        (1e9, "99999m"),
    ],
)
def test_envoy_ai_reads_a_time_out_of_five_digits(timeout_s: float, written: str) -> None:
    found = objects({"m": chat_model()}, limits=ServingLimits(9, timeout_s))
    assert found["AIGatewayRoute/one"]["rules"][0]["timeouts"] == {"request": written}


def test_envoy_ai_sets_no_more_fields_than_it_may() -> None:
    models = {"m": chat_model(parameters={f"p{n}": n for n in range(20)})}
    rule = objects(models)["AIGatewayRoute/one"]["rules"][0]
    fields = rule["backendRefs"][0]["bodyMutation"]["set"]
    assert [field["path"] for field in fields] == ["max_tokens", *(f"p{n}" for n in range(15))]
    notes = told(export_one("envoy-ai", models))
    assert "m: some of its parameters have no place here" in notes


# Portkey


def test_portkey_says_when_a_header_may_not_hold_the_config() -> None:
    models = {"m": chat_model(), "n": chat_model()}
    entry = workflow("m", fallbacks=("n",))
    large = policy_of(models, {f"w{n}": entry for n in range(40)})
    text = "the config may be too large for a header: send each client its own route"
    assert text in told(export_policy("portkey", large))
    assert text not in told(export_one("portkey", models))


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("10.0.0.5", True),
        ("vllm", True),
        ("vllm.corp", True),
        ("127.0.0.1", False),
        ("localhost", False),
        ("api.example.com", False),
        ("8.8.8.8", False),
    ],
)
def test_portkey_must_be_told_to_trust_a_private_address(host: str, private: bool) -> None:
    notes = told(export_one("portkey", {"m": chat_model(base_url=f"http://{host}:80/v1")}))
    hosts = f"localhost,127.0.0.1,{host}"
    text = f"start it with TRUSTED_CUSTOM_HOSTS={hosts}: it refuses private addresses"
    assert (text in notes) is private


# vLLM Semantic Router


def vllm_sr(entry: WorkflowPolicy) -> tuple[Any, list[str]]:
    models = {"m": chat_model(), "n": chat_model(), "o": chat_model()}
    exported = export_policy("vllm-sr", policy_of(models, {"one": entry}))
    (recipe,) = yaml.safe_load(exported.text)["recipes"]
    return recipe["routing"]["decisions"][-1], told(exported)


@pytest.mark.parametrize(
    ("below", "threshold"), [(-0.3, 0.9), (-1.5, 0.5), (0.0, 1.0), (-3.0, 0.0001), (-9.0, 0.0001)]
)
def test_vllm_sr_escalates_at_the_threshold_in_its_own_measure(
    below: float, threshold: float
) -> None:
    escalation = Escalation("answer_logprob", below, "o")
    decision, notes = vllm_sr(workflow("m", escalation=escalation, fallbacks=("n",)))
    assert decision["algorithm"]["confidence"]["threshold"] == threshold
    assert [ref["model"] for ref in decision["modelRefs"]] == ["m", "o"]
    text = "no fallback to n: whoever is named is also asked when a signal is low"
    assert f"one: {text}" in notes


def test_vllm_sr_makes_no_other_escalation() -> None:
    decision, notes = vllm_sr(workflow("m", escalation=Escalation("first_token_margin", 0.2, "o")))
    assert decision["algorithm"] == {"type": "static"}
    assert [ref["model"] for ref in decision["modelRefs"]] == ["o"]
    assert "one: no escalation from m on a low first_token_margin: o answers every request" in notes


# Kong


def test_kong_does_not_carry_a_name_that_reads_as_a_reference() -> None:
    for name in ('${{ env "DECK_SECRET" }}', "{vault://env/secret}"):
        models = {"m": chat_model(name=name), "n": chat_model()}
        exported = export_one("kong", models, fallbacks=("n",))
        assert "SECRET" not in exported.text.upper()
        text = "m has a name that would be read as a reference: n answers instead"
        assert f"one: {text}" in told(exported)


def test_kong_takes_no_price_of_nothing_and_tells_of_other_parameters() -> None:
    models = {
        "m": chat_model(
            parameters={"top_p": 0.5, "seed": 7},
            price=PolicyPrice(
                input_usd_per_mtok=0.5,
                output_usd_per_mtok=0.0,
                cached_input_usd_per_mtok=0.1,
            ),
        )
    }
    exported = export_one("kong", models)
    (route,) = yaml.safe_load(exported.text)["services"][0]["routes"]
    options = route["plugins"][0]["config"]["targets"][0]["model"]["options"]
    assert options == {
        "max_tokens": 50,
        "top_p": 0.5,
        "upstream_url": "https://api.openai.com/v1/chat/completions",
        "input_cost": 0.5,
        "cache_read_cost": 0.1,
    }
    assert "m: no place here for its parameters: seed" in told(exported)


# OpenRouter


def openrouter(*args: Any, **options: Any) -> tuple[Any, list[str]]:
    exported = export_one("openrouter", *args, **options)
    return json.loads(exported.text)["requests"]["one"], told(exported)


def test_openrouter_is_asked_for_three_models_at_most() -> None:
    models = {f"m{n}": chat_model(name=f"m-{n}") for n in range(5)}
    request, notes = openrouter(models, fallbacks=("m1", "m2", "m3", "m4"))
    assert request["models"] == ["openai/m-0", "openai/m-1", "openai/m-2"]
    assert "one: a request names at most 3 models: m3, m4 is left out" in notes


def test_openrouters_own_names_are_kept_and_its_prices_capped() -> None:
    own = chat_model(base_url="https://openrouter.ai/api/v1", name="a/b", parameters={})
    dear = chat_model(price=PolicyPrice(input_usd_per_mtok=0.05, output_usd_per_mtok=9.0))
    request, _ = openrouter({"m": own, "n": dear}, fallbacks=("n",))
    assert request == {
        "models": ["a/b", "openai/small-1"],
        "max_tokens": 50,
        "provider": {"max_price": {"prompt": 0.1, "completion": 9.0}, "require_parameters": True},
    }
    free = chat_model(price=None)
    request, _ = openrouter({"m": own, "n": free}, fallbacks=("n",))
    assert "provider" not in request


# agentgateway


def test_agentgateway_finds_no_variable_but_a_key() -> None:
    models = {"m$A": chat_model(name="$B", parameters={"x": ["$C", {"$D": "~"}]})}
    exported = export_one("agentgateway", models)
    assert exported.text.replace("$$", "").count("$") == 1
    document = yaml.safe_load(exported.text)
    (model,) = document["llm"]["models"]
    assert model["params"] == {
        "model": "$$B",
        "baseUrl": "https://api.openai.com/v1",
        "apiKey": "$OPENAI_API_KEY",
    }
    assert model["overrides"] == {"x": ["$$C", {"$$D": "~"}], "max_tokens": 50}


def test_agentgateway_lists_the_dearer_price_of_a_name() -> None:
    cheap, dear = (
        chat_model(),
        chat_model(price=PolicyPrice(input_usd_per_mtok=0.3, output_usd_per_mtok=0.9)),
    )
    for models in ({"a": cheap, "b": dear}, {"a": dear, "b": cheap}):
        exported = export_one("agentgateway", models, fallbacks=("b",))
        (catalogue,) = yaml.safe_load(exported.text)["config"]["modelCatalog"]
        rates = catalogue["inline"]["providers"]["openai"]["models"]["small-1"]["rates"]
        assert rates == {"input": "0.3", "output": "0.9"}


# json


def test_the_file_of_routes_is_read_back_as_it_was(tmp_path: Path) -> None:
    policy = replace(sample_policy(), default="triage")
    exported = export_policy("json", policy)
    assert (exported.notes, exported.left_out) == ((), ())
    (tmp_path / "routes.json").write_text(exported.text)
    routes = load_routes(tmp_path / "routes.json")
    assert routes.models == policy.models
    for name in (*policy.workflows, "unknown"):
        assert routes.route(name, or_default=True) == policy.route(name, or_default=True)


# All


@pytest.mark.parametrize("gateway", ["litellm", "kong", "vllm-sr", "agentgateway"])
def test_dearer_tokens_of_long_inputs_are_told(gateway: str) -> None:
    price = PolicyPrice(0.5, 2.0, steps=(PriceStep(1000, 1.0, 4.0),))
    models = {"m": chat_model(price=price)}
    text = "m: dearer tokens of long inputs are priced like others"
    assert text in told(export_one(gateway, models))
