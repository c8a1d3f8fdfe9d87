"""Who asks less for what can wait, and how much less.

What is *paid* for an answer that came in a batch is less; what its model costs in service is not.
So the evidence and the policy hold the price of serving.
"""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

__all__ = ["batch_factor"]

# Requests that can wait for a day cost half through the batch endpoints of these hosts.
_HALF_AT = (
    "api.openai.com",  # https://developers.openai.com/api/docs/guides/batch
    "openai.azure.com",  # https://learn.microsoft.com/azure/ai-foundry/openai/how-to/batch
    "api.anthropic.com",  # https://platform.claude.com/docs/en/build-with-claude/batch-processing
    "generativelanguage.googleapis.com",  # https://ai.google.dev/gemini-api/docs/batch-api
)


def batch_factor(base_url: str) -> Decimal:
    """Return the share of the normal price that a batch costs; all of it where nothing is known."""
    host = urlsplit(base_url).hostname or ""
    is_known = any(host == known or host.endswith("." + known) for known in _HALF_AT)
    return Decimal("0.5") if is_known else Decimal(1)
