"""OpenRouter: the part of a request body that each workflow's client sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from calibrate.exporters.base import Exported, Note
from calibrate.exporters.enforcement import Enforcement, all_notes
from calibrate.exporters.prices import token_price
from calibrate.exporters.rendering import json_text
from calibrate.exporters.routing import GatewayRoute, Plan, Target, plan_routes
from calibrate.policy import Policy, PolicyModel

__all__ = ["SUMMARY", "export"]

SUMMARY = "OpenRouter (request bodies, by workflow)"
_KINDS = frozenset({"openai", "anthropic"})
_ENFORCEMENT = Enforcement(output="default", long_inputs="failure", timeout=False, prices=True)
# Services whose models OpenRouter lists under a prefix of their own.
_PREFIXES = {"api.openai.com": "openai", "api.anthropic.com": "anthropic"}
_HOST = "openrouter.ai"
_MOST_MODELS = 3  # of one request, the first included


def export(policy: Policy) -> Exported:
    """Return for each workflow what a client adds to its messages."""
    plan = plan_routes(policy, kinds=_KINDS, refuse=_unlisted)
    notes = all_notes(plan, _ENFORCEMENT, _more_notes(plan))
    document: dict[str, Any] = {
        "_notes": [str(note) for note in notes],
        "base_url": f"https://{_HOST}/api/v1",
        "api_key_env": "OPENROUTER_API_KEY",
        "requests": {route.name: _request(route) for route in plan.routes},
        "default": None if plan.default is None else plan.default.name,
    }
    return Exported(json_text(document), notes, plan.left_out)


def _unlisted(model: PolicyModel, base_url: str) -> str | None:
    """Return why a model cannot be had at OpenRouter."""
    host = urlsplit(base_url).hostname
    if host == _HOST or host in _PREFIXES:
        return None
    return f"is served at {host}, which OpenRouter does not ask"


def _listed_name(target: Target) -> str:
    prefix = _PREFIXES.get(str(urlsplit(target.base_url).hostname))
    return target.model.name if prefix is None else f"{prefix}/{target.model.name}"


def _request(route: GatewayRoute) -> dict[str, Any]:
    chain = route.with_long_last[:_MOST_MODELS]
    request: dict[str, Any] = {
        **chain[0].model.parameters,
        "models": [_listed_name(target) for target in chain],
        "max_tokens": route.limits.max_output_tokens,
    }
    prices = [token_price(target.model) for target in chain]
    known = [price for price in prices if price is not None]
    if len(known) == len(prices):
        request["provider"] = {
            "max_price": {
                "prompt": max(price.input_usd_per_mtok for price in known),
                "completion": max(price.output_usd_per_mtok for price in known),
            },
            "require_parameters": True,
        }
    return request


def _more_notes(plan: Plan) -> Iterator[Note]:
    for route in plan.routes:
        chain = route.with_long_last
        if len(chain) > _MOST_MODELS:
            rest = ", ".join(target.alias for target in chain[_MOST_MODELS:])
            text = f"a request names at most {_MOST_MODELS} models: {rest} is left out"
            yield Note(route.workflow, text)
        first = chain[0].model.parameters
        if any(target.model.parameters != first for target in chain[1:_MOST_MODELS]):
            yield Note(route.workflow, "every model of the chain gets the first one's parameters")
    for target in plan.targets:
        name = _listed_name(target)
        if name != target.model.name:
            text = f"{target.alias} was measured elsewhere: see that OpenRouter lists it as {name}"
            yield Note(None, text)
    yield Note(None, "the client sends the request of its workflow; OpenRouter keeps no routes")
