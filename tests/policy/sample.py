"""One policy as text and as records, for the tests of the policy's modules."""

from __future__ import annotations

from calibrate.document import load_document
from calibrate.errors import PolicyError
from calibrate.policy import (
    Evidence,
    Inputs,
    Policy,
    PolicyModel,
    PolicyOrigin,
    PolicyPrice,
    Rejected,
    ServingLimits,
    WorkflowPolicy,
    parse_policy,
)

__all__ = ["DIGEST", "POLICY", "TEXT", "changed", "parsed"]

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
      estimate: 0.972028
      lower_bound: 0.923
      cost_usd_per_1k_requests: 0.12
      cost_basis: measured
      baseline: large
      baseline_cost_usd_per_1k_requests: 3.1
      baseline_cost_basis: estimated
      saving: 0.96129
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
            price=PolicyPrice(input_usd_per_mtok=0.1),
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
                estimate=0.972028,
                lower_bound=0.923,
                cost_usd_per_1k_requests=0.12,
                cost_basis="measured",
                baseline="large",
                baseline_cost_usd_per_1k_requests=3.1,
                baseline_cost_basis="estimated",
                saving=0.96129,
                latency_p95_s=0.8,
                signature="triage|model:small|n:143",
                rejected=(Rejected("tiny", "failed", "quality", 40, upper_bound=0.84),),
            ),
            inputs=Inputs(*[DIGEST] * 6, "1"),
        )
    },
)


def parsed(text: str, *, verify: bool = False) -> Policy:
    return parse_policy(load_document("p.yaml", text, PolicyError), verify=verify)


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)
