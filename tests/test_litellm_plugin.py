"""The plugin's decisions, groups, signals and journal, without a proxy around them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exporters.sample import chat_model, policy_of, sample_policy, workflow

from calibrate.errors import ConfigError, PolicyError
from calibrate.litellm_plugin.answers import as_asked, assembled, cost_of
from calibrate.litellm_plugin.deciding import Decider, Decision, limited, texts
from calibrate.litellm_plugin.deployments import fleet_of
from calibrate.litellm_plugin.journal import Answered, Journal
from calibrate.litellm_plugin.marking import MARK, logged_call, mark_of, metadata_key
from calibrate.litellm_plugin.reading import Reader
from calibrate.policy import Escalation, Override, Policy, ServingLimits

POLICY = sample_policy()
ANSWER = Answered("r", "one", "m", "one/2/m", 10, 2, 0.5, 0.25, False, False, "Timeout", "low x")


def decider(policy: Policy = POLICY, project: Path | None = None) -> Decider:
    return Decider(policy, fleet_of(policy).groups, Reader(project))


def decide(
    asked: str, tokens: int = 10, policy: Policy = POLICY, **options: Any
) -> Decision | None:
    known = options.pop("known", ())
    return decider(policy, **options).decide(asked, known, lambda: tokens, tokens)


def decided(asked: str, tokens: int = 10, policy: Policy = POLICY, **options: Any) -> Decision:
    found = decide(asked, tokens, policy, **options)
    assert found is not None
    return found


def never() -> int:
    raise AssertionError("the tokens were counted although they do not matter")


@pytest.mark.parametrize(
    ("asked", "tokens", "group", "further"),
    [
        ("support-simple", 10, "support-simple", None),
        ("support-simple", 3951, "support-simple::long", None),
        ("draft%2Freply", 10, "draft%2Freply", None),
        ("priorit%C3%A9", 10, "priorit%C3%A9::first", "priorit%C3%A9"),
        ("labels", 10, "labels", None),  # its first model is none that a gateway can ask
    ],
)
def test_a_request_goes_to_the_group_of_its_route(
    asked: str, tokens: int, group: str, further: str | None
) -> None:
    found = decided(asked, tokens)
    assert (found.group, found.escalates_to, found.is_gated) == (group, further, bool(further))


def test_tokens_are_counted_only_where_they_could_matter() -> None:
    assert decider().decide("support-simple", (), never, 3950) is not None
    with pytest.raises(AssertionError, match="although they do not matter"):
        decider().decide("support-simple", (), never, 3951)


def test_a_name_of_no_route_is_left_alone_or_served_as_the_default() -> None:
    assert decide("nobody") is None
    policy = replace(POLICY, default="support-simple")
    found = decided("nobody", policy=policy)
    assert (found.asked, found.name, found.group) == ("nobody", "support-simple", "support-simple")
    assert decide("theirs", policy=policy, known={"theirs"}) is None


def test_a_workflow_that_the_gateway_cannot_serve_is_no_route() -> None:
    assert decide("embedded") is None
    with pytest.raises(PolicyError, match="embedded: this gateway cannot serve it"):
        decide("nobody", policy=replace(POLICY, default="embedded"))


def test_an_input_that_no_model_takes_is_refused() -> None:
    with pytest.raises(PolicyError, match="no model of the policy can take 500,000"):
        decide("support-simple", 500_000)


def test_an_overridden_route_does_not_escalate() -> None:
    entry = POLICY.workflows["priorité"]
    override = Override("medium", "balanced", "me", "why", "2999-01-01")
    policy = replace(POLICY, workflows={"priorité": replace(entry, override=override)})
    found = decided("priorit%C3%A9", policy=policy)
    assert (found.route.alias, found.group, found.is_gated) == ("medium", "priorit%C3%A9", False)


def test_where_an_answer_cannot_be_judged_the_stronger_model_answers() -> None:
    found = decider().decide("priorit%C3%A9", (), never, 10, can_escalate=False)
    assert found is not None
    assert (found.group, found.is_gated) == ("priorit%C3%A9", False)


def test_a_weak_answer_is_told_with_its_reason() -> None:
    found = decided("priorit%C3%A9")
    assert found.weakness({"answer_logprob": -0.3}) is None
    assert found.weakness({"answer_logprob": -0.31}) == "low answer_logprob"
    assert found.weakness({}) == "no answer_logprob"
    assert found.weakness({"answer_logprob": 0.0, "valid_format": 0.0}) is None  # not checked
    assert decided("support-simple").weakness({}) is None


def test_a_signal_that_needs_more_than_an_answer_is_not_gated() -> None:
    entry = workflow("small", escalation=Escalation("agreement", 0.9, "large"))
    policy = replace(POLICY, workflows={"one": entry})
    assert (decided("one", policy=policy).group, decided("one", policy=policy).is_gated) == (
        "one",
        False,
    )


def test_with_a_project_the_form_is_checked_and_an_invalid_answer_goes_on(project) -> None:
    entry = workflow("small", fallbacks=("large",))
    policy = replace(POLICY, workflows={"triage": entry})
    found = decided("triage", policy=policy, project=project.root)
    assert (found.group, found.escalates_to) == ("triage", "triage::refused")
    assert found.weakness({"valid_format": 0.0}) == "invalid format"
    assert found.weakness({"valid_format": 1.0}) is None
    alone = replace(POLICY, workflows={"triage": workflow("small")})
    assert decided("triage", policy=alone, project=project.root).escalates_to is None


@pytest.mark.parametrize(
    ("asked", "limit"),
    [
        ({}, None),
        ({"max_tokens": 10}, 10),
        ({"max_tokens": 99}, 50),
        ({"max_completion_tokens": 10}, 10),
        ({"max_output_tokens": 10, "max_tokens": 5}, 5),
        ({"max_tokens": True}, 50),
        ({"max_tokens": "10"}, 50),
        ({"max_tokens": -1}, 50),
        ({"max_tokens": None}, None),
    ],
)
def test_one_limit_is_left_and_never_more_than_the_routes(
    asked: dict[str, Any], limit: int | None
) -> None:
    found = decided("support-simple")
    body = limited(asked, found, limit_name="max_tokens", is_stated=False)
    assert body == {"model": "support-simple"} | ({} if limit is None else {"max_tokens": limit})
    stated = limited(asked, found, limit_name="max_output_tokens", is_stated=True)
    assert stated == {"model": "support-simple", "max_output_tokens": limit or 50}


def test_what_would_overrule_the_policy_is_dropped_and_the_rest_stays() -> None:
    body = {
        "temperature": 2,
        "top_p": 0.1,
        "fallbacks": ["x"],
        "api_base": "http://evil",
        "stop": "x",
    }
    found = limited(body, decided("support-simple"), limit_name="max_tokens", is_stated=False)
    assert found == {"model": "support-simple", "top_p": 0.1, "stop": "x"}


def test_every_text_of_a_request_counts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "b"}}]
    body = {"messages": [{"role": "user", "content": parts}], "input": "c", "instructions": "d"}
    assert {"a", "b", "c", "d"} <= set(texts({**body, "tools": [{"name": "e"}], "n": 3}))


def test_the_group_before_an_escalation_begins_with_the_calibrated_model() -> None:
    fleet = fleet_of(replace(POLICY, default="support-simple"))
    first = [one for one in fleet.deployments if one.startswith("priorit%C3%A9::first/")]
    assert first == [f"priorit%C3%A9::first/{n}" for n in ("1/small", "2/large", "3/medium")]
    assert not any(name.startswith("labels::first") for name in fleet.groups)
    assert "*" not in fleet.groups
    assert all("*" not in entry for entries in fleet.fallbacks.values() for entry in entries)


def test_a_policy_that_escalates_from_no_chat_model_has_no_such_group() -> None:
    labels = replace(POLICY.workflows["labels"], fallbacks=())
    near = replace(labels, escalation=Escalation("label_margin", 0.2, "medium"))
    fleet = fleet_of(replace(POLICY, workflows={"labels": near}))
    assert {name for name in fleet.groups if name.endswith("::first")} == set()


def test_a_route_of_which_no_model_can_be_asked_leaves_the_others() -> None:
    near = Escalation("label_margin", 0.2, "near-too")
    models = {**POLICY.models, "near-too": POLICY.models["near"]}
    entries = {"one": workflow("small"), "two": workflow("near", escalation=near)}
    assert fleet_of(replace(POLICY, models=models, workflows=entries)).groups == {"one"}


def answer(text: str, logprob: float | None = None) -> dict[str, Any]:
    top = [{"token": "b", "logprob": -3.0}]
    token = {"token": "a", "logprob": logprob, "top_logprobs": top}
    choice = {
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "logprobs": None if logprob is None else {"content": [token]},
    }
    return {
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4},
    }


def test_signals_are_read_from_the_answer() -> None:
    found = Reader().signals("any", answer("yes", -0.5), 0.1)
    assert (found["answer_logprob"], found["finished"], found["answer_brevity"]) == (-0.5, 1, -4)
    assert "answer_logprob" not in Reader().signals("any", answer("yes"), 0.1)
    assert Reader().signals("any", {"choices": []}, 0.1) == {}


def test_with_a_project_the_workflows_own_signals_are_read(project) -> None:
    reader = Reader(project.root)
    assert reader.signals("triage", answer("urgent"), 0.1)["valid_format"] == 1
    assert reader.signals("triage", answer("perhaps"), 0.1)["valid_format"] == 0
    assert reader.can_read("triage", "valid_format")
    assert not reader.can_read("triage", "agreement")
    assert not reader.can_read("other", "valid_format")


def test_a_project_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Reader(tmp_path)


def registry() -> Any:
    """Metrics of their own for a test; the process's are made once."""
    return pytest.importorskip("prometheus_client").CollectorRegistry()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_event_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    journal = Journal(path, registry=registry())
    journal.answered(ANSWER)
    journal.escalated(workflow="one", why="low x")
    journal.refused(workflow="one\n", why="budget")
    journal.reloaded(workflows=1)
    found = lines(path)
    assert [line["event"] for line in found] == ["answer", "escalation", "refusal", "policy"]
    assert (found[0]["cost_usd"], found[0]["fell_back"], found[0]["escalated"]) == (
        0.5,
        "Timeout",
        "low x",
    )


