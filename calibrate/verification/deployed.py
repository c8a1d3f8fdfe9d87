"""A deployed configuration file against a fresh export of the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from calibrate.document import Document, load_document, read_text
from calibrate.errors import ConfigError
from calibrate.exporters import export_policy
from calibrate.exporters.naming import kubernetes_name, public_name
from calibrate.policy import Policy
from calibrate.verification.comparing import Dialect, Difference, Found, Step, compare

__all__ = ["DIALECTS", "as_documents", "difference", "verify_file"]

# What differs here changes no route: notes for people, where it listens, how it is run.
DIALECTS = {
    "litellm": Dialect(
        ignored=frozenset({"general_settings"}),
        open=frozenset({"", "model_list", "litellm_settings"}),
        unordered=frozenset(
            {
                "model_list",
                "router_settings.context_window_fallbacks",
                "router_settings.content_policy_fallbacks",
            }
        ),
    ),
    "envoy": Dialect(
        ignored=frozenset({"static_resources.listeners[].address"}),
        open=frozenset({"", "static_resources.listeners", "static_resources.clusters"}),
        unordered=frozenset({"static_resources.listeners", "static_resources.clusters"}),
    ),
    "envoy-ai": Dialect(
        ignored=frozenset({"[].status"}),
        open=frozenset({"", "[].metadata"}),
        unordered=frozenset({""}),
    ),
    "portkey": Dialect(
        ignored=frozenset({"_notes"}),
        unordered=frozenset({"targets", "strategy.conditions"}),
        is_filled=True,
    ),
    "openrouter": Dialect(ignored=frozenset({"_notes"})),
    "vllm-sr": Dialect(
        ignored=frozenset({"listeners"}),
        open=frozenset({"", "entrypoints", "recipes", "providers.models", "routing.modelCards"}),
        unordered=frozenset({"entrypoints", "recipes", "providers.models", "routing.modelCards"}),
    ),
    "kong": Dialect(
        open=frozenset({"", "services"}), unordered=frozenset({"services", "services[].routes"})
    ),
    "agentgateway": Dialect(
        ignored=frozenset({"gateways"}),
        open=frozenset({"", "config", "llm.models", "llm.virtualModels"}),
        unordered=frozenset({"llm.models", "llm.virtualModels"}),
    ),
    "json": Dialect(ignored=frozenset({"generated_by"})),
}
_BY_WORKFLOW = frozenset({"workflows", "requests"})  # their keys are names of workflows
_SEPARATOR = re.compile(r"^---[ \t]*(?:#.*)?$", re.MULTILINE)


def verify_file(gateway: str, policy: Policy, path: Path) -> list[Difference]:
    """Return where a configuration file is not what an export of the policy would be today.

    Layout, comments and what is its owner's own business (other models, listeners, callbacks) are
    no differences. Raises `ConfigError` for a file that cannot be read, and what `export_policy`
    raises.
    """
    text = export_policy(gateway, policy).text
    documents = as_documents(str(path), read_text(path))
    expected = [document.value for document in as_documents("export", text)]
    dialect = DIALECTS.get(gateway, Dialect())
    if len(expected) == 1 and len(documents) == 1:
        found = compare(expected[0], documents[0].value, dialect)
        lined = [(item, documents[0].line([where for _, where in item.path])) for item in found]
    else:
        found = compare(expected, [document.value for document in documents], dialect)
        lined = [(item, _line(documents, item.path)) for item in found]
    return [difference(item, policy, line) for item, line in lined]


def difference(found: Found, policy: Policy, line: int | None = None) -> Difference:
    """Return a difference with the workflow that it is about."""
    return Difference(_workflow(found.path, policy), found.kind, found.place, found.text, line)


def as_documents(place: str, text: str) -> list[Document]:
    """Parse each YAML document (JSON is one); lines stay those of the whole file."""
    parts: list[Document] = []
    start = 0
    for end in [*(found.start() for found in _SEPARATOR.finditer(text)), len(text)]:
        body = text[start:end]
        lines = "\n" * text[:start].count("\n")
        document = load_document(place, lines + body.removeprefix("---"), ConfigError)
        if document.root is not None:
            parts.append(document)
        start = end
    if not parts or not all(isinstance(part.value, dict) for part in parts):
        raise ConfigError(f"{place}: not a gateway's configuration: expected keys and values")
    return parts


def _line(documents: list[Document], path: tuple[Step, ...]) -> int | None:
    if not path or not isinstance(path[0][1], int) or path[0][1] >= len(documents):
        return None
    return documents[path[0][1]].line([where for _, where in path[1:]])


def _workflow(path: tuple[Step, ...], policy: Policy) -> str | None:
    """Return the workflow whose name an item has, as a gateway carries it."""
    names = dict(_names(policy))
    above = ""
    for step, where in path:
        if isinstance(where, int) or above in _BY_WORKFLOW:
            for part in (step, *re.split(r"/|::", step)):
                if part in names:
                    return names[part]
        above = step
    return None


def _names(policy: Policy) -> Iterator[tuple[str, str]]:
    for workflow in policy.workflows:
        yield workflow, workflow
        name = public_name(workflow)
        if name is not None:
            yield f"calibrate-{kubernetes_name(name)}", workflow
            yield kubernetes_name(name), workflow
            yield name, workflow
