"""One policy with everything that an exporter meets, for golden files and running gateways."""

from __future__ import annotations

from typing import Any

from calibrate.policy import (
    Escalation,
    Evidence,
    Inputs,
    Policy,
    PolicyModel,
    PolicyPrice,
    ServingLimits,
    WorkflowPolicy,
)

__all__ = ["chat_model", "policy_of", "sample_policy", "workflow"]


def chat_model(**changes: Any) -> PolicyModel:
    """A model of OpenAI's own service."""
    values: dict[str, Any] = {
        "endpoint": "openai",
        "kind": "openai",
        "name": "small-1",
        "base_url": "https://api.openai.com/v1",
        "api_key_env": "OPENAI_API_KEY",
        "context_window": 4000,
        "parameters": {"temperature": 0},
        "price": PolicyPrice(input_usd_per_mtok=0.1, output_usd_per_mtok=0.4),
    }
    return PolicyModel(**{**values, **changes})


def workflow(model: str, **changes: Any) -> WorkflowPolicy:
    """A certified route; its evidence is no exporter's business."""
    evidence = Evidence(
        bar={"pass_rate": 0.9},
        rule="full",
        floor=0.9,
        candidates=2,
        alpha_spent=0.025,
        cases_used=60,
        cases=60,
        passed=60,
        failed_calls=0,
        estimate=1.0,
        lower_bound=0.94,
        cost_usd_per_1k_requests=0.1,
        cost_basis="measured",
        baseline="large",
        baseline_cost_usd_per_1k_requests=1.0,
        baseline_cost_basis="estimated",
        saving=0.9,
        latency_p95_s=0.5,
        signature="-",
    )
    values: dict[str, Any] = {
        "status": "certified",
        "tier": "cheap",
        "model": model,
        "fallbacks": (),
        "escalation": None,
        "over_context": None,
        "limits": ServingLimits(max_output_tokens=50),
        "evidence": evidence,
        "inputs": Inputs(*"abcdefg"),
    }
    return WorkflowPolicy(**{**values, **changes})


def policy_of(
    models: dict[str, PolicyModel],
    workflows: dict[str, WorkflowPolicy],
    default: str | None = None,
) -> Policy:
    return Policy(1, "calibrate 0.1.0", models, workflows, default=default)


def sample_policy(
    openai: str = "https://api.openai.com/v1",
    anthropic: str = "https://api.anthropic.com/v1",
    local: str = "http://127.0.0.1:8080/v1",
) -> Policy:
    """The policy of the golden files; its endpoints may be elsewhere."""
    models = {
        "small": chat_model(base_url=openai),
        "medium": chat_model(
            base_url=openai,
            name="medium-1",
            context_window=8000,
            price=PolicyPrice(
                input_usd_per_mtok=0.25,
                output_usd_per_mtok=2.0,
                cached_input_usd_per_mtok=0.025,
            ),
        ),
        "large": chat_model(
            base_url=openai,
            name="large-1",
            context_window=400_000,
            parameters={},
            price=PolicyPrice(input_usd_per_mtok=2.5, output_usd_per_mtok=10.0),
        ),
        "claude": chat_model(
            endpoint="anthropic",
            kind="anthropic",
            base_url=anthropic,
            api_key_env="ANTHROPIC_API_KEY",
            name="claude-1",
            context_window=200_000,
            parameters={},
            price=PolicyPrice(input_usd_per_mtok=1.0, output_usd_per_mtok=5.0),
        ),
        "own": chat_model(
            endpoint="local",
            base_url=local,
            api_key_env=None,
            name="own/model:q4",
            context_window=None,
            parameters={"temperature": 0, "seed": 7},
            price=PolicyPrice(usd_per_hour=1.2, concurrency=8),
        ),
        "near": chat_model(
            endpoint="local",
            base_url=local,
            api_key_env=None,
            name="near-1",
            method="nearest_example",
            context_window=256,
            parameters={},
            price=PolicyPrice(input_usd_per_mtok=0.02, output_usd_per_mtok=0.0),
        ),
    }
    workflows = {
        "support-simple": workflow(
            "small",
            fallbacks=("medium", "large"),
            over_context="large",
            limits=ServingLimits(max_output_tokens=50, timeout_s=2.0, budget_usd_per_day=100.0),
        ),
        "draft/reply": workflow("own", fallbacks=("large",), limits=ServingLimits(300, 8.5)),
        "letters": workflow("claude", limits=ServingLimits(300)),
        "priorité": workflow(
            "small", escalation=Escalation("answer_logprob", -0.3, "large"), fallbacks=("medium",)
        ),
        "triage": workflow("near", fallbacks=("medium",), over_context="large"),
        "labels": workflow(
            "near", escalation=Escalation("label_margin", 0.2, "medium"), over_context="large"
        ),
        "embedded": workflow("near"),
    }
    return policy_of(models, workflows)
