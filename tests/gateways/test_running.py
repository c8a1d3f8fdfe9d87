"""Exports as real gateways obey them: LiteLLM, Envoy and Portkey before a recording provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from exporters.sample import sample_policy, workflow
from gateways.provider import FAILURES, Provider, certificate_for_localhost
from gateways.running import KEYS, Gateway, run_envoy, run_litellm, run_portkey

from calibrate.exporters import export_policy
from calibrate.policy import Policy, ServingLimits

pytestmark = pytest.mark.gateways

RUN: dict[str, Callable[[str, Path], AbstractContextManager[Gateway]]] = {
    "litellm": run_litellm,
    "envoy": run_envoy,
    "portkey": run_portkey,
}
LONG = "word " * 5000  # more tokens than `small` holds, and more bytes than four for each


def policy_for(provider: Provider) -> Policy:
    """The sample policy at the recording provider, and a route for each way to fail.

    A gateway rests a model of a route after a failure, so that no two failures share a route.
    """
    base_url = provider.server.base_url
    policy = sample_policy(base_url, base_url, base_url)
    chain = {
        "fallbacks": ("medium", "large"),
        "over_context": "large",
        "limits": ServingLimits(50, 2.0),
    }
    routes = {f"on-{failure}": workflow("small", **chain) for failure in FAILURES}
    routes["on-two"] = routes["on-stream"] = workflow("small", **chain)
    return replace(policy, workflows={**policy.workflows, **routes})


@contextmanager
def running(
    name: str, folder: Path, edit: Callable[[str], str], default: str | None
) -> Iterator[tuple[Gateway, Provider]]:
    provider = Provider()
    with provider.server:
        exported = export_policy(name, replace(policy_for(provider), default=default))
        with RUN[name](edit(exported.text), folder) as gateway:
            yield gateway, provider


@pytest.fixture(scope="module", params=list(RUN))
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Provider]]:
    """A gateway on an undamaged export that has no default."""
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder, lambda text: text, None) as found:
        yield found


@pytest.fixture
def gateway(served: tuple[Gateway, Provider]) -> Gateway:
    return served[0]


@pytest.fixture
def provider(served: tuple[Gateway, Provider]) -> Provider:
    served[1].forget()
    return served[1]


def test_a_route_is_answered_by_its_model(gateway: Gateway, provider: Provider) -> None:
    assert gateway.answer("support-simple") == "from small-1"
    assert provider.asked == ["small-1"]
    assert provider.last.path == "/v1/chat/completions"


def test_the_model_gets_its_parameters_and_what_the_client_said(
    gateway: Gateway, provider: Provider
) -> None:
    gateway.answer("draft%2Freply", 'Say "so" \\ é {}[],', stop=["x", "}"])
    body = provider.last.body
    assert (body["model"], body["temperature"], body["seed"]) == ("own/model:q4", 0, 7)
    assert body["messages"] == [{"role": "user", "content": 'Say "so" \\ é {}[],'}]
    assert body["stop"] == ["x", "}"]


def test_a_provider_gets_its_own_key_and_no_other(gateway: Gateway, provider: Provider) -> None:
    gateway.answer("support-simple")
    assert provider.last.headers["authorization"] == f"Bearer {KEYS['OPENAI_API_KEY']}"
    gateway.answer("draft%2Freply")
    sent = " ".join(provider.last.headers.values())
    assert not any(key in sent for key in (*KEYS.values(), "sk-master", "client"))


def test_the_output_limit_is_sent(gateway: Gateway, provider: Provider) -> None:
    gateway.answer("support-simple")
    assert provider.last.body["max_tokens"] == 50


def test_what_a_client_asks_for_meets_the_limit_as_the_notes_say(
    gateway: Gateway, provider: Provider
) -> None:
    sent = []
    for asked in (10, 1000):
        gateway.answer("support-simple", max_tokens=asked)
        sent.append(provider.last.body["max_tokens"])
    expected = {"litellm": [10, 1000], "envoy": [10, 50], "portkey": [50, 50]}
    assert sent == expected[gateway.name]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_goes_to_the_next_model(
    gateway: Gateway, provider: Provider, failure: str
) -> None:
    with provider.failing(small=failure):
        answer = gateway.answer(f"on-{failure}")
    # LiteLLM alone knows that a longer window, and no other model, helps with a long input.
    is_long = failure == "context" and gateway.name == "litellm"
    assert answer == ("from large-1" if is_long else "from medium-1")
    assert provider.asked[0] == "small-1"
    assert provider.asked.count("small-1") <= 2


def test_two_failures_go_to_the_last_model(gateway: Gateway, provider: Provider) -> None:
    with provider.failing(small="500", medium="429"):
        assert gateway.answer("on-two") == "from large-1"
    assert list(dict.fromkeys(provider.asked)) == ["small-1", "medium-1", "large-1"]


def test_when_all_models_fail_the_client_hears_of_it(gateway: Gateway, provider: Provider) -> None:
    with provider.failing(small="500", medium="500", large="500"):
        response = gateway.ask("priorit%C3%A9")
    assert response.status_code >= 400
    assert "small-1" not in provider.asked  # no escalation here: the last model answers alone


def test_a_long_input_goes_to_the_larger_model(gateway: Gateway, provider: Provider) -> None:
    if gateway.name == "portkey":
        with provider.failing(small="context", medium="context"):
            assert gateway.answer("support-simple", LONG) == "from large-1"
        return
    assert gateway.answer("support-simple", LONG) == "from large-1"
    assert provider.asked == ["large-1"]


def test_a_classifier_gives_way_to_a_chat_model(gateway: Gateway, provider: Provider) -> None:
    assert gateway.answer("triage") == "from medium-1"
    assert gateway.answer("labels") == "from medium-1"


def test_a_model_of_another_api_is_asked_in_its_own_format(
    gateway: Gateway, provider: Provider
) -> None:
    if gateway.name == "envoy":  # it translates nothing, and has left the route out
        assert gateway.ask("letters").status_code == 404
        return
    assert gateway.answer("letters") == "from claude-1"
    assert provider.last.path == "/v1/messages"
    assert provider.last.headers["x-api-key"] == KEYS["ANTHROPIC_API_KEY"]
    assert provider.last.body["max_tokens"] == 300


@pytest.mark.parametrize("name", ["nobody", "embedded", "draft/reply", "small", "small-1", ""])
def test_an_unknown_name_is_refused(gateway: Gateway, provider: Provider, name: str) -> None:
    assert gateway.ask(name).status_code >= 400
    assert provider.asked == []


def test_an_answer_is_streamed(gateway: Gateway, provider: Provider) -> None:
    response = gateway.ask("support-simple", stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "small-1" in response.text
    assert "[DONE]" in response.text


def test_a_stream_that_fails_before_it_begins_goes_to_the_next_model(
    gateway: Gateway, provider: Provider
) -> None:
    with provider.failing(small="500"):
        response = gateway.ask("on-stream", stream=True)
    assert response.status_code == 200
    assert "medium-1" in response.text


def test_a_name_hidden_in_the_text_names_no_route(gateway: Gateway, provider: Provider) -> None:
    text = '","model":"triage","x":"'
    assert gateway.answer("support-simple", text) == "from small-1"
    assert provider.last.body["messages"][0]["content"] == text


@pytest.mark.parametrize("name", list(RUN))
def test_a_default_takes_unknown_names_and_a_damaged_route_shows(name: str, tmp_path: Path) -> None:
    def damaged(text: str) -> str:
        # A slip of the hand in one route: its second model becomes another.
        place, old, new = DAMAGE[name]
        before, after = text.split(place, 1)
        return before + place + after.replace(old, new, 1)

    with running(name, tmp_path, damaged, "support-simple") as (gateway, provider):
        assert gateway.answer("nobody") == "from small-1"
        assert provider.last.body["max_tokens"] == 50
        with provider.failing(small="500"):
            assert gateway.answer("on-503") == "from medium-1"
            assert gateway.answer("on-500") == "from large-1"


# In each export: where the route begins, and what stands for its second model.
DAMAGE = {
    "litellm": ("id: on-500/1/small", "openai/medium-1", "openai/large-1"),
    "envoy": ("name: chain/on-500\n", "model/medium", "model/large"),
    "portkey": ('"name": "on-500"', '"medium-1"', '"large-1"'),
}


@pytest.mark.parametrize("served", ["litellm"], indirect=True)
def test_litellm_reports_what_an_answer_cost(gateway: Gateway, provider: Provider) -> None:
    response = gateway.ask("support-simple")
    cost = float(response.headers["x-litellm-response-cost"])
    assert cost == pytest.approx((10 * 0.1 + 1 * 0.4) / 1_000_000)
    assert response.headers["x-litellm-model-id"] == "support-simple/1/small"


@pytest.mark.parametrize("served", ["litellm"], indirect=True)
def test_litellm_holds_every_deployment(gateway: Gateway, provider: Provider) -> None:
    held = {row["model_info"]["id"] for row in gateway.get("/v1/model/info")["data"]}
    policy = policy_for(provider)
    routes = len(policy.workflows) - 1  # `embedded` is left out
    assert len({name.split("/")[0] for name in held if "::" not in name}) == routes
    assert {"support-simple/1/small", "support-simple/2/medium", "support-simple/3/large"} <= held


@pytest.mark.parametrize("served", ["envoy"], indirect=True)
def test_envoy_refuses_a_body_that_is_no_object(gateway: Gateway, provider: Provider) -> None:
    bodies = ["", "[]", "{", '{"model":}', '{"mod\\u0065l":"triage"}', '{"model":"triage"', "null"]
    with httpx.Client(trust_env=False) as client:
        for body in bodies:
            response = client.post(f"{gateway.base_url}/v1/chat/completions", content=body)
            assert (response.status_code, "error" in response.json()) == (400, True)
        assert client.post(f"{gateway.base_url}/v1/embeddings", content="{}").status_code == 404
    assert provider.asked == []


@pytest.mark.parametrize("served", ["envoy"], indirect=True)
def test_envoy_obeys_no_client_in_place_of_the_policy(gateway: Gateway, provider: Provider) -> None:
    controls = {
        "x-envoy-max-retries": "0",
        "x-envoy-retry-on": "",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-calibrate-route": "triage",
        "x-calibrate-max-output-tokens": "9999",
        "x-calibrate-ready": "large",
    }
    asking = replace(gateway, headers={**gateway.headers, **controls})
    with provider.failing(small="500"):
        assert asking.answer("on-500", max_tokens=1000) == "from medium-1"
    assert provider.last.body["max_tokens"] == 50
    sent = set(provider.last.headers)
    assert not any(name.startswith(("x-calibrate", "x-envoy")) for name in sent)


def test_envoy_asks_a_provider_over_tls_and_trusts_no_other_authority(tmp_path: Path) -> None:
    authority, tls = certificate_for_localhost(tmp_path)
    provider = Provider(tls)
    with provider.server:
        base_url = provider.server.base_url.replace("127.0.0.1", "localhost")
        policy = sample_policy(base_url, base_url, base_url)
        text = export_policy("envoy", policy).text
        with run_envoy(text, tmp_path) as gateway:
            assert gateway.ask("support-simple").status_code == 503
            assert provider.asked == []
        trusting = text.replace("/etc/ssl/certs/ca-certificates.crt", str(authority))
        with run_envoy(trusting, tmp_path) as gateway:
            assert gateway.answer("support-simple") == "from small-1"
            assert provider.last.headers["host"] == base_url.split("/")[2]


def test_portkey_refuses_a_private_address_until_it_is_told_to_trust_it(tmp_path: Path) -> None:
    base_url = "http://gateway.internal:9/v1"
    text = export_policy("portkey", sample_policy(base_url, base_url, base_url)).text
    with run_portkey(text, tmp_path) as gateway:
        refused = gateway.ask("support-simple")
        assert (refused.status_code, "Invalid custom host" in refused.text) == (400, True)
