"""A policy as the models of a LiteLLM router, with a group for answers that may escalate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from calibrate.document import load_document
from calibrate.errors import PolicyError
from calibrate.exporters import export_policy
from calibrate.exporters.naming import public_name
from calibrate.litellm_plugin.deciding import FIRST
from calibrate.policy import Policy, WorkflowPolicy

__all__ = ["Fleet", "fleet_of"]

FALLBACKS = ("context_window_fallbacks", "content_policy_fallbacks")


@dataclass(frozen=True, slots=True)
class Fleet:
    """Deployments by their ids, and the router's lists of fallbacks."""

    deployments: Mapping[str, dict[str, Any]]
    fallbacks: Mapping[str, list[dict[str, list[str]]]]

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(entry["model_name"] for entry in self.deployments.values())


def fleet_of(policy: Policy) -> Fleet:
    """Return what the router has to hold; unknown names are no business of the router.

    Raises `PolicyError` where it could hold no route.
    """
    document = _exported(replace(policy, default=None))
    entries = [*document["model_list"], *_first(policy)]
    return Fleet(
        {entry["model_info"]["id"]: entry for entry in entries},
        {key: document["router_settings"][key] for key in FALLBACKS},
    )


def _first(policy: Policy) -> Iterator[dict[str, Any]]:
    """Yield the groups that answer before an escalation: by the model that was calibrated."""
    workflows = {
        name: _without_escalation(entry)
        for name, entry in policy.in_force().workflows.items()
        if entry.escalation is not None and public_name(name) is not None
    }
    if not workflows:
        return
    try:
        found = _exported(replace(policy, default=None, workflows=workflows))["model_list"]
    except PolicyError:
        return  # none of these models can be asked here
    names = {str(public_name(name)): entry.model for name, entry in workflows.items()}
    held = {entry["model_info"]["id"] for entry in found}
    for entry in found:
        name, _, rest = entry["model_info"]["id"].partition("/")
        if name in names and f"{name}/1/{quote(names[name], safe='')}" in held:
            info = {**entry["model_info"], "id": f"{name}{FIRST}/{rest}"}
            yield {**entry, "model_name": f"{name}{FIRST}", "model_info": info}


def _without_escalation(entry: WorkflowPolicy) -> WorkflowPolicy:
    stronger = [] if entry.escalation is None else [entry.escalation.to]
    fallbacks = tuple(dict.fromkeys([*stronger, *entry.fallbacks]))
    return replace(entry, escalation=None, fallbacks=fallbacks)


def _exported(policy: Policy) -> Any:
    return load_document("export", export_policy("litellm", policy).text, PolicyError).value