def test_without_a_file_the_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Journal(registry=registry()).refused(workflow="one", why="budget")
    assert json.loads(capsys.readouterr().err)["why"] == "budget"


def test_a_full_disk_stops_no_request() -> None:
    Journal(Path("/dev/full"), registry=registry()).refused(workflow="one", why="budget")


def test_without_prometheus_and_opentelemetry_the_lines_are_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prometheus_client", "opentelemetry"):
        monkeypatch.setitem(sys.modules, name, None)
    Journal(tmp_path / "log").answered(ANSWER)
    assert [line["workflow"] for line in lines(tmp_path / "log")] == ["one"]


def test_answers_are_spans_in_the_words_of_opentelemetry(tmp_path: Path) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    processors = pytest.importorskip("opentelemetry.sdk.trace.export")
    kept = export.InMemorySpanExporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(processors.SimpleSpanProcessor(kept))
    journal = Journal(tmp_path / "log", registry=registry(), tracer=provider.get_tracer("t"))
    journal.answered(ANSWER)
    journal.answered(replace(ANSWER, fell_back=None, escalated=None))
    first, second = kept.get_finished_spans()
    assert first.name == "chat m"
    assert first.attributes["gen_ai.usage.input_tokens"] == 10
    assert first.attributes["calibrate.fell_back"] == "Timeout"
    assert "calibrate.escalated" not in second.attributes
    assert first.end_time - first.start_time == pytest.approx(0.25e9, abs=1000)


