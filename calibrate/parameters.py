"""Which model parameters a project may not set, since calibrate's own promises rest on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["parameter_problems"]

# Spelt without underscores in lower case: Gemini takes both `candidateCount` and
# `candidate_count`. Each of them would …
_OWN = frozenset(
    [
        # … ask another model, or something else than the workflow's prompt,
        *("model", "models", "fallbacks"),
        *("messages", "contents", "content", "input", "prompt", "system", "systeminstruction"),
        *("cachedcontent", "mcpservers"),
        # … get what cannot be read,
        *("stream", "streamoptions", "modalities", "responsemodalities", "audio"),
        # … or cost more than was set aside: more answers, longer ones, or fees of their own.
        *("n", "bestof", "candidatecount", "prediction", "plugins", "websearchoptions"),
        *("maxtokens", "maxcompletiontokens", "maxoutputtokens"),
    ]
)
# Dearer than what the catalogue lists.
# https://openai.com/api-fast-mode/, https://platform.claude.com/docs/en/about-claude/pricing
_DEARER = {
    "servicetier": frozenset(["priority", "fast"]),
    "speed": frozenset(["fast"]),
    "inferencegeo": frozenset(["us"]),
    "ttl": frozenset(["1h"]),  # of a `cache_control`, wherever it stands
}
_FUNCTIONS = frozenset(["function", "custom"])


def parameter_problems(parameters: Mapping[str, Any], *, is_catalogue_price: bool) -> list[str]:
    """Return what is wrong with a model's parameters, each problem with what to do about it."""
    problems = []
    own = sorted(name for name in parameters if _plain(name) in _OWN)
    if own:
        problems.append(f"{', '.join(own)}: calibrate sets this itself; remove it")
    if any(not _is_function(tool) for tool in _tools(parameters)):
        problems.append(
            "tools: only functions can be offered; what a provider's own tool reads and costs "
            "cannot be known before; remove it"
        )
    if is_catalogue_price:
        problems += [
            f"{name}: {value}: costs more than the catalogue's price; "
            "give price: {input_usd_per_mtok: …, output_usd_per_mtok: …}"
            for name, value in _settings(parameters)
            if value in _DEARER.get(_plain(name), ())
        ]
    return problems


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _tools(parameters: Mapping[str, Any]) -> list[Any]:
    tools = parameters.get("tools")
    return tools if isinstance(tools, list) else []


def _is_function(tool: Any) -> bool:
    """Return whether a tool is the product's own; Gemini names the kind by its only key."""
    if not isinstance(tool, dict):
        return False
    if "type" in tool:
        return tool["type"] in _FUNCTIONS
    return "name" in tool or {_plain(key) for key in tool} == {"functiondeclarations"}


def _settings(value: Any) -> Iterator[tuple[str, str]]:
    """Yield every name with a text, however deep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(inner, str):
                yield name, inner
            else:
                yield from _settings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _settings(inner)
