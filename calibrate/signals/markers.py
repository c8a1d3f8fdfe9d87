"""Marks of trouble that an answer carries: cut off, refused, long."""

from __future__ import annotations

from collections.abc import Sequence

from calibrate.completion import Completion
from calibrate.signals.answers import folded

__all__ = ["REFUSALS", "answer_brevity", "finished", "not_refused"]

FIRST_CHARACTERS = 200  # a refusal says so at once; later the words may be quoted
_CUT_OFF = frozenset(["length", "content_filter", "refusal"])
_REFUSED = frozenset(["content_filter", "refusal"])

# Folded, with straight apostrophes. How refusals begin, by language; a product that says such
# things in good answers names its own.
REFUSALS = (
    *("i can't assist", "i cannot assist", "i can't help", "i cannot help", "i'm unable to"),
    *("i am unable to", "i'm not able to", "i am not able to", "i can't provide"),
    *("i cannot provide", "i can't answer", "i cannot answer", "i won't", "as an ai"),
    *("i'm sorry, but i can", "i am sorry, but i can", "sorry, i can't", "sorry, but i can't"),
    *("ich kann ihnen dabei nicht", "ich kann dir dabei nicht", "dabei kann ich nicht"),
    *("es tut mir leid, aber ich kann", "als ki-"),
    *("je ne peux pas", "je suis désolé, mais je", "en tant qu'ia"),
    *("no puedo ayudar", "lo siento, pero no puedo", "como modelo de lenguaje"),
    *("não posso ajudar", "desculpe, mas não posso"),
    *("non posso aiutar", "mi dispiace, ma non posso"),
)


def finished(completion: Completion) -> float:
    """Return 0 where the answer was cut off at its limit or filtered, else 1."""
    return 0.0 if completion.finish in _CUT_OFF else 1.0


def not_refused(completion: Completion, markers: Sequence[str] | None = None) -> float:
    """Return 0 where the finish reason or the answer's first words are a refusal's, else 1."""
    if completion.finish in _REFUSED:
        return 0.0
    start = folded((completion.text or "")[:FIRST_CHARACTERS].replace("\u2019", "'"))
    phrases = REFUSALS if markers is None else map(folded, markers)
    return 0.0 if any(map(start.__contains__, phrases)) else 1.0


def answer_brevity(completion: Completion) -> float:
    """Return minus the tokens that were billed for the answer, its reasoning included."""
    return -float(completion.usage.output_tokens) or 0.0