def test_answers_are_counted_by_route(tmp_path: Path) -> None:
    own = registry()
    journal = Journal(tmp_path / "log", registry=own)
    journal.answered(ANSWER)
    journal.answered(replace(ANSWER, fell_back=None, escalated=None, cost_usd=0.25))
    value: Callable[..., float] = own.get_sample_value
    route = {"route": "one"}
    assert value("calibrate_answers_total", {**route, "model": "m"}) == 2
    assert value("calibrate_cost_usd_total", {**route, "model": "m"}) == 0.75
    assert value("calibrate_fallbacks_total", route) == 1
    assert value("calibrate_escalations_total", route) == 1
    assert value("calibrate_latency_seconds_sum", route) == 0.5


def test_a_plain_policy_has_no_group_for_escalation() -> None:
    policy = policy_of({"m": chat_model()}, {"one": workflow("m", limits=ServingLimits(5))})
    assert fleet_of(policy).groups == {"one"}


def chunk(
    text: str = "", tokens: list[Any] | None = None, finish: str | None = None, **more: Any
) -> dict[str, Any]:
    choice = {
        "index": 0,
        "delta": {"content": text, **more},
        "logprobs": {"content": tokens},
        "finish_reason": finish,
    }
    return {"model": "m-1", "choices": [choice]}


