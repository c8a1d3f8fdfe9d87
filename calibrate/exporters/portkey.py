"""The Portkey gateway: one config object, which the client sends along in a header."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from calibrate.exporters.base import Exported, Note
from calibrate.exporters.enforcement import Enforcement, all_notes
from calibrate.exporters.rendering import json_text
from calibrate.exporters.routing import BASE_URLS, GatewayRoute, Plan, Target, plan_routes
from calibrate.policy import Policy

__all__ = ["SUMMARY", "export"]

SUMMARY = "Portkey gateway (the config of a request)"
_KINDS = frozenset({"openai", "anthropic"})
_ENFORCEMENT = Enforcement(output="fixed", long_inputs="failure", timeout=True, prices=False)
_GENERAL = (
    "the client puts the keys in place of the variables' names ($OPENAI_API_KEY) and sends the "
    "config in the header x-portkey-config",
    "a failed attempt goes to the next model at once, whatever the failure",
)
_TRUST = "TRUSTED_CUSTOM_HOSTS=localhost,127.0.0.1"
_PRIVATE_ENDINGS = (
    *(".local", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp"),
    *(".test", ".invalid", ".onion", ".localhost"),
)
# Node's servers refuse headers of more than 16 KiB in all.
_MOST_HEADER_BYTES = 12_000


def export(policy: Policy) -> Exported:
    """Return the config as JSON; what it cannot enforce stands under `_notes`."""
    plan = plan_routes(policy, kinds=_KINDS)
    strategy: dict[str, Any] = {
        "mode": "conditional",
        "conditions": [
            {"query": {"params.model": {"$eq": route.name}}, "then": route.name}
            for route in plan.routes
        ],
    }
    if plan.default is not None:
        strategy["default"] = plan.default.name
    document = {"strategy": strategy, "targets": [_route(route) for route in plan.routes]}
    more = [*_hosts_to_trust(plan), *(Note(None, text) for text in _GENERAL)]
    if len(json_text(document)) > _MOST_HEADER_BYTES:
        text = "the config may be too large for a header: send each client its own route"
        more.append(Note(None, text))
    notes = all_notes(plan, _ENFORCEMENT, more)
    told = {"_notes": [str(note) for note in notes]}
    return Exported(json_text({**told, **document}), notes, plan.left_out)


def _hosts_to_trust(plan: Plan) -> Iterator[Note]:
    """Yield a note where the gateway would refuse an address within one's own network."""
    hosts = {str(urlsplit(target.base_url).hostname) for target in plan.targets}
    private = ",".join(sorted(host for host in hosts if _is_private(host)))
    if private:
        yield Note(None, f"start it with {_TRUST},{private}: it refuses private addresses")


def _is_private(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        name, _, ending = host.rpartition(".")
        return host != "localhost" and (not name or f".{ending}" in _PRIVATE_ENDINGS)
    return not address.is_global and not address.is_loopback


def _route(route: GatewayRoute) -> dict[str, Any]:
    chain = [_call(target, route) for target in route.with_long_last]
    # Without a list of codes, anything but a success is a failure.
    return {"name": route.name, "strategy": {"mode": "fallback"}, "targets": chain}


def _call(target: Target, route: GatewayRoute) -> dict[str, Any]:
    model, limits = target.model, route.limits
    key = model.api_key_env
    call: dict[str, Any] = {
        "name": target.name,
        "provider": model.kind,
        "api_key": "none" if key is None else f"${key}",
        **({} if target.base_url == BASE_URLS[model.kind] else {"custom_host": target.base_url}),
        "override_params": {
            **model.parameters,
            "model": model.name,
            "max_tokens": limits.max_output_tokens,
        },
    }
    if limits.timeout_s is not None:
        call["request_timeout"] = max(round(limits.timeout_s * 1000), 1)
    return call
