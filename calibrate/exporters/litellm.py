"""The LiteLLM proxy: one model group for each route, its deployments tried in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from calibrate.exporters.base import Exported, Note
from calibrate.exporters.enforcement import Enforcement, all_notes
from calibrate.exporters.prices import per_token, token_price
from calibrate.exporters.rendering import yaml_text
from calibrate.exporters.routing import BASE_URLS, GatewayRoute, Target, input_limit, plan_routes
from calibrate.policy import Policy

__all__ = ["SUMMARY", "export"]

SUMMARY = "LiteLLM proxy (config.yaml)"
_KINDS = frozenset({"openai", "anthropic"})
_ENFORCEMENT = Enforcement(output="default", long_inputs="tokens", timeout=True, prices=True)
_HEADER = (
    "LiteLLM proxy: routes of a calibrated policy, written by `calibrate export litellm`.",
    "Start with: LITELLM_LOCAL_MODEL_COST_MAP=True litellm --config FILE",
    "Checked with LiteLLM 1.106.2. It ignores unknown keys: /v1/model/info tells what it holds.",
)
_GENERAL = (
    "a request that sets parameters such as temperature, timeout or fallbacks overrules the policy",
    "the groups NAME::long and NAME::refused are for LiteLLM's own use, but clients can see them",
)


def export(policy: Policy) -> Exported:
    """Return a whole `config.yaml`, or one to name in `include:` of another."""
    plan = plan_routes(policy, kinds=_KINDS)
    notes = all_notes(plan, _ENFORCEMENT, (Note(None, text) for text in _GENERAL))
    named = [(route.name, route) for route in plan.routes]
    if plan.default is not None:
        named.append(("*", plan.default))
    document = {
        "model_list": [d for name, route in named for d in _deployments(name, route)],
        "router_settings": {
            "num_retries": 1,
            "retry_after": 0,
            "retry_policy": {"TimeoutErrorRetries": 0},
            "cooldown_time": 5,
            "enable_pre_call_checks": True,
            # Once one route has such a list, a route without one fails on that error.
            "context_window_fallbacks": [
                {name: [f"{route.name}::{'long' if route.long else 'refused'}"]}
                for name, route in named
                if route.long or route.chain[1:]
            ],
            "content_policy_fallbacks": [
                {name: [f"{route.name}::refused"]} for name, route in named if route.chain[1:]
            ],
        },
        "litellm_settings": {
            "drop_params": True,
            "telemetry": False,
            "include_cost_in_streaming_usage": True,
        },
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }
    return Exported(yaml_text(notes, document, header=_HEADER), notes, plan.left_out)


def _deployments(name: str, route: GatewayRoute) -> Iterator[dict[str, Any]]:
    """Yield the group of a name with its helpers: for long inputs, and for refused contents."""
    limit = route.max_input_tokens
    yield from _group(name, route, route.chain, limit)
    if name != "*":
        yield from _group(f"{name}::long", route, route.long_chain, None)
        yield from _group(f"{name}::refused", route, route.chain[1:], limit)


def _group(
    name: str, route: GatewayRoute, chain: Sequence[Target], limit: int | None
) -> Iterator[dict[str, Any]]:
    for order, target in enumerate(chain, start=1):
        limits = [n for n in (limit, input_limit(target, route.limits)) if n is not None]
        yield {
            "model_name": name,
            "litellm_params": _call(target, route, order),
            "model_info": {
                "id": f"{name}/{order}/{target.name}",
                **({"max_input_tokens": min(limits)} if limits else {}),
            },
        }


def _call(target: Target, route: GatewayRoute, order: int) -> dict[str, Any]:
    model, limits = target.model, route.limits
    call: dict[str, Any] = {**model.parameters, "model": f"{model.kind}/{model.name}"}
    if target.base_url != BASE_URLS[model.kind]:
        # LiteLLM adds the version to an address of Anthropic's format itself.
        versioned = model.kind == "anthropic"
        call["api_base"] = target.base_url.removesuffix("/v1") if versioned else target.base_url
    # Without a key LiteLLM would send this server the one of the kind's own service.
    key = model.api_key_env
    call["api_key"] = "none" if key is None else f"os.environ/{key}"
    call |= {"order": order, "max_tokens": limits.max_output_tokens, "max_retries": 0}
    if limits.timeout_s is not None:
        call |= {"timeout": limits.timeout_s, "stream_timeout": limits.timeout_s}
    price = token_price(model)
    if price is not None:
        call["input_cost_per_token"] = per_token(price.input_usd_per_mtok)
        call["output_cost_per_token"] = per_token(price.output_usd_per_mtok)
        if price.cached_input_usd_per_mtok is not None:
            call["cache_read_input_token_cost"] = per_token(price.cached_input_usd_per_mtok)
    return call