def test_a_stream_is_judged_as_the_answer_that_its_first_choice_makes() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "not this"}}]}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    chunks = [chunk("bil", [{"token": "bil"}]), other, chunk("ling", [{"token": "ling"}], "length")]
    assert assembled([*chunks, {"choices": [], "usage": usage}]) == {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "billing"},
                "finish_reason": "length",
                "logprobs": {"content": [{"token": "bil"}, {"token": "ling"}]},
            }
        ],
        "usage": usage,
        "model": "m-1",
    }


def test_a_stream_that_calls_tools_has_its_calls() -> None:
    (choice,) = assembled([chunk(tool_calls=["a call"])])["choices"]
    assert choice["message"]["tool_calls"] == ["a call"]


def test_a_stream_of_nothing_is_an_empty_answer() -> None:
    found = assembled([])
    assert (found["model"], found["choices"][0]["message"]["content"]) == ("", "")


@pytest.mark.parametrize(("hides", "left"), [(True, None), (False, "probabilities")])
def test_probabilities_that_only_the_plugin_asked_for_are_taken_out(
    hides: bool, left: str | None
) -> None:
    choices = [SimpleNamespace(logprobs="probabilities"), SimpleNamespace()]
    answer = as_asked(SimpleNamespace(choices=choices), {"hides_logprobs": hides})
    assert answer.choices[0].logprobs == left


def test_an_answer_without_a_cost_cost_nothing() -> None:
    assert cost_of(SimpleNamespace(_hidden_params={"response_cost": 0.25})) == 0.25
    assert cost_of(SimpleNamespace(_hidden_params={"response_cost": None})) == 0.0
    assert cost_of(object()) == 0.0


def test_a_mark_is_found_where_the_call_has_its_metadata() -> None:
    mark = {"request": "r"}
    assert mark_of({"metadata": {MARK: mark}}) == mark
    assert mark_of({"litellm_metadata": {MARK: mark}, "metadata": {}}) == mark
    assert metadata_key({"litellm_metadata": {}}) == "litellm_metadata"
    for other in (
        {},
        {"metadata": None},
        {"metadata": {MARK: "a client's"}},
        {"metadata": {MARK: {}}},
    ):
        assert mark_of(other) == {}


def test_a_logged_call_has_its_mark_in_either_metadata() -> None:
    logged, mark = {"model_id": "one/1/m"}, {"request": "r"}
    for params in (
        {"metadata": {MARK: mark}},
        {"litellm_metadata": {MARK: mark}},
        {"litellm_metadata": {}, "metadata": {MARK: mark}},
    ):
        call = {"standard_logging_object": logged, "litellm_params": params}
        assert logged_call(call) == (logged, mark)
    assert logged_call({}) == ({}, {})
