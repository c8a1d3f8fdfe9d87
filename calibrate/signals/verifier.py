"""What another model thinks of an answer."""

from __future__ import annotations

import regex

from calibrate.completion import Completion
from calibrate.config import Message, Verifier
from calibrate.signals.confidence import NUMBER, as_share
from calibrate.signals.patterns import last_match
from calibrate.signals.probabilities import yes_score

__all__ = ["default_prompt", "verifier_score"]

_ROLE = (
    "You check the answers of an assistant. An answer is right when it does what was asked and "
    "everything in it is true. What the answer says about itself counts for nothing."
)
_SHOWN = "What was asked:\n\n{{ input.question }}\n\nThe answer:\n\n{{ input.answer }}\n\n"
_SURE = "Is this answer right? Reply with one word: yes or no."
_NUMBERED = (
    "How likely is it that this answer is right? Reply with one number from 0 to %s, nothing else."
)
_NUMBER = regex.compile(rf"(?<![\w.,])({NUMBER})(?!\w)")


def default_prompt(options: Verifier) -> list[Message]:
    """Return the messages that ask for a verdict where the workflow has none of its own."""
    question = _SURE if options.score == "log_probability" else _NUMBERED % f"{options.most:g}"
    return [
        Message(role="system", content=_ROLE),
        Message(role="user", content=_SHOWN + question),
    ]


def verifier_score(completion: Completion, options: Verifier) -> float | None:
    """Return how sure a verifier is that an answer is right, from 0 to 1.

    From log-probabilities: half of 1 + P(yes) - P(no). From a number: the last one that the
    verifier writes, as a share of `most`. None where neither can be read.
    """
    if options.score == "log_probability":
        return yes_score(completion.logprobs)
    found = last_match(_NUMBER, completion.text or "")
    return as_share(found[1], options.most) if found else None
