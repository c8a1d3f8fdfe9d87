"""vLLM Semantic Router: an entry point and a recipe for each workflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from calibrate.exporters.base import Exported, Note
from calibrate.exporters.enforcement import Enforcement, all_notes
from calibrate.exporters.prices import token_price
from calibrate.exporters.rendering import yaml_text
from calibrate.exporters.routing import GatewayRoute, Plan, Target, plan_routes
from calibrate.policy import Policy

__all__ = ["SUMMARY", "export"]

SUMMARY = "vLLM Semantic Router (config.yaml, v0.3)"
_KINDS = frozenset({"openai", "anthropic"})
_SIGNAL = "answer_logprob"  # the mean over all tokens, which is its `avg_logprob`
_LOWEST_LOGPROB = -3.0
_ENFORCEMENT = Enforcement(output="cap", long_inputs="tokens", timeout=True, prices=True)
_HEADER = (
    "vLLM Semantic Router: routes of a calibrated policy, by `calibrate export vllm-sr`.",
    "Check with: vllm-sr config validate --config FILE. Start with: vllm-sr serve FILE",
    "Checked with the validator of vllm-sr 0.4.0; not run.",
)
_UNBOUNDED = "2000000000"  # tokens: a band has an upper end
_FAILURES = [408, 409, 429, 500, 502, 503, 504]


def export(policy: Policy) -> Exported:
    """Return a whole configuration file."""
    plan = plan_routes(policy, kinds=_KINDS, signals=frozenset({_SIGNAL}))
    notes = all_notes(plan, _ENFORCEMENT, _more_notes(plan))
    document: dict[str, Any] = {
        "version": "v0.3",
        "listeners": [
            {"name": "http", "address": "127.0.0.1", "port": 8899, "timeout": _total(plan)}
        ],
        "providers": {
            "defaults": {"model": (plan.default or plan.routes[0]).chain[0].name},
            "models": [_provider_model(target) for target in plan.targets],
        },
        "routing": {
            "modelCards": [_card(target) for target in plan.targets],
            "decisions": [] if plan.default is None else list(_decisions(plan.default)),
            **({} if plan.default is None else _limits(plan.default)),
        },
        "entrypoints": [
            {"model_names": [route.name], "recipe": f"workflow/{route.name}"}
            for route in plan.routes
        ],
        "recipes": [
            {
                # `default` alone would be the top-level routing.
                "name": f"workflow/{route.name}",
                "routing": {**_limits(route), "decisions": list(_decisions(route))},
            }
            for route in plan.routes
        ],
    }
    return Exported(yaml_text(notes, document, header=_HEADER), notes, plan.left_out)


def _total(plan: Plan) -> str:
    """Return a time-out of the listener that no route's own attempts can pass."""
    totals = [(route.limits.timeout_s or 600) * len(route.targets) for route in plan.routes]
    return f"{round(max(totals)) + 1}s"


def _limits(route: GatewayRoute) -> dict[str, Any]:
    """Return the bands of input length and what follows a failure."""
    limit, attempts = route.max_input_tokens, max(len(route.chain), len(route.long_chain))
    limits: dict[str, Any] = {}
    if route.long is not None and limit is not None:
        limits["signals"] = {
            "context": [{"name": "long", "min_tokens": str(limit + 1), "max_tokens": _UNBOUNDED}]
        }
    fallback: dict[str, Any] = {
        "version": 1,
        "enabled": True,
        "max_attempts": attempts,
        "retryable_status_codes": _FAILURES,
    }
    if route.limits.timeout_s is not None:
        milliseconds = max(round(route.limits.timeout_s * 1000), 1)
        fallback["per_attempt_timeout"] = f"{milliseconds}ms"
        fallback["total_timeout"] = f"{milliseconds * attempts}ms"
    return {**limits, "fallback": fallback}


def _decisions(route: GatewayRoute) -> Iterator[dict[str, Any]]:
    if route.long is not None and route.max_input_tokens is not None:
        yield _decision(f"{route.name}/long", 200, {"type": "context", "name": "long"}, route)
    yield _decision(route.name, 100, None, route)


def _decision(
    name: str, priority: int, condition: dict[str, Any] | None, route: GatewayRoute
) -> dict[str, Any]:
    if condition is not None:
        chain = route.long_chain
    elif route.escalation is not None:
        chain = route.chain[:2]  # each answer with a low signal would go on to the next
    else:
        chain = route.chain
    return {
        "name": name,
        "priority": priority,
        "rules": {"operator": "AND", "conditions": [condition] if condition else []},
        "modelRefs": [{"model": target.name, "use_reasoning": False} for target in chain],
        "algorithm": _algorithm(route) if condition is None else {"type": "static"},
        "plugins": [
            {
                "type": "request_params",
                "configuration": {"max_tokens_limit": route.limits.max_output_tokens},
            }
        ],
    }


def _algorithm(route: GatewayRoute) -> dict[str, Any]:
    if route.escalation is None:
        return {"type": "static"}
    # It maps a mean log-probability from [-3, 0] to [0, 1], and reads 0 as its own default.
    threshold = (route.escalation.below - _LOWEST_LOGPROB) / -_LOWEST_LOGPROB
    return {
        "type": "confidence",
        "confidence": {
            "confidence_method": "avg_logprob",
            "threshold": round(min(max(threshold, 0.0001), 1.0), 6),
            "escalation_order": "declared",
            "on_error": "skip",
        },
    }


def _provider_model(target: Target) -> dict[str, Any]:
    model = target.model
    backend: dict[str, Any] = {
        "name": "primary",
        "provider": model.kind,
        "base_url": target.base_url,
        "weight": 100,
    }
    if model.api_key_env is not None:
        backend["api_key_env"] = model.api_key_env
    price = token_price(model)
    pricing: dict[str, Any] = {}
    if price is not None:
        pricing = {
            "currency": "USD",
            "prompt_per_1m": price.input_usd_per_mtok,
            "completion_per_1m": price.output_usd_per_mtok,
        }
        if price.cached_input_usd_per_mtok is not None:
            pricing["cached_input_per_1m"] = price.cached_input_usd_per_mtok
    return {
        "name": target.name,
        "provider_model_id": model.name,
        **({"api_format": "anthropic"} if model.kind == "anthropic" else {}),
        "backend_refs": [backend],
        **({"pricing": pricing} if pricing else {}),
    }


def _card(target: Target) -> dict[str, Any]:
    window = target.model.context_window
    return {"name": target.name, **({"context_window_size": window} if window else {})}


def _more_notes(plan: Plan) -> Iterator[Note]:
    for route in plan.routes:
        if route.escalation is not None and len(route.chain) > 2:
            rest = ", ".join(target.alias for target in route.chain[2:])
            text = f"no fallback to {rest}: whoever is named is also asked when a signal is low"
            yield Note(route.workflow, text)
    for target in plan.targets:
        if target.model.parameters:
            names = ", ".join(target.model.parameters)
            yield Note(None, f"{target.alias}: no place here for its parameters: {names}")
    yield Note(None, "clients can also ask for the models by their own names")
