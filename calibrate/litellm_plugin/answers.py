"""The answers that LiteLLM has: what they cost, a stream as one, and as the client asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["as_asked", "assembled", "cost_of"]


def cost_of(response: Any) -> float:
    """Return what LiteLLM says that an answer has cost, in dollars."""
    return float((getattr(response, "_hidden_params", None) or {}).get("response_cost") or 0.0)


def as_asked(response: Any, mark: Mapping[str, Any]) -> Any:
    """Return an answer without the probabilities that only the plugin has asked for."""
    if mark.get("hides_logprobs"):
        for choice in response.choices:
            if getattr(choice, "logprobs", None) is not None:
                choice.logprobs = None
    return response


def assembled(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer that a stream's first choice makes."""
    text: list[str] = []
    tokens: list[Any] = []
    calls: list[Any] = []
    finish, usage = "stop", None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            delta = choice.get("delta") or {}
            text.append(delta.get("content") or "")
            calls += delta.get("tool_calls") or ()
            tokens += (choice.get("logprobs") or {}).get("content") or ()
            finish = choice.get("finish_reason") or finish
    message = {
        "role": "assistant",
        "content": "".join(text),
        **({"tool_calls": calls} if calls else {}),
    }
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish,
        "logprobs": {"content": tokens},
    }
    return {"choices": [choice], "usage": usage, "model": chunks[0].get("model") if chunks else ""}
