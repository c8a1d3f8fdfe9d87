"""Envoy itself, without an AI extension: a script names the route, clusters are its chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from calibrate.exporters.base import Exported, Note
from calibrate.exporters.enforcement import Enforcement, all_notes
from calibrate.exporters.envoy_scripts import (
    LIMIT,
    READY,
    ROUTE,
    entrance_script,
    long_name,
    model_script,
)
from calibrate.exporters.rendering import yaml_text
from calibrate.exporters.routing import GatewayRoute, Plan, Target, plan_routes
from calibrate.policy import Policy

__all__ = ["SUMMARY", "export"]

SUMMARY = "Envoy (a whole bootstrap configuration)"
_KINDS = frozenset({"openai"})
_ENFORCEMENT = Enforcement(output="cap", long_inputs="bytes", timeout=True, prices=False)
_HEADER = (
    "Envoy: routes of a calibrated policy, written by `calibrate export envoy`.",
    "Start with: envoy -c FILE. Keys are read from the environment when it starts.",
    "Checked with Envoy 1.40. It listens on this machine only: access control goes before it.",
)
_GENERAL = (
    "a failed attempt goes to the next model at once, never to the same one again",
    "only /v1/chat/completions is served",
)
_BODY_BYTES = 16 * 1024 * 1024
_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
_FAILURES = [400, 401, 403, 404, 408, 409, 413, 422, 429]
_NOT_FOUND = {
    "match": {"prefix": "/"},
    "direct_response": {
        "status": 404,
        "body": {
            "inline_string": '{"error":{"message":"nothing is served here",'
            '"type":"invalid_request_error","code":null}}'
        },
    },
}
_V3 = "type.googleapis.com/envoy.extensions"


def export(policy: Policy) -> Exported:
    """Return a bootstrap configuration for Envoy."""
    plan = plan_routes(policy, kinds=_KINDS)
    notes = all_notes(plan, _ENFORCEMENT, (Note(None, text) for text in _GENERAL))
    chains = [item for route in plan.routes for item in _chains(route).items()]
    document = {
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {"@type": f"{_V3}.bootstrap.internal_listener.v3.InternalListener"},
            }
        ],
        "static_resources": {
            "listeners": [_entrance(plan), *map(_model_listener, plan.targets)],
            "clusters": [
                *(_chain_cluster(key, chain) for key, chain in chains),
                *(cluster for target in plan.targets for cluster in _model_clusters(target)),
            ],
        },
    }
    return Exported(yaml_text(notes, document, header=_HEADER), notes, plan.left_out)


def _entrance(plan: Plan) -> dict[str, Any]:
    """Return the listener that finds the route of a request by the model it asks for."""
    routes = [
        _route(key, chain, route) for route in plan.routes for key, chain in _chains(route).items()
    ]
    return {
        "name": "calibrate",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 10000}},
        "per_connection_buffer_limit_bytes": _BODY_BYTES,
        "filter_chains": [_http("calibrate", entrance_script(plan), routes)],
    }


def _route(key: str, chain: tuple[Target, ...], route: GatewayRoute) -> dict[str, Any]:
    timeout_s = route.limits.timeout_s
    total = "0s" if timeout_s is None else _seconds(timeout_s * len(chain))
    action: dict[str, Any] = {"cluster": f"chain/{key}", "timeout": total}
    if len(chain) > 1:
        action["retry_policy"] = _retries(len(chain) - 1, timeout_s)
    exact = {"name": ROUTE, "string_match": {"exact": key}}
    return {
        "match": {"path": "/v1/chat/completions", "headers": [exact]},
        "route": action,
        "request_body_buffer_limit": _BODY_BYTES,
    }


def _retries(number: int, timeout_s: float | None) -> dict[str, Any]:
    """Return how a failed attempt is followed by one at the next model of a chain."""
    each = {} if timeout_s is None else {"per_try_timeout": _seconds(timeout_s)}
    next_one = f"{_V3}.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    return {
        "retry_on": "5xx,reset,connect-failure,retriable-status-codes",
        "retriable_status_codes": _FAILURES,
        "num_retries": number,
        **each,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {"@type": next_one, "update_frequency": 1},
        },
    }


def _model_listener(target: Target) -> dict[str, Any]:
    """Return the listener that turns a request into one for this model and its provider."""
    address = urlsplit(target.base_url)
    key = target.model.api_key_env
    route: dict[str, Any] = {
        "match": {
            "prefix": "/",
            "headers": [{"name": READY, "string_match": {"exact": target.name}}],
        },
        "route": {
            "cluster": f"provider/{target.name}",
            "timeout": "0s",
            "host_rewrite_literal": address.netloc,
            "regex_rewrite": {
                "pattern": {"regex": "^.*$"},
                "substitution": f"{address.path}/chat/completions",
            },
        },
        # What the client came with is for this gateway.
        "request_headers_to_remove": ["authorization", "cookie", ROUTE, LIMIT, READY],
    }
    if key is not None:
        route["request_headers_to_remove"].remove("authorization")
        route["request_headers_to_add"] = [
            {
                "header": {"key": "authorization", "value": f"Bearer %ENVIRONMENT({key})%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ]
    return {
        "name": f"model/{target.name}",
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": _BODY_BYTES,
        "filter_chains": [_http(f"model_{target.name}", model_script(target), [route])],
    }


def _http(name: str, script: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
    manager = {
        "@type": f"{_V3}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "stream_idle_timeout": "0s",
        "http_filters": [
            {
                "name": "envoy.filters.http.lua",
                "typed_config": {
                    "@type": f"{_V3}.filters.http.lua.v3.Lua",
                    "default_source_code": {"inline_string": script},
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_V3}.filters.http.router.v3.Router",
                    # A provider need not know what the request was before.
                    "suppress_envoy_headers": True,
                },
            },
        ],
        "route_config": {
            "name": name,
            "virtual_hosts": [
                {
                    "name": name,
                    "domains": ["*"],
                    "routes": [*routes, _NOT_FOUND],
                }
            ],
        },
    }
    return {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }


def _chains(route: GatewayRoute) -> dict[str, tuple[Target, ...]]:
    """Return who answers a route's requests, and who answers those that are long."""
    chains = {route.name: route.chain}
    return {**chains, long_name(route.name): route.long_chain} if route.long else chains


