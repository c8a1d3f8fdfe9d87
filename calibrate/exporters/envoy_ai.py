"""Envoy AI Gateway: Kubernetes objects, one AIGatewayRoute for each workflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from calibrate.exporters.base import Exported, Note
from calibrate.exporters.enforcement import Enforcement, all_notes
from calibrate.exporters.naming import kubernetes_name
from calibrate.exporters.rendering import yaml_text
from calibrate.exporters.routing import GatewayRoute, Target, plan_routes
from calibrate.policy import Policy

__all__ = ["SUMMARY", "export"]

SUMMARY = "Envoy AI Gateway (Kubernetes objects)"
_KINDS = frozenset({"openai"})  # it does not translate chat completions for Anthropic's own API
_ENFORCEMENT = Enforcement(output="fixed", long_inputs="failure", timeout=True, prices=False)
_HEADER = (
    "Envoy AI Gateway: routes of a calibrated policy, written by `calibrate export envoy-ai`.",
    "It expects a Gateway `calibrate`, and for each key a Secret with the key under `apiKey`:",
    "the variable OPENAI_API_KEY of the policy is the Secret `openai-api-key`.",
    "Checked against the definitions of v1beta1; not run.",
)
_GATEWAY = "calibrate"
_AI, _EG, _GW = (
    "aigateway.envoyproxy.io",
    "gateway.envoyproxy.io",
    "gateway.networking.k8s.io",
)
_FAILURES = [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529]
_MOST_BODY_FIELDS = 16  # of a `bodyMutation`, as the definition has it


def export(policy: Policy) -> Exported:
    """Return the objects as one stream of YAML documents."""
    plan = plan_routes(policy, kinds=_KINDS)
    documents: list[dict[str, Any]] = []
    for route in plan.routes:
        documents += _route_objects(route, _match(route.name))
    if plan.default is not None:
        documents += _route_objects(plan.default, None)
    for target in plan.targets:
        documents += _backend_objects(target)
    more = [note for target in plan.targets for note in _notes_on(target)]
    notes = all_notes(plan, _ENFORCEMENT, more)
    return Exported(yaml_text(notes, *documents, header=_HEADER), notes, plan.left_out)


def _match(name: str) -> dict[str, Any]:
    return {"headers": [{"type": "Exact", "name": "x-ai-eg-model", "value": name}]}


def _route_objects(route: GatewayRoute, match: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the route and its way with failures; without a match it takes every other name."""
    name = kubernetes_name(route.name if match else "*default")
    chain = route.with_long_last
    rule: dict[str, Any] = {
        "backendRefs": [_reference(target, route, at) for at, target in enumerate(chain)]
    }
    if match is not None:
        rule = {"matches": [match], **rule}
    timeout_s = route.limits.timeout_s
    if timeout_s is not None:
        rule["timeouts"] = {"request": _duration(timeout_s * len(chain))}
    yield {
        "apiVersion": f"{_AI}/v1beta1",
        "kind": "AIGatewayRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": _GATEWAY, "kind": "Gateway", "group": _GW}],
            "rules": [rule],
        },
    }
    per_retry: dict[str, Any] = {"backOff": {"baseInterval": "10ms", "maxInterval": "100ms"}}
    if timeout_s is not None:
        per_retry["timeout"] = _duration(timeout_s)
    yield {
        "apiVersion": f"{_EG}/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": name},
        "spec": {
            # The HTTPRoute made of an AIGatewayRoute has its name.
            "targetRefs": [{"group": _GW, "kind": "HTTPRoute", "name": name}],
            "retry": {
                "numAttemptsPerPriority": 1,
                "numRetries": len(chain) - 1,
                "perRetry": per_retry,
                "retryOn": {
                    "httpStatusCodes": _FAILURES,
                    "triggers": ["connect-failure", "reset", "retriable-status-codes"],
                },
            },
        },
    }


def _reference(target: Target, route: GatewayRoute, priority: int) -> dict[str, Any]:
    values = {"max_tokens": route.limits.max_output_tokens, **_parameters(target)}
    fields = [{"path": key, "value": json.dumps(value)} for key, value in values.items()]
    return {
        "name": kubernetes_name(target.alias),
        "modelNameOverride": target.model.name,
        "priority": priority,
        "bodyMutation": {"set": fields},
    }


def _parameters(target: Target) -> dict[str, Any]:
    ours = ("model", "messages", "stream", "max_tokens", "")
    kept = [(key, value) for key, value in target.model.parameters.items() if key not in ours]
    return dict(kept[: _MOST_BODY_FIELDS - 1])


def _notes_on(target: Target) -> Iterator[Note]:
    if len(target.model.parameters) > len(_parameters(target)):
        yield Note(None, f"{target.alias}: some of its parameters have no place here")


def _backend_objects(target: Target) -> Iterator[dict[str, Any]]:
    """Yield how a model is called: its wire format, its address, its key and its certificate."""
    name = kubernetes_name(target.alias)
    address = urlsplit(target.base_url)
    backend = {"name": name, "kind": "Backend", "group": _EG}
    yield {
        "apiVersion": f"{_AI}/v1beta1",
        "kind": "AIServiceBackend",
        "metadata": {"name": name},
        "spec": {
            "schema": {"name": "OpenAI", "prefix": address.path or "/"},
            "backendRef": backend,
        },
    }
    is_tls = address.scheme == "https"
    host, port = str(address.hostname), address.port or (443 if is_tls else 80)
    yield {
        "apiVersion": f"{_EG}/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": name},
        "spec": {"endpoints": [_endpoint(host, port)]},
    }
    if is_tls:
        yield {
            "apiVersion": f"{_GW}/v1alpha3",
            "kind": "BackendTLSPolicy",
            "metadata": {"name": name},
            "spec": {
                "targetRefs": [{"group": _EG, "kind": "Backend", "name": name}],
                "validation": {"wellKnownCACertificates": "System", "hostname": host},
            },
        }
    if target.model.api_key_env is not None:
        secret = kubernetes_name(target.model.api_key_env.lower().replace("_", "-"))
        yield {
            "apiVersion": f"{_AI}/v1beta1",
            "kind": "BackendSecurityPolicy",
            "metadata": {"name": name},
            "spec": {
                "targetRefs": [{"group": _AI, "kind": "AIServiceBackend", "name": name}],
                "type": "APIKey",
                "apiKey": {"secretRef": {"name": secret}},
            },
        }


def _endpoint(host: str, port: int) -> dict[str, Any]:
    try:
        return {"ip": {"address": str(ip_address(host)), "port": port}}
    except ValueError:
        return {"fqdn": {"hostname": host, "port": port}}


def _duration(seconds: float) -> str:
    """Return a duration as the Gateway API reads it: whole units, at most five digits each."""
    milliseconds = max(round(seconds * 1000), 1)
    whole, rest = divmod(milliseconds, 1000)
    if not rest and whole < 100_000:
        return f"{whole}s"
    if milliseconds < 100_000:
        return f"{milliseconds}ms"
    return f"{min(-(-whole // 60), 99_999)}m" if whole >= 100_000 else f"{whole}s{rest}ms"
