"""Signals from the probabilities that a model gave its own tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from calibrate.completion import Completion, TokenLogprob

__all__ = ["from_completion", "yes_score"]

DIGITS = 6
_MARKS = " \t\r\n\"'*_`.,:;!?()[]<>#-\u2581\u0120"  # the last two are how tokenisers write a space


def from_completion(completion: Completion) -> Mapping[str, float]:
    """Return the signals that an answer carries; empty where the endpoint offers none.

    `answer_logprob` is the mean log-probability of the answer's tokens; `first_token_margin` is
    the probability of the first token less that of its likeliest alternative. A token without a
    finite log-probability makes what rests on it missing.
    """
    tokens = completion.logprobs
    if not tokens:
        return {}
    signals = {}
    mean = sum(t.logprob for t in tokens) / len(tokens)
    if math.isfinite(mean):
        signals["answer_logprob"] = round(mean, DIGITS)
    first = tokens[0]
    others = [logprob for token, logprob in first.top if token != first.token]
    if others:
        margin = _probability(first.logprob) - _probability(max(others))
        if math.isfinite(margin):
            signals["first_token_margin"] = round(margin, DIGITS)
    return signals


def yes_score(tokens: Sequence[TokenLogprob]) -> float | None:
    """Return half of 1 + P(yes) - P(no), at the first token that is a yes or a no.

    The two are summed over the ways to write them among the alternatives that the endpoint gave;
    one that is not among them counts as 0. None where no token is a yes or a no.
    """
    place = next((token for token in tokens if _word(token.token)), None)
    if place is None:
        return None
    likely = {place.token: place.logprob} | dict(place.top)
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in likely.items():
        word = _word(token)
        if word:
            mass[word] += _probability(logprob)
    score = (1 + mass["yes"] - mass["no"]) / 2
    return round(min(max(score, 0.0), 1.0), DIGITS) if math.isfinite(score) else None


def _word(token: str) -> str:
    word = token.strip(_MARKS).casefold()
    return word if word in ("yes", "no") else ""


def _probability(logprob: float) -> float:
    return math.exp(min(logprob, 0.0))
