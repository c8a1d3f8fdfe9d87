"""`calibrate route`: what the policy says for a request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibrate.policy import dump_routes, load_policy

POLICY = """\
version: 1
generated_by: calibrate 0.1.0
models:
  large: {endpoint: openai, kind: openai, name: large-1, context_window: 1000}
  near:
    endpoint: local
    kind: openai
    name: near-1
    base_url: http://127.0.0.1:9/v1
    method: nearest_example
    context_window: 100
workflows:
  triage:
    status: certified
    tier: cheap
    model: near
    fallbacks: [large]
    escalation: null
    over_context: large
    limits: {max_output_tokens: 8}
    evidence:
      bar: {pass_rate: 0.9}
      rule: full
      floor: 0.9
      candidates: 2
      alpha_spent: 0.025
      cases_used: 10
      cases: 10
      passed: 10
      failed_calls: 0
      estimate: 1.0
      lower_bound: 0.9
      cost_usd_per_1k_requests: 0.1
      cost_basis: measured
      baseline: large
      baseline_cost_usd_per_1k_requests: 1.0
      baseline_cost_basis: estimated
      saving: 0.9
      latency_p95_s: 0.1
      signature: triage|model:near
    inputs: {prompt: a, dataset: b, graders: c, models: d, prices: e, bar: f, procedure: '1'}
"""


@pytest.fixture(autouse=True)
def _policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routing-policy.yaml").write_text(POLICY)


def test_it_says_where_a_request_goes(calibrate) -> None:
    assert calibrate("route", "triage", "--input-tokens", "12") == (
        0,
        "triage: near (near-1 at http://127.0.0.1:9/v1)\n"
        "status certified, tier cheap, at most 8 output tokens\n"
        "answers as an embeddings model: the label whose examples lie nearest on average\n"
        "falls back to large-1\n",
        "",
    )


def test_a_large_input_goes_elsewhere(calibrate) -> None:
    assert calibrate("route", "triage", "--input-tokens", "500") == (
        0,
        "triage: large (large-1 at openai)\n"
        "status certified, at most 8 output tokens\n"
        "the input is too large for the workflow's own model\n",
        "",
    )


def test_json_has_the_whole_route(calibrate) -> None:
    status, stdout, stderr = calibrate("route", "triage", "--json")
    assert (status, stderr) == (0, "")
    document = json.loads(stdout)
    assert list(document) == [
        *("schema", "workflow", "status", "tier", "alias", "model", "limits", "fallbacks"),
        *("escalation", "over_context", "override"),
    ]
    assert (document["alias"], document["model"]["name"]) == ("near", "near-1")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["tirage"],
            "the policy has no workflow 'tirage'; did you mean 'triage'? (known: triage)",
        ),
        (
            ["triage", "--input-tokens", "5000"],
            "triage: no model of the policy can take 5,000 input tokens",
        ),
        (
            ["triage", "--policy", "gone.yaml"],
            "gone.yaml: no such file; `calibrate run` makes a policy",
        ),
    ],
)
def test_no_route_is_no_answer(calibrate, arguments: list[str], problem: str) -> None:
    assert calibrate("route", *arguments) == (2, "", f"error: {problem}\n")


@pytest.mark.parametrize("tokens", ["-5", "many", "1.5"])
def test_what_is_no_number_of_tokens_is_refused(calibrate, tokens: str) -> None:
    status, stdout, stderr = calibrate("route", "triage", "--input-tokens", tokens)
    assert (status, stdout) == (2, "")
    assert stderr.endswith(f"--input-tokens: '{tokens}' is not a number of tokens\n")


def test_every_problem_of_a_policy_is_one_line(calibrate, tmp_path: Path) -> None:
    text = POLICY.replace("model: near", "model: neer").replace("over_context: large", "x: 1")
    (tmp_path / "routing-policy.yaml").write_text(text)
    assert calibrate("route", "triage") == (
        2,
        "",
        "error: routing-policy.yaml:19: workflows.triage.x: unknown key\n"
        "error: routing-policy.yaml:13: workflows.triage.over_context: is missing\n",
    )


def test_the_policy_is_found_upwards(
    calibrate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = calibrate("route", "triage").stdout
    inner = tmp_path / "src" / "service"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert calibrate("route", "triage") == (0, here, "")
    (tmp_path / "routing-policy.yaml").unlink()
    assert calibrate("route", "triage") == (
        2,
        "",
        "error: routing-policy.yaml: no such file; `calibrate run` makes a policy\n",
    )


def test_a_policy_that_is_found_upwards_is_named_in_full(
    calibrate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "routing-policy.yaml").write_text("[]")
    inner = tmp_path / "src"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert calibrate("route", "triage").stderr == (
        f"error: {tmp_path / 'routing-policy.yaml'}: not a routing policy\n"
    )


def test_an_override_is_told_with_its_owner_and_end(calibrate, tmp_path: Path) -> None:
    override = (
        "    override: {model: large, tier: frontier, owner: ana, reason: an incident, "
        "expires: '9999-12-31'}\n    evidence:\n"
    )
    (tmp_path / "routing-policy.yaml").write_text(POLICY.replace("    evidence:\n", override))
    assert calibrate("route", "triage") == (
        0,
        "triage: large (large-1 at openai)\n"
        "status certified, tier frontier, at most 8 output tokens\n"
        "overridden by ana until 9999-12-31: an incident; the status is that of the policy's own "
        "model\n",
        "",
    )
    document = json.loads(calibrate("route", "triage", "--json").stdout)
    assert document["override"]["owner"] == "ana"


def test_an_override_that_has_expired_is_not_followed(calibrate, tmp_path: Path) -> None:
    override = (
        "    override: {model: large, tier: frontier, owner: ana, reason: an incident, "
        "expires: '2020-02-29'}\n    evidence:\n"
    )
    (tmp_path / "routing-policy.yaml").write_text(POLICY.replace("    evidence:\n", override))
    assert calibrate("route", "triage").stdout.startswith("triage: near (near-1 at ")


def test_the_default_is_told_where_it_is_asked_for(calibrate, tmp_path: Path) -> None:
    text = POLICY.replace("generated_by:", "default: triage\ngenerated_by:")
    (tmp_path / "routing-policy.yaml").write_text(text)
    assert calibrate("route", "other", "--or-default").stdout.startswith("triage: near ")
    assert calibrate("route", "other").status == 2


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        ("", ""),
        (
            ", scale: {unit: difference of cosines, low: 0, high: 2}",
            " (difference of cosines, 0 to 2)",
        ),
    ],
)
def test_an_escalation_is_told_with_its_scale(
    scale: str, told: str, calibrate, tmp_path: Path
) -> None:
    entry = f"escalation: {{signal: label_margin, below: 0.25, to: large{scale}}}"
    (tmp_path / "routing-policy.yaml").write_text(POLICY.replace("escalation: null", entry))
    assert calibrate("route", "triage").stdout.endswith(
        f"escalates to large where label_margin is below 0.25{told}\n"
    )


def test_exported_routes_are_asked_like_the_policy(calibrate, tmp_path: Path) -> None:
    routes = dump_routes(load_policy(tmp_path / "routing-policy.yaml"))
    (tmp_path / "routes.json").write_text(routes)
    assert calibrate("route", "triage", "--policy", "routes.json") == calibrate("route", "triage")
