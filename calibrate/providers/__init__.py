"""One wire format each: what is sent, and what came back, without any I/O."""

from __future__ import annotations

from calibrate.plugins import find, names
from calibrate.providers import anthropic, azure, gemini, openai
from calibrate.providers.base import Provider

__all__ = ["provider", "provider_names"]

_TABLE: dict[str, Provider] = {
    "openai": openai,
    "azure": azure,
    "anthropic": anthropic,
    "gemini": gemini,
}
GROUP = "calibrate.providers"


def provider(kind: str) -> Provider:
    """Return the provider for an endpoint's `kind`; raises `PluginError` for an unknown one."""
    return find(GROUP, kind, _TABLE)


def provider_names() -> list[str]:
    return names(GROUP, _TABLE)
