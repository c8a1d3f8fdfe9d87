"""What is noted on a request, in its metadata, from its decision to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["MARK", "logged_call", "mark_of", "metadata_key"]

MARK = "calibrate"  # in a request's metadata


def metadata_key(data: Mapping[str, Any]) -> str:
    """Return where a request has its metadata; some of LiteLLM's calls keep it apart."""
    return "litellm_metadata" if "litellm_metadata" in data else "metadata"


def mark_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return our mark on a request; empty where it has none."""
    found = (data.get(metadata_key(data)) or {}).get(MARK)
    return found if isinstance(found, dict) and "request" in found else {}


def logged_call(kwargs: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return what LiteLLM logs of a call, and our mark on it."""
    params = kwargs.get("litellm_params") or {}
    return kwargs.get("standard_logging_object") or {}, mark_of(params) or mark_of(
        {"metadata": params.get("metadata")}
    )
