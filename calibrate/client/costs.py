"""What one attempt can cost, and what it did cost."""

from __future__ import annotations

from decimal import Decimal

from calibrate.completion import Completion, FailureReason, Reply, Request, estimated_tokens
from calibrate.pricing import Price

__all__ = ["likely_tokens", "most_usd", "paid_usd"]


def most_usd(request: Request, price: Price, timeout_s: float) -> Decimal:
    """Return the most that one attempt at a request can cost.

    No tokeniser makes more tokens than the text has bytes, plus a few for each message.
    """
    texts = request.texts
    most_input = sum(len(text.encode()) for text in texts) + 16 * (len(texts) + 1)
    parts = request.parameters.values()  # schemas and tools are read, and billed, as input
    most_input += sum(len(str(part)) for part in parts if isinstance(part, dict | list))
    return price.estimate(most_input, _most_output(request), timeout_s)


def likely_tokens(request: Request) -> int:
    """Return what a provider counts against its tokens a minute when a request comes in."""
    return estimated_tokens(request.texts) + _most_output(request)


def paid_usd(reply: Reply, price: Price, worst: Decimal) -> Decimal:
    """Return what an attempt cost; one that broke off may have been billed, so it counts whole."""
    if isinstance(reply, Completion):
        return max(price.cost(reply.usage, reply.latency_s), reply.billed_usd or Decimal(0))
    broke_off = reply.reason in (FailureReason.TIMEOUT, FailureReason.BAD_RESPONSE)
    return worst if broke_off else Decimal(0)


def _most_output(request: Request) -> int:
    limit: int = request.parameters.get("max_output_tokens", 0)
    return limit
