"""The table of gateways: a policy in each one's own configuration."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from calibrate.errors import PluginError, PolicyError
from calibrate.exporters import (
    agentgateway,
    envoy,
    envoy_ai,
    flat,
    kong,
    litellm,
    openrouter,
    portkey,
    vllm_sr,
)
from calibrate.exporters.base import Exported, Exporter, Note
from calibrate.plugins import find, names
from calibrate.policy import Policy

__all__ = [
    "EXPORTERS",
    "GROUP",
    "Exported",
    "Exporter",
    "Note",
    "export_policy",
    "exporter",
    "exporter_names",
]

GROUP = "calibrate.exporters"
EXPORTERS: dict[str, Exporter] = {
    "litellm": litellm,
    "envoy": envoy,
    "envoy-ai": envoy_ai,
    "portkey": portkey,
    "vllm-sr": vllm_sr,
    "kong": kong,
    "openrouter": openrouter,
    "agentgateway": agentgateway,
    "json": flat,
}


def exporter(name: str) -> Exporter:
    """Return the exporter for a gateway; raises `PluginError` for an unknown one."""
    found = find(GROUP, name, EXPORTERS)
    if not callable(getattr(found, "export", None)):
        raise PluginError(f"the {GROUP} plugin {name!r} is no exporter: it has no `export`")
    return found


def exporter_names() -> list[str]:
    return names(GROUP, EXPORTERS)


def export_policy(name: str, policy: Policy) -> Exported:
    """Return a policy in a gateway's words.

    Raises `PluginError` for an unknown gateway, and `PolicyError` where it could hold no route.
    """
    chosen = exporter(name)
    _refuse_what_no_file_holds(policy)
    exported: Any = chosen.export(policy)
    if not isinstance(exported, Exported):
        kind = type(exported).__name__
        raise PluginError(f"the {GROUP} plugin {name!r} returned a {kind} and no `Exported`")
    return exported


def _refuse_what_no_file_holds(policy: Policy) -> None:
    """Raise for values that neither JSON nor another program's YAML has: dates, halves of signs."""
    try:
        json.dumps(asdict(policy), allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise PolicyError("the policy holds text that is not valid Unicode") from error
    except (TypeError, ValueError) as error:
        raise PolicyError(f"the policy holds a value that JSON cannot: {error}") from error
