"""LiteLLM with the plugin: what its configuration cannot hold is held on the running proxy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from conftest import TIERS, TRIAGE
from exporters.sample import chat_model, policy_of, workflow
from gateways.running import Gateway, run_litellm
from loopback import Loopback, Received, Response, chat, error, refused_port

import calibrate
from calibrate.exporters import export_policy
from calibrate.policy import Escalation, Policy, PolicyPrice, ServingLimits, dump_policy
from calibrate.verification import verify_running

pytestmark = pytest.mark.gateways

SURE, UNSURE = -0.01, -2.0  # log-probabilities of an answer's token
PLUGIN = "calibrate.litellm_plugin.callback.policy_router"
METRICS_PORT = refused_port()
ALIASES = {"small-1": "small", "medium-1": "medium", "large-1": "large"}


def answered(received: Received) -> Response:
    """Answer with the model's name, as surely as the question says; `label:x` answers x."""
    if not isinstance(received.body, dict):
        return error(404, "no such page")
    if received.path.endswith("/responses"):
        return _responded(received.model)
    model, asked = received.model, str(received.body.get("messages", received.body.get("input")))
    if "break" in asked and model == "small-1":
        return error(500, "broken: sk-" + "x" * 30)
    if "all down" in asked and model != "small-1":
        return error(400, "broken")
    text = (
        asked.partition("label:")[2].partition("'")[0]
        if "label:" in asked and model == "small-1"
        else model
    )
    logprob = UNSURE if "hard" in asked and model == "small-1" else SURE
    top = [{"token": "a", "logprob": logprob, "bytes": None}]
    content = [{"token": "a", "logprob": logprob, "bytes": None, "top_logprobs": top}]
    logprobs = {"content": content} if received.body.get("logprobs") else None
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    if received.body.get("stream"):
        return _streamed(model, text, logprobs, usage)
    return chat(text, model=model, logprobs=logprobs, usage=usage)


def _streamed(model: str, text: str, logprobs: Any, usage: Any) -> Response:
    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    half = len(text) // 2
    choices: list[Any] = [
        {"delta": {"role": "assistant", "content": text[:half]}, "logprobs": logprobs},
        {"delta": {"content": text[half:]}, "logprobs": logprobs},
        {"delta": {}, "finish_reason": "stop"},
    ]
    events = [{**head, "choices": [{"index": 0, "finish_reason": None, **c}]} for c in choices]
    events.append({**head, "choices": [], "usage": usage})
    lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    return Response(
        headers={"content-type": "text/event-stream"}, parts=iter([*lines, b"data: [DONE]\n\n"])
    )


