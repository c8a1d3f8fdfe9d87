"""`calibrate export`: the policy in a gateway's own configuration."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from exporters.sample import chat_model, policy_of, sample_policy, workflow

from calibrate import plugins
from calibrate.exporters import EXPORTERS, Exported, export_policy
from calibrate.policy import Policy, dump_policy

SMALL = policy_of({"m": chat_model()}, {"one": workflow("m")})


@pytest.fixture(autouse=True)
def _policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(SMALL)


def write(policy: Policy, name: str = "routing-policy.yaml") -> None:
    Path(name).write_text(dump_policy(policy), encoding="utf-8")


@pytest.mark.parametrize("gateway", EXPORTERS)
def test_stdout_is_the_configuration_and_stderr_what_it_cannot_do(calibrate, gateway: str) -> None:
    write(sample_policy())
    status, stdout, stderr = calibrate("export", gateway)
    exported = export_policy(gateway, sample_policy())
    assert stdout == exported.text
    assert stderr == "".join(f"note: {note}\n" for note in exported.notes)
    assert status == (1 if exported.left_out else 0)


def test_a_policy_that_is_held_whole_is_a_yes(calibrate) -> None:
    status, stdout, stderr = calibrate("export", "litellm")
    assert status == 0
    assert yaml.safe_load(stdout)["model_list"][0]["model_name"] == "one"
    assert stderr == (
        "note: one: the limit of 50 output tokens is a default: a request may ask for more\n"
        "note: a request that sets parameters such as temperature, timeout or fallbacks overrules "
        "the policy\n"
        "note: the groups NAME::long and NAME::refused are for LiteLLM's own use, but clients can "
        "see them\n"
    )


def test_a_file_is_written_whole_and_named(calibrate) -> None:
    status, stdout, stderr = calibrate("export", "envoy", "--out", "new/envoy.yaml")
    assert (status, stdout) == (0, "wrote new/envoy.yaml\n")
    assert Path("new/envoy.yaml").read_text() == export_policy("envoy", SMALL).text
    assert stderr.startswith("note: ")


def test_what_is_left_out_is_a_no_and_the_rest_is_written(calibrate) -> None:
    write(sample_policy())
    status, stdout, stderr = calibrate("export", "litellm", "--out", "litellm.yaml")
    assert (status, stdout) == (1, "wrote litellm.yaml\n")
    assert "note: embedded: left out: near answers as an embeddings classifier" in stderr
    names = {
        d["model_name"] for d in yaml.safe_load(Path("litellm.yaml").read_text())["model_list"]
    }
    assert "support-simple" in names
    assert "embedded" not in names


def test_json_is_one_document(calibrate) -> None:
    write(sample_policy())
    status, stdout, stderr = calibrate("export", "kong", "--json")
    document = json.loads(stdout)
    assert (status, stderr) == (1, "")
    assert list(document) == ["schema", "gateway", "file", "text", "notes", "left_out"]
    assert (document["schema"], document["gateway"], document["file"]) == (1, "kong", None)
    assert document["text"] == export_policy("kong", sample_policy()).text
    assert document["left_out"] == ["embedded"]
    budget = "the budget of 100 USD a day is not enforced"
    assert {"workflow": "support-simple", "text": budget} in document["notes"]


def test_json_names_the_file_instead_of_repeating_it(calibrate) -> None:
    status, stdout, _ = calibrate("export", "json", "--json", "--out", "flat.json")
    document = json.loads(stdout)
    assert (status, document["file"], document["text"]) == (0, "flat.json", None)
    assert Path("flat.json").read_text() == export_policy("json", SMALL).text


def test_another_policy_and_a_default_may_be_named(calibrate) -> None:
    write(sample_policy(), "other.yaml")
    _, stdout, _ = calibrate(
        "export", "portkey", "--policy", "other.yaml", "--default", "support-simple"
    )
    assert json.loads(stdout)["strategy"]["default"] == "support-simple"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["litelm"],
            "no calibrate.exporters plugin is called 'litelm'; did you mean 'litellm'? (known: "
            "agentgateway, envoy, envoy-ai, json, kong, litellm, openrouter, portkey, vllm-sr)",
        ),
        (
            ["litellm", "--default", "two"],
            "the policy has no workflow 'two' (known: one)",
        ),
        (
            ["litellm", "--policy", "gone.yaml"],
            "gone.yaml: no such file; `calibrate run` makes a policy",
        ),
    ],
)
def test_what_is_not_there_is_no_answer(calibrate, arguments: list[str], problem: str) -> None:
    assert calibrate("export", *arguments) == (2, "", f"error: {problem}\n")


def test_a_policy_of_which_nothing_is_left_writes_no_file(calibrate) -> None:
    near = chat_model(method="nearest_example")
    write(policy_of({"m": near}, {"one": workflow("m"), "two": workflow("m")}))
    Path("old.yaml").write_text("old")
    status, stdout, stderr = calibrate("export", "litellm", "--out", "old.yaml")
    assert (status, stdout) == (2, "")
    assert [line[:20] for line in stderr.splitlines()] == [
        "error: one: left out",
        "error: two: left out",
    ]
    assert Path("old.yaml").read_text() == "old"


def test_a_file_that_cannot_be_written_is_no_answer(calibrate) -> None:
    Path("taken").write_text("a file, and no folder")
    status, stdout, stderr = calibrate("export", "json", "--out", "taken/out.json")
    assert (status, stdout) == (2, "")
    assert stderr.startswith("error: taken/out.json: cannot be written: ")


def test_the_gateways_are_listed_in_the_help(calibrate) -> None:
    status, stdout, _ = calibrate("export", "--help")
    assert status == 0
    for name, exporter in EXPORTERS.items():
        assert f"  {name:<14}{exporter.SUMMARY}\n" in stdout


def install(monkeypatch: pytest.MonkeyPatch, **names: object) -> None:
    """Let an installed package bring the gateway `ours`, an object with these names."""

    class Installed(EntryPoint):
        def load(self) -> object:
            return SimpleNamespace(**names)

    def entry_points(group: str, **named: str) -> list[EntryPoint]:
        found = [Installed("ours", "ours:exporter", group)]
        return [entry for entry in found if named.get("name", entry.name) == entry.name]

    monkeypatch.setattr(plugins, "entry_points", entry_points)


def test_an_installed_package_may_bring_a_gateway(calibrate, monkeypatch) -> None:
    def export(policy: Policy) -> Exported:
        return Exported(f"{sorted(policy.workflows)} {policy.default}\n")

    install(monkeypatch, SUMMARY="ours", export=export)
    assert calibrate("export", "ours", "--default", "one") == (0, "['one'] one\n", "")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"SUMMARY": "ours"}, "is no exporter: it has no `export`"),
        ({"export": lambda policy: "text"}, "returned a str and no `Exported`"),
    ],
)
def test_a_plugin_that_is_no_exporter_is_no_answer(
    calibrate, monkeypatch, names: dict[str, object], problem: str
) -> None:
    install(monkeypatch, **names)
    error = f"error: the calibrate.exporters plugin 'ours' {problem}\n"
    assert calibrate("export", "ours") == (2, "", error)
