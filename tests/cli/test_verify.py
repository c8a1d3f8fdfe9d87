"""`calibrate verify`: does a deployed gateway still say what the policy says?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exporters.sample import chat_model, policy_of, workflow
from loopback import Loopback, chat

from calibrate.exporters import export_policy
from calibrate.policy import dump_policy

POLICY = policy_of({"m": chat_model()}, {"one": workflow("m")})
EXPORT = export_policy("litellm", POLICY).text


@pytest.fixture(autouse=True)
def _policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("routing-policy.yaml").write_text(dump_policy(POLICY), encoding="utf-8")
    Path("same.yaml").write_text(EXPORT)
    Path("other.yaml").write_text(EXPORT.replace("max_tokens: 50", "max_tokens: 5"))


def test_the_same_is_a_yes(calibrate) -> None:
    found = calibrate("verify", "litellm", "--config", "same.yaml")
    assert found == (0, "says what the policy says\n", "")


def test_a_difference_is_a_no_with_its_line(calibrate) -> None:
    line = next(n for n, one in enumerate(EXPORT.splitlines(), 1) if "max_tokens: 50" in one)
    assert calibrate("verify", "litellm", "--config", "other.yaml") == (
        1,
        f"other.yaml:{line}: one: model_list[one/1/m].litellm_params.max_tokens: is 5; due is 50\n",
        "",
    )


def test_json_is_one_document(calibrate) -> None:
    status, stdout, _ = calibrate("verify", "litellm", "--config", "other.yaml", "--json")
    document = json.loads(stdout)
    assert (status, document["same"], document["file"], document["url"]) == (
        1,
        False,
        "other.yaml",
        None,
    )
    (one,) = document["differences"]
    assert (one["workflow"], one["kind"], one["text"]) == ("one", "other", "is 5; due is 50")


def test_a_default_given_to_the_export_is_given_here(calibrate) -> None:
    calibrate("export", "litellm", "--default", "one", "--out", "default.yaml")
    assert calibrate("verify", "litellm", "--config", "default.yaml")[0] == 1
    assert calibrate("verify", "litellm", "--config", "default.yaml", "--default", "one")[0] == 0


def test_a_running_gateway_is_asked(calibrate) -> None:
    with Loopback(lambda received: chat("ok", model="small-1")) as server:
        assert calibrate("verify", "envoy", "--url", server.base_url)[0] == 0
    with Loopback(lambda received: chat("ok", model="large-1")) as server:
        found = calibrate("verify", "envoy", "--url", server.base_url)
    assert found == (1, 'one: answered by "large-1"; due is "small-1"\n', "")


def test_file_and_gateway_are_verified_together(calibrate, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-mine")
    calibrate("export", "portkey", "--out", "portkey.json")
    with Loopback(lambda received: chat("ok", model="small-1")) as server:
        arguments = ["--config", "portkey.json", "--url", server.base_url]
        assert calibrate("verify", "portkey", *arguments)[0] == 0
    assert "secret-of-mine" in server.received[0].headers["x-portkey-config"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["litellm"], "name what to verify: --config FILE, --url URL or both"),
        (["litellm", "--config", "gone.yaml"], "gone.yaml: no such file"),
        (
            ["envoy", "--url", "http://127.0.0.1:9", "--key-env", "NO_SUCH_KEY"],
            "endpoint 'envoy': the environment variable NO_SUCH_KEY is not set",
        ),
    ],
)
def test_what_cannot_be_verified_is_no_answer(
    calibrate, arguments: list[str], problem: str
) -> None:
    assert calibrate("verify", *arguments) == (2, "", f"error: {problem}\n")
