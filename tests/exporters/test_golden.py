"""Every export as a whole, and what must hold of each of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from exporters.golden import golden_file
from exporters.sample import chat_model, policy_of, sample_policy, workflow

from calibrate.errors import PluginError, PolicyError
from calibrate.exporters import EXPORTERS, export_policy, exporter_names

GATEWAYS = [name for name in EXPORTERS if name != "json"]


@pytest.mark.parametrize("gateway", EXPORTERS)
def test_the_export_is_the_golden_one(gateway: str) -> None:
    exported = export_policy(gateway, sample_policy())
    assert exported.text == golden_file(gateway).read_text(encoding="utf-8")


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_order_of_the_policy_is_no_matter(gateway: str) -> None:
    policy = sample_policy()
    turned = replace(
        policy,
        models=dict(reversed(policy.models.items())),
        workflows=dict(reversed(policy.workflows.items())),
    )
    assert export_policy(gateway, turned).text == export_policy(gateway, policy).text


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_every_note_stands_in_the_file(gateway: str) -> None:
    exported = export_policy(gateway, sample_policy())
    assert exported.notes
    for note in exported.notes:
        told = str(note) if golden_file(gateway).suffix == ".yaml" else json.dumps(str(note))
        assert told in exported.text


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_what_a_gateway_cannot_ask_is_left_out_with_its_reason(gateway: str) -> None:
    exported = export_policy(gateway, sample_policy())
    assert "embedded" in exported.left_out
    told = {note.workflow: note.text for note in exported.notes if "left out" in note.text}
    assert set(exported.left_out) <= set(told)
    assert told["embedded"] == (
        "left out: near answers as an embeddings classifier, which no gateway can ask, and no "
        "other model of the route can answer; serve it from your own code with `Policy.route`"
    )


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_notes_stand_by_workflow_and_those_on_all_come_last(gateway: str) -> None:
    told = [note.workflow for note in export_policy(gateway, sample_policy()).notes]
    named = [workflow for workflow in told if workflow is not None]
    assert told == [*sorted(named), *([None] * (len(told) - len(named)))]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_unenforced_budget_is_told_by_route(gateway: str) -> None:
    told = [str(note) for note in export_policy(gateway, sample_policy()).notes]
    assert "support-simple: the budget of 100 USD a day is not enforced" in told


@pytest.mark.parametrize("gateway", EXPORTERS)
def test_no_key_is_read_from_the_environment(gateway: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-key-itself")
    text = export_policy(gateway, sample_policy()).text
    assert "the-key-itself" not in text


@pytest.mark.parametrize("gateway", EXPORTERS)
def test_the_default_of_the_policy_changes_the_export(gateway: str) -> None:
    policy = sample_policy()
    with_default = export_policy(gateway, replace(policy, default="support-simple"))
    assert with_default.text != export_policy(gateway, policy).text


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_default_that_is_left_out_is_refused(gateway: str) -> None:
    with pytest.raises(PolicyError, match="embedded: left out"):
        export_policy(gateway, replace(sample_policy(), default="embedded"))


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_policy_of_which_nothing_is_left_is_refused(gateway: str) -> None:
    models = sample_policy().models
    with pytest.raises(PolicyError, match="one: left out"):
        export_policy(gateway, policy_of(models, {"one": workflow("near")}))
    with pytest.raises(PolicyError, match="no workflow to export"):
        export_policy(gateway, policy_of(models, {}))


@pytest.mark.parametrize("gateway", EXPORTERS)
@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"stop": "\ud800"}, "not valid Unicode"),
        ({"since": yaml.safe_load("2026-01-01")}, "a value that JSON cannot"),
        ({"top_p": float("nan")}, "a value that JSON cannot"),
    ],
)
def test_a_value_that_no_file_holds_is_refused(
    gateway: str, parameters: dict[str, Any], problem: str
) -> None:
    policy = policy_of({"small": chat_model(parameters=parameters)}, {"one": workflow("small")})
    with pytest.raises(PolicyError, match=problem):
        export_policy(gateway, policy)


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://host/v1",
        "http://",
        "http://user@host/v1",
        "http://host:99999/v1",
        "http://host/v1?key=x",
        "http://[::1/v1",
        'http://host/"\nx: 1',
    ],
)
def test_an_address_that_could_be_read_otherwise_is_refused(gateway: str, base_url: str) -> None:
    policy = policy_of({"small": chat_model(base_url=base_url)}, {"one": workflow("small")})
    with pytest.raises(PolicyError, match=r"models.small.base_url: not a plain http or https"):
        export_policy(gateway, policy)


def test_an_unknown_gateway_is_refused_with_those_known() -> None:
    assert exporter_names() == sorted(EXPORTERS)
    with pytest.raises(PluginError, match=r"'litelm'; did you mean 'litellm'\? \(known: agent"):
        export_policy("litelm", sample_policy())
