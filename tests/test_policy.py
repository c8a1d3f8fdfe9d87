"""The routing policy: schema, load, dump, route."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.document import load_document
from calibrate.errors import OutputError, PolicyError
from calibrate.policy import (
    Escalation,
    Evidence,
    Inputs,
    Policy,
    PolicyModel,
    PolicyOrigin,
    Rejected,
    ServingLimits,
    WorkflowPolicy,
    dump_policy,
    load_policy,
    parse_policy,
    write_policy,
)

DIGEST = "sha256:" + "0" * 64
TEXT = """\
version: 1
generated_by: calibrate 0.1.0
models:
  large:
    endpoint: openai
    kind: openai
    name: large-1
    method: chat
    context_window: 1000
  small:
    endpoint: local
    kind: openai
    name: small-1
    base_url: http://127.0.0.1:9/v1
    api_key_env: LOCAL_KEY
    method: chat
    context_window: 100
    parameters:
      temperature: 0
    price:
      input_usd_per_mtok: 0.1
    origin:
      verified: false
      note: made at home
workflows:
  triage:
    status: certified
    tier: cheap
    model: small
    fallbacks:
    - large
    escalation: null
    over_context: large
    limits:
      max_output_tokens: 8
      timeout_s: 10.0
    evidence:
      bar:
        pass_rate: 0.9
        confidence: 0.95
      rule: full
      test: exact
      floor: 0.9
      candidates: 2
      alpha_spent: 0.025
      attempt: 1
      cases_used: 143
      cases: 300
      passed: 139
      failed_calls: 0
      estimate: 0.972
      lower_bound: 0.923
      cost_usd_per_1k_requests: 0.12
      cost_basis: measured
      baseline: large
      baseline_cost_usd_per_1k_requests: 3.1
      baseline_cost_basis: estimated
      saving: 0.961
      latency_p95_s: 0.8
      signature: triage|model:small|n:143
      rejected:
      - model: tiny
        verdict: failed
        reason: quality
        cases_used: 40
        upper_bound: 0.84
    inputs:
      prompt: sha256:0000000000000000000000000000000000000000000000000000000000000000
      dataset: sha256:0000000000000000000000000000000000000000000000000000000000000000
      graders: sha256:0000000000000000000000000000000000000000000000000000000000000000
      models: sha256:0000000000000000000000000000000000000000000000000000000000000000
      prices: sha256:0000000000000000000000000000000000000000000000000000000000000000
      bar: sha256:0000000000000000000000000000000000000000000000000000000000000000
      procedure: '1'
