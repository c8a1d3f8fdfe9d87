"""How a model answers a case: by chat, or as an embeddings model by its nearest example."""

from __future__ import annotations

from collections.abc import Sequence

from calibrate.candidates import Candidate
from calibrate.client import Client
from calibrate.config import Workflow
from calibrate.dataset import Example
from calibrate.methods.base import NO_COSTS, Ask, Method, Response, SignalCost
from calibrate.methods.chat import Chat
from calibrate.methods.nearest_example import NearestExample
from calibrate.methods.noting import Noting, noting_for
from calibrate.prompts import Prompt

__all__ = [
    "NO_COSTS",
    "Ask",
    "Method",
    "Noting",
    "Response",
    "SignalCost",
    "method_for",
    "noting_for",
]


def method_for(
    candidate: Candidate,
    workflow: Workflow,
    prompt: Prompt,
    examples: Sequence[Example],
    client: Client,
    noting: Noting,
) -> Method:
    """Return the method by which a candidate answers this workflow's cases."""
    if candidate.model.method == "nearest_example":
        labels = workflow.labels or []
        return NearestExample(candidate, labels, examples, prompt, client, noting)
    return Chat(candidate, workflow, prompt, client, noting)