def _responded(model: str) -> Response:
    part = {"type": "output_text", "text": model, "annotations": []}
    message = {"type": "message", "id": "m-1", "status": "completed", "role": "assistant"}
    answer = {
        "id": "resp-1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": model,
        "output": [{**message, "content": [part]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
    }
    return Response(200, json.dumps(answer).encode(), {"content-type": "application/json"})


def policy_at(base_url: str) -> Policy:
    price = PolicyPrice(input_usd_per_mtok=2.5, output_usd_per_mtok=10.0)
    models = {
        "small": chat_model(base_url=base_url),
        "medium": chat_model(base_url=base_url, name="medium-1", context_window=8000),
        "large": chat_model(
            base_url=base_url, name="large-1", context_window=400_000, parameters={}, price=price
        ),
    }
    chain = {"fallbacks": ("medium", "large"), "over_context": "large"}
    spent = ServingLimits(50, 2.0, budget_usd_per_day=0.000_002)
    return policy_of(
        models,
        {
            "plain": workflow("small", **chain),
            "fails": workflow("small", **chain),
            "poor": workflow("small", **chain, limits=spent),
            "triage": workflow("small", **chain),
            "a/b": workflow(
                "small", **chain, escalation=Escalation("answer_logprob", -0.5, "large")
            ),
            "unread": workflow("small", escalation=Escalation("agreement", 0.9, "large")),
        },
        default="plain",
    )


class Served:
    """A running proxy, the provider behind it, the policy file, and what the plugin has told."""

    def __init__(self, gateway: Gateway, provider: Loopback, folder: Path) -> None:
        self.gateway = gateway
        self.provider = provider
        self.folder = folder

    def ask(self, model: str, text: str = "Hello.", **body: Any) -> tuple[str, list[str]]:
        """Return an answer's text and the models that were asked for it."""
        self.provider.received.clear()
        return self.gateway.answer(model, text, **body), self.asked

    def stream(self, model: str, text: str, **body: Any) -> tuple[str, list[str]]:
        self.provider.received.clear()
        response = self.gateway.ask(model, text, stream=True, **body)
        assert response.status_code == 200, response.text
        lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
        choices = [choice for line in lines for choice in json.loads(line)["choices"]]
        return "".join(one["delta"].get("content") or "" for one in choices), self.asked

    @property
    def asked(self) -> list[str]:
        return [ALIASES[one.model] for one in self.questions]

    @property
    def questions(self) -> list[Received]:
        """What was asked; LiteLLM may also look what kind of server it has before it."""
        return [one for one in self.provider.received if isinstance(one.body, dict)]

    @property
    def sent(self) -> dict[str, Any]:
        body: dict[str, Any] = self.questions[-1].body
        return body

    def told(self, event: str, **fields: Any) -> dict[str, Any]:
        """Return the last line of this kind; LiteLLM logs a moment after it has answered."""
        deadline = time.monotonic() + 15
        while True:
            written = (self.folder / "decisions.jsonl").read_text().splitlines(keepends=True)
            lines = [json.loads(line) for line in written if line.endswith("\n")]
            for line in reversed(lines):
                if line["event"] == event and fields.items() <= line.items():
                    return dict(line)
            assert time.monotonic() < deadline, f"no {event} with {fields}"
            time.sleep(0.05)


@contextmanager
def proxy(folder: Path, *, with_plugin: bool = True) -> Iterator[Served]:
    project = folder / "project"
    (project / "evals").mkdir(parents=True)
    (project / "evals/tiers.yaml").write_text(TIERS)
    (project / "evals/triage.yaml").write_text(TRIAGE)
    with Loopback(answered) as provider:
        policy = policy_at(provider.base_url)
        (folder / "policy.yaml").write_text(dump_policy(policy))
        config = yaml.safe_load(export_policy("litellm", replace(policy, default=None)).text)
        if with_plugin:
            config["litellm_settings"]["callbacks"] = [PLUGIN]
        config["model_list"].append(
            {
                "model_name": "own",
                "litellm_params": {
                    "model": "openai/medium-1",
                    "api_base": provider.base_url,
                    "api_key": "none",
                },
            }
        )
        settings = {
            "PYTHONPATH": str(Path(calibrate.__file__).parents[1]),
            "CALIBRATE_POLICY": str(folder / "policy.yaml"),
            "CALIBRATE_PROJECT": str(project),
            "CALIBRATE_LOG": str(folder / "decisions.jsonl"),
            "CALIBRATE_METRICS_PORT": str(METRICS_PORT),
        }
        with run_litellm(yaml.safe_dump(config), folder, settings) as gateway:
            yield Served(gateway, provider, folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with proxy(tmp_path_factory.mktemp("plugin")) as found:
        yield found


def test_a_route_is_answered_by_its_model_and_told(served: Served) -> None:
    assert served.ask("plain") == ("small-1", ["small"])
    line = served.told("answer", workflow="plain")
    assert line["deployment"] == "plain/1/small"
    assert (line["model"], line["input_tokens"], line["output_tokens"]) == ("small", 10, 2)
    assert line["cost_usd"] == pytest.approx((10 * 0.1 + 2 * 0.4) / 1e6)
    assert line["latency_s"] > 0
    assert (line["fell_back"], line["escalated"], line["is_default"]) == (None, None, False)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_output_limit_is_a_cap(served: Served, name: str) -> None:
    sent = []
    for asked in (10, 1000, -1, True):
        served.ask("plain", **{name: asked})
        sent.append([v for k, v in served.sent.items() if k.startswith("max_")])
    assert sent == [[10], [50], [50], [50]]
    served.ask("plain", extra_body={"max_tokens": 9999})
    assert served.sent["max_tokens"] == 50


def test_a_fallback_is_within_the_cap_too(served: Served) -> None:
    text, asked = served.ask("fails", "break", max_tokens=1000)
    assert (text, asked[-1], served.sent["max_tokens"]) == ("medium-1", "medium", 50)
    line = served.told("answer", workflow="fails")
    assert (line["model"], line["fell_back"]) == ("medium", "InternalServerError")
    assert "sk-x" not in (served.folder / "decisions.jsonl").read_text()


def test_a_client_cannot_overrule_the_route(served: Served) -> None:
    served.ask("plain", temperature=1.5, fallbacks=["own"], timeout=0.0001, top_p=0.5)
    assert (served.sent["temperature"], served.sent["top_p"]) == (0, 0.5)
    for name in ("plain::long", "a%2Fb::first", "plain::refused"):
        served.provider.received.clear()
        assert served.gateway.ask(name).status_code == 404
        assert served.asked == []


def test_an_unknown_name_is_served_as_the_default_and_a_group_of_ones_own_is_left(
    served: Served,
) -> None:
    assert served.ask("nobody") == ("small-1", ["small"])
    assert served.told("answer", is_default=True)["workflow"] == "plain"
    assert served.ask("own", max_tokens=999) == ("medium-1", ["medium"])
    assert served.sent["max_tokens"] == 999


def test_a_long_input_is_counted_and_goes_to_the_larger_model(served: Served) -> None:
    assert served.ask("plain", "word " * 5000) == ("large-1", ["large"])
    assert served.told("answer", over_context=True)["deployment"] == "plain::long/1/large"
    assert served.ask("plain", "word " * 3000) == ("small-1", ["small"])
    response = served.gateway.ask("plain", "word " * 450_000)
    assert (response.status_code, "no model of the policy can take" in response.text) == (400, True)


def test_a_spent_budget_stops_its_route_and_no_other(served: Served) -> None:
    served.ask("poor")  # 1.8 millionths of a dollar of two
    served.told("answer", workflow="poor")
    served.ask("poor")
    deadline = time.monotonic() + 15
    while (response := served.gateway.ask("poor")).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert response.status_code == 429
    assert "poor: the budget of 2e-06 USD a day is spent" in response.text
    assert served.told("refusal")["why"] == "budget"
    assert served.ask("plain")[0] == "small-1"


def test_a_sure_answer_stays_and_shows_no_probabilities_nobody_asked_for(served: Served) -> None:
    response = served.gateway.ask("a%2Fb", "easy")
    assert response.json()["choices"][0]["message"]["content"] == "small-1"
    assert not response.json()["choices"][0].get("logprobs")
    shown = served.gateway.ask("a%2Fb", "easy", logprobs=True).json()
    assert shown["choices"][0]["logprobs"]["content"][0]["logprob"] == SURE


def test_an_unsure_answer_escalates_and_both_are_paid_for(served: Served) -> None:
    served.provider.received.clear()
    response = served.gateway.ask("a%2Fb", "hard", max_tokens=1000)
    assert response.json()["choices"][0]["message"]["content"] == "large-1"
    assert served.asked == ["small", "large"]
    assert served.sent["max_tokens"] == 50
    assert "logprobs" not in served.sent
    first, second = (10 * 0.1 + 2 * 0.4) / 1e6, (10 * 2.5 + 2 * 10) / 1e6
    assert float(response.headers["x-calibrate-cost"]) == pytest.approx(first + second)
    assert response.headers["x-calibrate-escalated"] == "low answer_logprob"
    line = served.told("escalation", workflow="a/b", why="low answer_logprob")
    assert (line["value"], line["below"]) == (UNSURE, -0.5)
    costs = {
        model: served.told("answer", request=line["request"], model=model)["cost_usd"]
        for model in ("small", "large")
    }
    assert costs == {"small": pytest.approx(first), "large": pytest.approx(second)}


def test_a_stream_is_held_until_it_is_good_enough(served: Served) -> None:
    assert served.stream("a%2Fb", "easy") == ("small-1", ["small"])
    assert served.stream("a%2Fb", "hard") == ("large-1", ["small", "large"])
    assert served.stream("plain", "hard") == ("small-1", ["small"])


def test_where_no_stronger_model_answers_the_first_answer_stays(served: Served) -> None:
    assert served.ask("a%2Fb", "hard, all down")[0] == "small-1"
    assert "escalation failed" in served.told("refusal", workflow="a/b")["why"]


def test_an_answer_of_the_wrong_form_goes_to_the_next_model(served: Served) -> None:
    assert served.ask("triage", "label:urgent") == ("urgent", ["small"])
    assert served.ask("triage", "label:perhaps") == ("medium-1", ["small", "medium"])
    assert served.stream("triage", "label:perhaps") == ("medium-1", ["small", "medium"])
    assert served.told("escalation", workflow="triage")["why"] == "invalid format"


def test_a_signal_that_cannot_be_read_here_leaves_the_stronger_model(served: Served) -> None:
    assert served.ask("unread") == ("large-1", ["large"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"max_tokens": 999, "messages": [{"role": "user", "content": "Hello."}]}),
        ("/v1/responses", {"max_output_tokens": 999, "input": "Hello."}),
        ("/v1/responses", {"input": "Hello."}),
    ],
)
def test_messages_and_responses_are_within_the_limits(
    served: Served, path: str, body: dict[str, Any]
) -> None:
    served.provider.received.clear()
    with httpx.Client(trust_env=False, timeout=30, headers=dict(served.gateway.headers)) as client:
        asked = {"model": "plain", **body}
        response = client.post(f"{served.gateway.base_url}{path}", json=asked)
    assert response.status_code == 200, response.text
    assert [v for k, v in served.sent.items() if k.startswith("max_")] == [50]


def test_an_answer_that_cannot_be_judged_is_the_stronger_models(served: Served) -> None:
    served.provider.received.clear()
    body = {"model": "a%2Fb", "input": "hard"}
    with httpx.Client(trust_env=False, timeout=30, headers=dict(served.gateway.headers)) as client:
        response = client.post(f"{served.gateway.base_url}/v1/responses", json=body)
    assert (response.status_code, served.asked) == (200, ["large"])


def test_a_mark_that_a_client_makes_up_is_dropped(served: Served) -> None:
    mark = {"request": "forged", "workflow": "plain", "name": "plain"}
    assert served.ask("own", metadata={"calibrate": mark})[0] == "medium-1"
    served.ask("plain", "after", metadata={"calibrate": mark})
    served.told("answer", workflow="plain")
    assert "forged" not in (served.folder / "decisions.jsonl").read_text()


def test_metrics_count_by_route(served: Served) -> None:
    served.ask("a%2Fb", "hard")
    served.told("answer", workflow="a/b", model="large")
    with httpx.Client(trust_env=False) as client:
        text = client.get(f"http://127.0.0.1:{METRICS_PORT}/metrics").text
    assert 'calibrate_escalations_total{route="a/b"}' in text
    assert 'calibrate_cost_usd_total{model="small",route="a/b"}' in text
    assert 'calibrate_fallbacks_total{route="fails"}' in text
    assert 'calibrate_latency_seconds_count{route="a/b"}' in text


def test_a_running_proxy_is_what_the_policy_says(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", served.gateway.headers["authorization"].split()[1])
    policy = replace(policy_at(served.provider.base_url), default=None)
    del policy.workflows["a/b"], policy.workflows["poor"], policy.workflows["triage"]
    url = served.gateway.base_url
    assert verify_running("litellm", policy, url, key_env="GATEWAY_KEY") == []
    other = replace(policy.workflows["plain"], limits=ServingLimits(49))
    moved = replace(policy, workflows={**policy.workflows, "plain": other})
    found = [str(one) for one in verify_running("litellm", moved, url, key_env="GATEWAY_KEY")]
    place = "plain: model_list[plain/1/small].litellm_params.max_tokens"
    assert f"{place}: is 50; due is 49" in found


def test_a_changed_policy_is_followed_without_a_restart(served: Served) -> None:
    policy = policy_at(served.provider.base_url)
    moved = {**policy.workflows, "plain": workflow("medium", limits=ServingLimits(7))}
    moved["new"] = workflow("large")
    del moved["fails"]
    (served.folder / "policy.yaml").write_text(dump_policy(replace(policy, workflows=moved)))
    deadline = time.monotonic() + 20
    while served.ask("plain")[0] != "medium-1":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert served.sent["max_tokens"] == 7
    assert served.ask("new") == ("large-1", ["large"])
    assert served.ask("fails") == ("medium-1", ["medium"])  # unknown by now: the default
    (served.folder / "policy.yaml").write_text("version: 1\nmodels: nonsense\n")
    time.sleep(1.5)
    assert [served.ask("new")[0] for _ in range(3)] == ["large-1"] * 3
