"""agentgateway: a virtual model for each workflow, over models that only it can ask."""

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

SUMMARY = "agentgateway (config.yaml)"
_PROVIDERS = {"openai": "openAI", "anthropic": "anthropic"}
_ENFORCEMENT = Enforcement(output="fixed", long_inputs="error", timeout=False, prices=True)
_HEADER = (
    "agentgateway: routes of a calibrated policy, written by `calibrate export agentgateway`.",
    "Start with: agentgateway -f FILE. Keys are read from the environment when it starts.",
    "Checked against its schema of August 2026; not run.",
)
_NO_RETRY = "a failed request is not repeated: the requests after it go to the next model, for 30 s"
_PORT = 4000


def export(policy: Policy) -> Exported:
    """Return a whole configuration file."""
    plan = plan_routes(policy, kinds=frozenset(_PROVIDERS))
    notes = all_notes(plan, _ENFORCEMENT, [Note(None, _NO_RETRY)])
    virtual = [_virtual(route.name, route) for route in plan.routes]
    if plan.default is not None:
        virtual.append(_virtual("*", plan.default))
    document = {
        "config": {"modelCatalog": [{"inline": {"providers": _prices(plan)}}]},
        "gateways": {"default": {"port": _PORT}},
        "llm": {
            "models": [model for route in plan.routes for model in _models(route)],
            "virtualModels": virtual,
        },
    }
    told = [Note(note.workflow, _escaped(note.text)) for note in notes]
    return Exported(yaml_text(told, document, header=_HEADER), notes, plan.left_out)


def _virtual(name: str, route: GatewayRoute) -> dict[str, Any]:
    targets = [
        {"model": _name(route, target), "priority": priority}
        for priority, target in enumerate(route.chain)
    ]
    return {"name": name, "routing": {"failover": {"targets": targets}}}


def _name(route: GatewayRoute, target: Target) -> str:
    return f"{route.name}/{target.name}"


def _models(route: GatewayRoute) -> Iterator[dict[str, Any]]:
    """Yield the models of a route; each has the route's limits, and no client can ask for it."""
    for target in route.chain:
        yield {
            "name": _name(route, target),
            "visibility": "internal",
            **_call(target),
            "overrides": {
                **_escaped(target.model.parameters),
                "max_tokens": route.limits.max_output_tokens,
            },
            "health": {
                "unhealthyExpression": "response.code >= 400",
                "eviction": {"duration": "30s", "consecutiveFailures": 1},
            },
        }


def _call(target: Target) -> dict[str, Any]:
    params = {"model": _escaped(target.model.name), "baseUrl": target.base_url}
    if target.model.api_key_env is not None:
        params["apiKey"] = f"${target.model.api_key_env}"
    return {"provider": _PROVIDERS[target.model.kind], "params": params}


def _prices(plan: Plan) -> dict[str, Any]:
    """Return the price catalogue; a name that is served twice has the dearer price."""
    providers: dict[str, Any] = {}
    priced = [(token_price(target.model), target.model) for target in plan.targets]
    known = [(price, model) for price, model in priced if price is not None]
    for price, model in sorted(known, key=lambda pair: pair[0].output_usd_per_mtok):
        models = providers.setdefault(model.kind, {"models": {}})["models"]
        rates = {"input": str(price.input_usd_per_mtok), "output": str(price.output_usd_per_mtok)}
        if price.cached_input_usd_per_mtok is not None:
            rates["cacheRead"] = str(price.cached_input_usd_per_mtok)
        models[_escaped(model.name)] = {"rates": rates}
    return providers


def _escaped(value: Any) -> Any:
    """Return a value in which `$` is no variable: agentgateway expands them everywhere."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value
