"""What a router may see at serve time: numbers from a completion, never from a golden answer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from calibrate.completion import Completion

__all__ = ["from_completion"]


def from_completion(completion: Completion) -> Mapping[str, float]:
    """Return the signals that an answer carries; empty where the endpoint offers none.

    `answer_logprob` is the mean log-probability of the answer's tokens; `first_token_margin` is
    the probability of the first token less that of its likeliest alternative.
    """
    tokens = completion.logprobs
    if not tokens:
        return {}
    signals = {"answer_logprob": round(sum(t.logprob for t in tokens) / len(tokens), 6)}
    first = tokens[0]
    others = [logprob for token, logprob in first.top if token != first.token]
    if others:
        margin = math.exp(first.logprob) - math.exp(max(others))
        signals["first_token_margin"] = round(margin, 6)
    return signals