def _chain_cluster(key: str, chain: tuple[Target, ...]) -> dict[str, Any]:
    """Return a cluster whose members are tried in order."""
    return {
        "name": f"chain/{key}",
        "connect_timeout": "5s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{_V3}.clusters.aggregate.v3.ClusterConfig",
                "clusters": [f"model/{target.name}" for target in chain],
            },
        },
    }


def _model_clusters(target: Target) -> Iterator[dict[str, Any]]:
    """Yield the way to a model's listener within Envoy, and the way to its provider."""
    address = urlsplit(target.base_url)
    is_tls = address.scheme == "https"
    yield {
        "name": f"model/{target.name}",
        "per_connection_buffer_limit_bytes": _BODY_BYTES,
        "load_assignment": _endpoint(
            f"model/{target.name}",
            {"envoy_internal_address": {"server_listener_name": f"model/{target.name}"}},
        ),
        "transport_socket": {
            "name": "envoy.transport_sockets.internal_upstream",
            "typed_config": {
                "@type": f"{_V3}.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": {"@type": f"{_V3}.transport_sockets.raw_buffer.v3.RawBuffer"},
                },
            },
        },
    }
    socket = {
        "address": address.hostname,
        "port_value": address.port or (443 if is_tls else 80),
    }
    yield {
        "name": f"provider/{target.name}",
        "type": "LOGICAL_DNS",
        "dns_lookup_family": "ALL",
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": _BODY_BYTES,
        "load_assignment": _endpoint(f"provider/{target.name}", {"socket_address": socket}),
        **({"transport_socket": _tls(str(address.hostname))} if is_tls else {}),
    }


def _endpoint(cluster: str, address: dict[str, Any]) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"cluster_name": cluster, "endpoints": endpoints}


def _tls(host: str) -> dict[str, Any]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_V3}.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": host,
            "auto_sni_san_validation": True,
            "common_tls_context": {
                "validation_context": {"trusted_ca": {"filename": _CA_FILE}},
            },
        },
    }


def _seconds(value: float) -> str:
    """Return a duration as Envoy reads it: at most nine decimals, and never zero."""
    return f"{max(value, 0.001):.9f}".rstrip("0").rstrip(".") + "s"
