"""Deployed configurations against the policy, and gateways that answer as they should or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from exporters.sample import chat_model, policy_of, sample_policy, workflow
from loopback import Loopback, Received, Response, chat, dropped, error, refused_port

from calibrate.errors import CalibrateError, ConfigError, ProviderError, UsageError
from calibrate.exporters import EXPORTERS, export_policy
from calibrate.policy import Policy, ServingLimits
from calibrate.verification import verify_file, verify_running

POLICY = sample_policy()


def told(gateway: str, text: str, folder: Path, policy: Policy = POLICY) -> list[str]:
    """The differences of a deployed text, in words."""
    path = folder / "deployed"
    path.write_text(text, encoding="utf-8")
    return [str(one) for one in verify_file(gateway, policy, path)]


def edited(gateway: str, change: Callable[[Any], None]) -> str:
    """An export after a change to its values, laid out otherwise."""
    documents = list(yaml.safe_load_all(export_policy(gateway, POLICY).text))
    change(documents[0] if len(documents) == 1 else documents)
    return yaml.safe_dump_all(documents, sort_keys=True)


@pytest.mark.parametrize("gateway", EXPORTERS)
def test_an_export_is_what_the_policy_says(gateway: str, tmp_path: Path) -> None:
    assert told(gateway, export_policy(gateway, POLICY).text, tmp_path) == []


@pytest.mark.parametrize("gateway", EXPORTERS)
def test_another_layout_and_other_comments_are_no_difference(gateway: str, tmp_path: Path) -> None:
    assert told(gateway, "# ours\n" + edited(gateway, lambda value: None), tmp_path) == []


@pytest.mark.parametrize("gateway", EXPORTERS)
def test_another_output_limit_of_one_route_is_named_by_its_workflow(
    gateway: str, tmp_path: Path
) -> None:
    entry = POLICY.workflows["support-simple"]
    changed = replace(entry, limits=replace(entry.limits, max_output_tokens=77))
    policy = replace(POLICY, workflows={**POLICY.workflows, "support-simple": changed})
    found = told(gateway, export_policy(gateway, POLICY).text, tmp_path, policy)
    assert any("77" in one for one in found) or gateway == "envoy"
    if gateway == "envoy":  # the limits stand in its script
        assert any("inline_string: differs from its line " in one for one in found)
    else:
        assert {one.split(": ")[0] for one in found} == {"support-simple"}


@pytest.mark.parametrize("gateway", EXPORTERS)
def test_a_policy_with_another_model_is_noticed(gateway: str, tmp_path: Path) -> None:
    moved = replace(POLICY.models["large"], name="large-2")
    policy = replace(POLICY, models={**POLICY.models, "large": moved})
    found = told(gateway, export_policy(gateway, POLICY).text, tmp_path, policy)
    # Envoy and the object of Kubernetes write the name into scripts and rules.
    assert any("large-" in one or "inline_string: differs from its line" in one for one in found)


def first_call(document: Any) -> dict[str, Any]:
    ids = {entry["model_info"]["id"]: entry for entry in document["model_list"]}
    found: dict[str, Any] = ids["support-simple/1/small"]
    return found


LITELLM: list[tuple[Callable[[Any], Any], list[str]]] = [
    (
        lambda d: first_call(d)["litellm_params"].update(max_tokens="50"),
        [
            "support-simple: model_list[support-simple/1/small].litellm_params.max_tokens: "
            'is "50"; due is 50'
        ],
    ),
    (
        lambda d: first_call(d)["litellm_params"].update(order=True),
        [
            "support-simple: model_list[support-simple/1/small].litellm_params.order: "
            "is true; due is 1"
        ],
    ),
    (
        lambda d: first_call(d)["litellm_params"].pop("timeout"),
        [
            "support-simple: model_list[support-simple/1/small].litellm_params.timeout: "
            "missing; due is 2.0"
        ],
    ),
    (
        lambda d: first_call(d)["litellm_params"].update(temperature=1, top_p=0.5),
        [
            "support-simple: model_list[support-simple/1/small].litellm_params.temperature: "
            "is 1; due is 0",
            "support-simple: model_list[support-simple/1/small].litellm_params.top_p: "
            "not of the policy: 0.5",
        ],
    ),
    (
        lambda d: first_call(d)["litellm_params"].update(api_key="hunter2"),
        [
            "support-simple: model_list[support-simple/1/small].litellm_params.api_key: "
            "is a value that is not shown here; due is a value that is not shown here"
        ],
    ),
    (
        lambda d: d["model_list"].remove(first_call(d)),
        ["support-simple: model_list[support-simple/1/small]: missing"],
    ),
    (
        lambda d: d["model_list"].append({"model_name": "triage", "litellm_params": {}}),
        ["triage: model_list[triage]: not of the policy"],
    ),
    (
        # Names that are not its own no longer tell an entry: they are compared one by one.
        lambda d: d["model_list"].append(first_call(d)),
        ["model_list[18]: not of the policy"],
    ),
    (
        lambda d: d["model_list"].append(
            {"model_name": "triage", "litellm_params": {}, "model_info": {"id": "mine"}}
        ),
        ["model_list[mine]: not of the policy"],
    ),
    (
        lambda d: d["model_list"].append({"model_name": "*", "model_info": {"id": "mine"}}),
        ["model_list[mine]: not of the policy"],
    ),
    (
        lambda d: d["router_settings"].update(fallbacks=[{"triage": ["x"]}], num_retries=3),
        [
            "router_settings.num_retries: is 3; due is 1",
            "router_settings.fallbacks: not of the policy",
        ],
    ),
    (
        lambda d: d["router_settings"]["content_policy_fallbacks"][0].update(
            {"draft%2Freply": ["x", "y"]}
        ),
        [
            "draft/reply: router_settings.content_policy_fallbacks[draft%2Freply].draft%2Freply: "
            'is ["x", "y"]; due is ["draft%2Freply::refused"]'
        ],
    ),
    (lambda d: d.pop("router_settings"), ["router_settings: missing"]),
    (
        lambda d: d.update(router_settings="none"),
        ['router_settings: is "none"; due is an object'],
    ),
]


@pytest.mark.parametrize(("change", "differences"), LITELLM)
def test_each_difference_is_named_with_its_place(
    change: Callable[[Any], None], differences: list[str], tmp_path: Path
) -> None:
    assert told("litellm", edited("litellm", change), tmp_path) == differences


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["general_settings"].update(master_key="sk-mine", database_url="x"),
        lambda d: d["litellm_settings"].update(callbacks=["mine.logger"]),
        lambda d: d.update(environment_variables={"A": "b"}),
        lambda d: d["model_list"].append({"model_name": "mine", "model_info": {"id": "mine"}}),
        lambda d: d["model_list"].reverse(),
    ],
)
def test_what_is_its_owners_own_business_is_no_difference(
    change: Callable[[Any], None], tmp_path: Path
) -> None:
    assert told("litellm", edited("litellm", change), tmp_path) == []


def test_the_order_of_a_chain_is_part_of_the_policy(tmp_path: Path) -> None:
    def reverse(document: Any) -> None:
        next(r for r in document["targets"] if r["name"] == "support-simple")["targets"].reverse()

    assert told("portkey", edited("portkey", reverse), tmp_path) == [
        "support-simple: targets[support-simple].targets: in the order large, medium, small; "
        "the policy has small, medium, large"
    ]


def test_a_key_in_its_place_is_no_difference_where_clients_put_it_there(tmp_path: Path) -> None:
    text = export_policy("portkey", POLICY).text.replace("$OPENAI_API_KEY", "hunter2")
    assert told("portkey", text, tmp_path) == []
    assert told("portkey", text.replace('"hunter2"', '""'), tmp_path) != []


def test_a_key_in_a_list_is_not_shown(tmp_path: Path) -> None:
    key = "sk-" + "a" * 30
    text = edited("litellm", lambda d: d["router_settings"].update(retry_after=[key]))
    (found,) = told("litellm", text, tmp_path)
    assert found == "router_settings.retry_after: is a value that is not shown here; due is 0"


def test_a_price_for_tokens_is_no_secret(tmp_path: Path) -> None:
    def dearer(document: Any) -> None:
        calls = [deployment["litellm_params"] for deployment in document["model_list"]]
        next(call for call in calls if "input_cost_per_token" in call)["input_cost_per_token"] = 0.5

    text = edited("litellm", dearer)
    rows = told("litellm", text, tmp_path)
    assert [row.partition("input_cost_per_token: ")[2] for row in rows] == [
        "is 0.5; due is 2.5e-06"
    ]


def test_long_and_unprintable_values_are_shown_short(tmp_path: Path) -> None:
    text = edited(
        "litellm", lambda d: d["router_settings"].update(retry_after="\x1b[2J" + "x" * 99)
    )
    (found,) = told("litellm", text, tmp_path)
    assert "\x1b" not in found
    assert len(found) < 150


def test_a_damaged_script_is_named_by_its_line(tmp_path: Path) -> None:
    text = export_policy("envoy", POLICY).text
    line = next(n for n, one in enumerate(text.splitlines(), 1) if "max_output_tokens = 50" in one)
    found = told(
        "envoy", text.replace("max_output_tokens = 50", "max_output_tokens = 5", 1), tmp_path
    )
    start = next(n for n, one in enumerate(text.splitlines(), 1) if "inline_string: |" in one)
    assert [one.partition(": ")[2] for one in found] == [f"differs from its line {line - start} on"]


def test_an_object_of_kubernetes_is_named_and_its_line_told(tmp_path: Path) -> None:
    path = tmp_path / "deployed"
    text = export_policy("envoy-ai", POLICY).text
    before, start, after = text.partition("  name: support-simple\n")
    path.write_text(before + start + after.replace("small-1", "other-1", 1))
    (found,) = verify_file("envoy-ai", POLICY, path)
    assert found.workflow == "support-simple"
    assert found.place.startswith("[AIGatewayRoute/support-simple].spec.rules")
    assert found.text == 'is "other-1"; due is "small-1"'
    assert found.line is not None
    assert "other-1" in path.read_text().splitlines()[found.line - 1]


def test_a_missing_object_of_kubernetes_has_no_line(tmp_path: Path) -> None:
    path = tmp_path / "deployed"
    path.write_text(edited("envoy-ai", lambda documents: documents.pop(0)))
    (found,) = verify_file("envoy-ai", POLICY, path)
    assert (found.workflow, found.kind, found.line) == ("draft/reply", "missing", None)
    path.write_text("kind: One\n")  # a single document where many are due
    assert {one.line for one in verify_file("envoy-ai", POLICY, path)} == {None}


def test_a_line_is_that_of_the_file(tmp_path: Path) -> None:
    text = export_policy("litellm", POLICY).text
    path = tmp_path / "deployed"
    path.write_text(text.replace("num_retries: 1", "num_retries: 2"))
    (found,) = verify_file("litellm", POLICY, path)
    assert found.line is not None
    assert "num_retries: 2" in path.read_text().splitlines()[found.line - 1]


def test_kept_status_and_labels_of_a_cluster_are_no_difference(tmp_path: Path) -> None:
    def kept(documents: list[Any]) -> None:
        documents[0]["status"] = {"conditions": []}
        documents[0]["metadata"]["uid"] = "x"

    assert told("envoy-ai", edited("envoy-ai", kept), tmp_path) == []


def test_a_workflow_of_the_flat_file_is_named(tmp_path: Path) -> None:
    document = json.loads(export_policy("json", POLICY).text)
    document["workflows"]["draft/reply"]["fallbacks"] = []
    assert told("json", json.dumps(document), tmp_path) == [
        'draft/reply: workflows.draft/reply.fallbacks: is []; due is ["large"]'
    ]


@pytest.mark.parametrize("text", ["", "- 1\n", "just words\n", "{", "a: 1\na: 2\n", "a: &x [*x]\n"])
def test_a_file_that_is_no_configuration_is_no_answer(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="deployed"):
        told("litellm", text, tmp_path)


def test_a_file_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        verify_file("litellm", POLICY, tmp_path / "gone")


# --- a running gateway ---

SMALL = policy_of(
    {
        "small": chat_model(),
        "large": chat_model(name="large-1", context_window=9000),
    },
    {
        "one": workflow("small", fallbacks=("large",), limits=ServingLimits(50, 2.0)),
        "two/b": workflow("large"),
    },
)
NAMES = {"one": "small-1", "two%2Fb": "large-1"}


def asked(
    gateway: str, script: Callable[[Received], Response], **options: Any
) -> tuple[list[str], list[Received]]:
    with Loopback(script) as server:
        found = verify_running(gateway, SMALL, server.base_url, **options)
    return [str(one) for one in found], server.received


def by_name(received: Received) -> Response:
    return chat("ok", model=NAMES[received.model])


def test_a_gateway_that_answers_by_the_right_models_is_asked_once_a_route() -> None:
    found, received = asked("envoy", by_name)
    assert found == []
    assert [(one.path, one.model, one.body["max_tokens"]) for one in received] == [
        ("/v1/chat/completions", "one", 1),
        ("/v1/chat/completions", "two%2Fb", 1),
    ]
    assert "authorization" not in received[0].headers


def test_the_key_of_a_variable_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "secret-of-mine")
    _, received = asked("envoy", by_name, key_env="GATEWAY_KEY")
    assert received[0].headers["authorization"] == "Bearer secret-of-mine"


def test_a_build_of_the_model_is_the_model() -> None:
    found, _ = asked("envoy", lambda r: chat("ok", model=f"{NAMES[r.model]}-2025-08-07"))
    assert found == []


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (chat("ok", model="large-1"), 'one: answered by "large-1"; due is "small-1"'),
        (chat("ok", model="small-1-turbo"), 'one: answered by "small-1-turbo"; due is "small-1"'),
        (error(404, "no such model"), 'one: HTTP 404: "no such model"; due is small-1'),
        (Response(500, b"<html>"), "one: HTTP 500: no message; due is small-1"),
        (Response(502, b'{"error": "down"}'), 'one: HTTP 502: "down"; due is small-1'),
        (Response(200, b"[]"), "one: the answer names no model; due is small-1"),
        (Response(200, b"x" * 3_000_000), "one: the answer names no model; due is small-1"),
        (Response(302, b"", {"location": "/v1/x"}), "one: HTTP 302: no message; due is small-1"),
    ],
)
def test_a_wrong_answer_is_named(response: Response, text: str) -> None:
    found, _ = asked("envoy", lambda r: response if r.model == "one" else by_name(r))
    assert found == [text]


def test_a_gateway_that_does_not_answer_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibrate.verification.running._PATIENCE_S", 0.2)
    late = chat("ok").after(2)
    found, _ = asked("envoy", lambda r: late if r.model == "one" else by_name(r))
    assert found == ["one: no answer within 0.2 s; due is small-1"]


def test_a_refused_key_is_no_answer_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "secret-of-mine")
    with pytest.raises(ProviderError) as caught:
        asked("envoy", lambda r: error(401, "bad key secret-of-mine"), key_env="GATEWAY_KEY")
    assert str(caught.value) == (
        'the gateway refuses the key (HTTP 401): "bad key [key]"; name the variable that holds it '
        "by --key-env"
    )


def test_a_gateway_that_is_not_there_is_no_answer() -> None:
    url = f"http://127.0.0.1:{refused_port()}"
    with pytest.raises(ProviderError, match=f"^{url}: cannot be asked: "):
        verify_running("envoy", SMALL, url)
    with pytest.raises(ProviderError, match="cannot be asked"):
        asked("envoy", lambda r: dropped())


@pytest.mark.parametrize(
    "url", ["localhost:4000", "ftp://a", "http://", "http://a:b@c", "http://a:x", "http://a?key=b"]
)
def test_an_address_that_is_none_is_refused_unquoted(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        verify_running("envoy", SMALL, url)
    assert str(caught.value).startswith("--url: expected a plain http(s) address")


def test_only_some_gateways_can_be_asked() -> None:
    with pytest.raises(UsageError, match="kong: only envoy, litellm, portkey can be asked"):
        verify_running("kong", SMALL, "http://127.0.0.1:9")


def test_portkey_is_sent_the_config_with_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-mine")
    text = export_policy("portkey", SMALL).text
    found, received = asked("portkey", by_name, config=text)
    assert found == []
    sent = json.loads(received[0].headers["x-portkey-config"])
    assert sent["targets"][0]["targets"][0]["api_key"] == "secret-of-mine"
    assert "_notes" not in sent
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(CalibrateError, match="OPENAI_API_KEY is not set"):
        asked("portkey", by_name, config=text)
    with pytest.raises(UsageError, match="portkey keeps no routes"):
        asked("portkey", by_name)


def litellm(
    change: Callable[[list[Any]], None], ids: dict[str, str] | None = None, info: int = 200
):
    """Answer as LiteLLM does: with the deployment in a header, and all of them when asked."""
    rows = yaml.safe_load(export_policy("litellm", SMALL).text)["model_list"]
    for row in rows:
        del row["litellm_params"]["api_key"]
        row["litellm_params"]["use_in_pass_through"] = False
        row["model_info"]["db_model"] = False
    change(rows)
    first = {"one": "one/1/small", "two%2Fb": "two%2Fb/1/large", **(ids or {})}

    def script(received: Received) -> Response:
        if received.path == "/v1/model/info":
            return Response(info, json.dumps({"data": rows}).encode())
        header = {"x-litellm-model-id": first[received.model]}
        answer = chat("ok", model=received.model)
        return replace(answer, headers={**answer.headers, **header})

    return script


def test_litellm_tells_what_it_holds_and_who_answered() -> None:
    found, received = asked("litellm", litellm(lambda rows: None))
    assert found == []
    assert [one.path for one in received] == ["/v1/model/info", *["/v1/chat/completions"] * 2]


def test_litellm_answering_by_another_deployment_is_named() -> None:
    found, _ = asked("litellm", litellm(lambda rows: None, {"one": "one/2/large"}))
    assert found == ['one: answered by "one/2/large"; due is "one/1/small"']


def test_litellm_without_a_header_is_judged_by_the_model() -> None:
    def bare(received: Received) -> Response:
        return error(404, "no") if received.method == "GET" else by_name(received)

    assert asked("litellm", bare)[0] == []


def test_what_litellm_holds_otherwise_is_named() -> None:
    def change(rows: list[Any]) -> None:
        rows[0]["litellm_params"]["max_tokens"] = 500
        rows[1]["litellm_params"] = None
        rows.append({"model_name": "one", "model_info": {"id": "theirs"}})
        rows.append({"model_name": "other", "model_info": None})
        rows.append("?")

    assert asked("litellm", litellm(change))[0] == [
        "one: model_list[one/1/small].litellm_params.max_tokens: is 500; due is 50",
        "one: model_list[one/2/large].litellm_params: is null; due is an object",
        "model_list[theirs]: not of the policy",
    ]


def test_a_key_that_may_not_see_the_models_still_asks_the_routes() -> None:
    found, _ = asked("litellm", litellm(list.clear, info=403))
    assert found == []