"""
POLICY = Policy(
    version=1,
    generated_by="calibrate 0.1.0",
    models={
        "large": PolicyModel("openai", "openai", "large-1", context_window=1000),
        "small": PolicyModel(
            endpoint="local",
            kind="openai",
            name="small-1",
            base_url="http://127.0.0.1:9/v1",
            api_key_env="LOCAL_KEY",
            context_window=100,
            parameters={"temperature": 0},
            price={"input_usd_per_mtok": 0.1},
            origin=PolicyOrigin(False, "made at home"),
        ),
    },
    workflows={
        "triage": WorkflowPolicy(
            status="certified",
            tier="cheap",
            model="small",
            fallbacks=("large",),
            escalation=None,
            over_context="large",
            limits=ServingLimits(8, 10.0),
            evidence=Evidence(
                bar={"pass_rate": 0.9, "confidence": 0.95},
                rule="full",
                floor=0.9,
                candidates=2,
                alpha_spent=0.025,
                cases_used=143,
                cases=300,
                passed=139,
                failed_calls=0,
                estimate=0.972,
                lower_bound=0.923,
                cost_usd_per_1k_requests=0.12,
                cost_basis="measured",
                baseline="large",
                baseline_cost_usd_per_1k_requests=3.1,
                baseline_cost_basis="estimated",
                saving=0.961,
                latency_p95_s=0.8,
                signature="triage|model:small|n:143",
                rejected=(Rejected("tiny", "failed", "quality", 40, upper_bound=0.84),),
            ),
            inputs=Inputs(*[DIGEST] * 6, "1"),
        )
    },
)


def parsed(text: str) -> Policy:
    return parse_policy(load_document("p.yaml", text, PolicyError))


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        parsed(text)
    return caught.value.problems


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def line_of(piece: str) -> int:
    return TEXT[: TEXT.index(piece)].count("\n") + 1


def test_the_bytes_of_a_policy_never_change() -> None:
    assert dump_policy(POLICY) == TEXT


def test_a_policy_is_read_as_it_was_written() -> None:
    assert parsed(TEXT) == POLICY


TEXTS = st.text(max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MODELS = st.builds(
    PolicyModel,
    endpoint=TEXTS,
    kind=TEXTS,
    name=TEXTS,
    base_url=st.none() | TEXTS,
    api_key_env=st.none() | TEXTS,
    method=st.sampled_from(["chat", "nearest_example"]),
    context_window=st.none() | st.integers(1, 10**7),
    parameters=st.dictionaries(TEXTS, JSON, max_size=3),
    price=st.dictionaries(TEXTS, NUMBERS, max_size=3),
    origin=st.none() | st.builds(PolicyOrigin, st.booleans(), TEXTS),
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_dump_and_load_are_exact(data: st.DataObject) -> None:
    models = data.draw(st.dictionaries(TEXTS, MODELS, min_size=1, max_size=3))
    alias = st.sampled_from(list(models))
    rejected = st.builds(
        Rejected,
        model=TEXTS,
        verdict=st.sampled_from(["certified", "failed", "undecided"]),
        reason=TEXTS,
        cases_used=st.integers(),
        estimate=st.none() | NUMBERS,
        lower_bound=st.none() | NUMBERS,
        upper_bound=st.none() | NUMBERS,
    )
    (base,) = POLICY.workflows.values()
    evidence = replace(
        base.evidence,
        bar=data.draw(st.dictionaries(TEXTS, JSON, max_size=3)),
        alpha_spent=data.draw(NUMBERS),
        estimate=data.draw(st.none() | NUMBERS),
        saving=data.draw(st.none() | NUMBERS),
        signature=data.draw(TEXTS),
        rejected=tuple(data.draw(st.lists(rejected, max_size=2))),
        cases_to_settle=data.draw(st.none() | st.integers()),
    )
    chosen = data.draw(alias)
    entry = replace(
        base,
        tier=data.draw(TEXTS),
        model=chosen,
        fallbacks=tuple(data.draw(st.lists(alias.filter(lambda a: a != chosen), max_size=2)))
        if len(models) > 1
        else (),
        escalation=data.draw(st.none() | st.builds(Escalation, TEXTS, NUMBERS, alias)),
        over_context=data.draw(st.none() | alias),
        limits=ServingLimits(
            data.draw(st.integers(1)),
            data.draw(st.none() | st.floats(0.001, 1e6)),
            data.draw(st.none() | st.floats(0, 1e9)),
        ),
        evidence=evidence,
    )
    policy = Policy(1, data.draw(TEXTS), models, {data.draw(TEXTS): entry})
    text = dump_policy(policy)
    assert parsed(text) == policy
    assert dump_policy(parsed(text)) == text


def test_a_policy_file_is_replaced_and_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("old")
    write_policy(path, POLICY)
    assert load_policy(path) == POLICY
    assert load_policy(str(path)) == POLICY
    assert path.read_bytes() == TEXT.encode()
    assert [found.name for found in tmp_path.iterdir()] == ["p.yaml"]


def test_a_policy_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").mkdir()
    with pytest.raises(OutputError) as caught:
        write_policy(tmp_path / "p.yaml", POLICY)
    assert caught.value.problems == (f"{tmp_path / 'p.yaml'}: cannot be written: Is a directory",)
    assert [found.name for found in tmp_path.iterdir()] == ["p.yaml"]


def test_a_missing_policy_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "p.yaml")
    assert caught.value.problems == (
        f"{tmp_path / 'p.yaml'}: no such file; `calibrate run` makes a policy",
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "version: 1",
            "version: 2",
            "p.yaml: version 2 is newer than this calibrate understands (1); upgrade calibrate-llm",
        ),
        ("version: 1", "version: 0", "p.yaml:1: version: expected one of 1, got 0"),
        ("version: 1", "version: '1'", "p.yaml:1: version: expected one of 1, got '1'"),
        ("version: 1", "version: true", "p.yaml:1: version: expected one of 1, got True"),
        (
            "    model: small\n",
            "    model: smal\n",
            "p.yaml:29: workflows.triage.model: no model is called 'smal'; did you mean 'small'?",
        ),
        (
            "    - large\n",
            "    - larg\n",
            "p.yaml:31: workflows.triage.fallbacks[0]: no model is called 'larg'; "
            "did you mean 'large'?",
        ),
        (
            "over_context: large",
            "over_context: xl",
            "p.yaml:33: workflows.triage.over_context: no model is called 'xl'",
        ),
        (
            "escalation: null",
            "escalation: {signal: label_margin, below: 0.6, to: xl}",
            "p.yaml:32: workflows.triage.escalation.to: no model is called 'xl'",
        ),
        (
            "    - large\n",
            "    - small\n",
            "p.yaml:30: workflows.triage.fallbacks: 'small' falls back to itself",
        ),
        (
            "max_output_tokens: 8",
            "max_output_tokens: -8",
            "p.yaml:35: workflows.triage.limits.max_output_tokens: must be at least 1, got -8",
        ),
        (
            "timeout_s: 10.0",
            "timeout_s: -1",
            "p.yaml:36: workflows.triage.limits.timeout_s: must be greater than 0, got -1",
        ),
        (
            "timeout_s: 10.0",
            "timeout_s: .nan",
            "p.yaml:36: workflows.triage.limits.timeout_s: expected a number, got nan",
        ),
        (
            "timeout_s: 10.0",
            "budget_usd_per_day: -0.5",
            "p.yaml:36: workflows.triage.limits.budget_usd_per_day: must not be negative, got -0.5",
        ),
        (
            "context_window: 1000",
            "context_window: 0",
            "p.yaml:9: models.large.context_window: must be at least 1",
        ),
        (
            "status: certified",
            "status: certifed",
            "p.yaml:27: workflows.triage.status: expected one of 'certified', 'uncertified', "
            "'unmet', got 'certifed'",
        ),
        (
            "    tier: cheap",
            "    teir: cheap\n    tier: cheap",
            "p.yaml:28: workflows.triage.teir: unknown key; did you mean 'tier'?",
        ),
        (
            "    tier: cheap\n",
            "    tier: cheap\n    tier: dear\n",
            "p.yaml:29: key 'tier' was given on line 28 already",
        ),
    ],
)
def test_a_policy_that_cannot_be_trusted_is_refused(old: str, new: str, problem: str) -> None:
    assert problems_of(changed(old, new)) == (problem,)


@pytest.mark.parametrize("text", ["", "[]", "words"])
def test_a_file_that_is_no_policy_is_refused(text: str) -> None:
    assert problems_of(text) == ("p.yaml: not a routing policy",)


def test_every_problem_of_a_policy_is_told_at_once() -> None:
    assert len(problems_of("version: 1\nmodels: 5\nworkflows: 6\n")) == 3


def test_a_request_goes_to_the_workflows_model() -> None:
    route = POLICY.route("triage")
    assert (route.alias, route.name, route.tier, route.status) == (
        *("small", "small-1", "cheap", "certified"),
    )
    assert [model.name for model in route.fallbacks] == ["large-1"]
    assert (route.limits, route.over_context) == (ServingLimits(8, 10.0), False)


@pytest.mark.parametrize(
    ("tokens", "alias", "fallbacks"),
    [
        (0, "small", ["large-1"]),
        (92, "small", ["large-1"]),  # 92 + 8 for the answer = 100, the window
        (93, "large", []),
        (992, "large", []),  # 992 + 8 = 1000
    ],
)
def test_an_input_that_is_too_large_goes_to_the_larger_model(
    tokens: int, alias: str, fallbacks: list[str]
) -> None:
    route = POLICY.route("triage", input_tokens=tokens)
    assert (route.alias, [model.name for model in route.fallbacks]) == (alias, fallbacks)
    assert route.over_context is (alias == "large")


def test_an_input_that_no_model_can_take_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        POLICY.route("triage", input_tokens=1993)
    assert caught.value.problems == ("triage: no model of the policy can take 1,993 input tokens",)


def test_without_a_larger_model_a_large_input_is_refused() -> None:
    policy = parsed(changed("over_context: large", "over_context: null"))
    with pytest.raises(PolicyError):
        policy.route("triage", input_tokens=93)


def test_a_model_without_a_window_takes_anything() -> None:
    policy = parsed(changed("    context_window: 100\n", ""))
    assert policy.route("triage", input_tokens=10**9).alias == "small"


def test_a_fallback_that_is_too_small_is_left_out() -> None:
    policy = parsed(changed("context_window: 1000", "context_window: 50"))
    assert policy.route("triage", input_tokens=80).fallbacks == ()


def test_an_unknown_workflow_is_named_with_the_known_ones() -> None:
    with pytest.raises(PolicyError) as caught:
        POLICY.route("tirage")
    assert caught.value.problems == (
        "the policy has no workflow 'tirage'; did you mean 'triage'? (known: triage)",
    )
    with pytest.raises(PolicyError, match="known: none"):
        Policy(1, "").route("triage")
