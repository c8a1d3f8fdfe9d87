"""Kong Gateway: one AI Proxy Advanced plugin for each workflow, in decK's declarative format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from calibrate.exporters.base import Exported, Note
from calibrate.exporters.enforcement import Enforcement, all_notes
from calibrate.exporters.naming import kubernetes_name
from calibrate.exporters.prices import token_price
from calibrate.exporters.rendering import yaml_text
from calibrate.exporters.routing import GatewayRoute, Plan, Target, plan_routes
from calibrate.policy import Policy, PolicyModel

__all__ = ["SUMMARY", "export"]

SUMMARY = "Kong Gateway Enterprise 3.14 (decK, AI Proxy Advanced)"
_PATHS = {"openai": "/chat/completions", "anthropic": "/messages"}
_ENFORCEMENT = Enforcement(output="default", long_inputs="error", timeout=True, prices=True)
_HEADER = (
    "Kong Gateway: routes of a calibrated policy, written by `calibrate export kong`.",
    "Apply with: deck gateway sync FILE. decK reads keys from variables that begin with DECK_:",
    "the policy's OPENAI_API_KEY is DECK_OPENAI_API_KEY.",
    "The header x-calibrate-workflow names the workflow; the body has the same name as `model`,",
    "or none. Checked against the schema of AI Proxy Advanced 3.15; not run.",
)
_HEADER_NAME = "x-calibrate-workflow"
_OPTIONS = ("temperature", "top_p", "top_k")
_MOST_MS = 2_147_483_646
_FAILURES = [
    *("error", "timeout", "invalid_header", "non_idempotent"),
    *("http_403", "http_404", "http_429", "http_500", "http_502", "http_503", "http_504"),
]


def export(policy: Policy) -> Exported:
    """Return declarative configuration for decK: a service, and a route for each workflow."""
    plan = plan_routes(policy, kinds=frozenset(_PATHS), refuse=_unsafe)
    notes = all_notes(plan, _ENFORCEMENT, _more_notes(plan))
    routes = [_route(route, {_HEADER_NAME: [route.name]}) for route in plan.routes]
    if plan.default is not None:
        routes.append(_route(plan.default, None))
    document = {
        "_format_version": "3.0",
        "services": [
            {
                "name": "calibrate",
                # Never asked: the plugin answers in its place.
                "url": "http://localhost:32000",
                "routes": routes,
            }
        ],
    }
    return Exported(yaml_text(notes, document, header=_HEADER), notes, plan.left_out)


def _unsafe(model: PolicyModel, base_url: str) -> str | None:
    """Return why decK or Kong would not send a model's name as it is."""
    if "{{" in model.name or "{vault" in model.name:
        return "has a name that would be read as a reference"
    return None


def _more_notes(plan: Plan) -> Iterator[Note]:
    for route in plan.routes:
        if len(route.chain) > 1:
            text = "an answer of 400 or 401 is passed on to the client, not to the next model"
            yield Note(route.workflow, text)
    for target in plan.targets:
        others = [key for key in target.model.parameters if key not in _OPTIONS]
        if others:
            text = f"no place here for its parameters: {', '.join(others)}"
            yield Note(None, f"{target.alias}: {text}")


def _route(route: GatewayRoute, headers: dict[str, Any] | None) -> dict[str, Any]:
    name = kubernetes_name(route.name if headers else "*default")
    return {
        "name": f"calibrate-{name}",
        "paths": ["/v1/chat/completions"],
        "methods": ["POST"],
        **({"headers": headers} if headers else {}),
        "plugins": [{"name": "ai-proxy-advanced", "config": _plugin(route)}],
    }


def _plugin(route: GatewayRoute) -> dict[str, Any]:
    timeout_s = route.limits.timeout_s
    balancer: dict[str, Any] = {
        "algorithm": "priority",
        "retries": len(route.chain) - 1,
        "failover_criteria": _FAILURES,
    }
    if timeout_s is not None:
        milliseconds = min(max(round(timeout_s * 1000), 1), _MOST_MS)
        balancer |= {"connect_timeout": milliseconds, "read_timeout": milliseconds}
    targets = [_target(target, route, at) for at, target in enumerate(route.chain)]
    return {"balancer": balancer, "targets": targets}


def _target(target: Target, route: GatewayRoute, priority: int) -> dict[str, Any]:
    model = target.model
    options: dict[str, Any] = {
        "max_tokens": route.limits.max_output_tokens,
        **{key: model.parameters[key] for key in _OPTIONS if key in model.parameters},
        "upstream_url": target.base_url + _PATHS[model.kind],
    }
    if model.kind == "anthropic":
        options["anthropic_version"] = "2023-06-01"
    price = token_price(model)
    if price is not None:
        options["input_cost"] = price.input_usd_per_mtok
        options["output_cost"] = price.output_usd_per_mtok
        if price.cached_input_usd_per_mtok is not None:
            options["cache_read_cost"] = price.cached_input_usd_per_mtok
        # A price of nothing is none: the schema wants more than zero.
        for key in ("input_cost", "output_cost", "cache_read_cost"):
            if not options.get(key, 1):
                del options[key]
    return {
        "route_type": "llm/v1/chat",
        # The heaviest first; a model of less weight is asked when all above it failed.
        "weight": 65_535 - priority,
        **({"auth": _auth(model.kind, model.api_key_env)} if model.api_key_env else {}),
        "model": {
            "provider": model.kind,
            "name": model.name,
            # Another `model` than the name or an alias of a target is refused.
            "model_alias": route.name,
            "options": options,
        },
    }


def _auth(kind: str, key: str) -> dict[str, str]:
    reference = '${{ env "DECK_' + key + '" }}'
    if kind == "anthropic":
        return {"header_name": "x-api-key", "header_value": reference}
    return {"header_name": "Authorization", "header_value": f"Bearer {reference}"}
