"""Every signal: its scale, what it costs a request, and what a gateway needs to compute it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from calibrate.config import SignalName

__all__ = ["SIGNALS", "Signal"]

_INF = math.inf


@dataclass(frozen=True, slots=True)
class Signal:
    """A number that is seen at serve time; the higher, the more the answer is to be trusted.

    It counts in `unit`, from `low` to `high`. `moment` is when it is known: `before` the call,
    with the `answer`, or only `after` further calls. `calls` and `tokens` are what a request
    costs more.
    """

    name: SignalName
    meaning: str
    low: float
    high: float
    moment: Literal["before", "answer", "after"]
    needs: str
    unit: str = field(kw_only=True)
    calls: str = "0"
    tokens: str = "0"
    is_default: bool = True  # noted where a workflow has no `signals:`

    @property
    def is_free(self) -> bool:
        """Whether nothing more is asked for it."""
        return self.calls == "0"


def _by_name(signals: Iterable[Signal]) -> Mapping[str, Signal]:
    return {signal.name: signal for signal in signals}


SIGNALS = _by_name(
    [
        Signal(
            "answer_logprob",
            "the mean log-probability of the answer's tokens",
            *(-_INF, 0),
            "answer",
            "log-probabilities of the answer (`logprobs: true`)",
            unit="natural log-probability of a token",
        ),
        Signal(
            "first_token_margin",
            "the probability of the first token less that of its likeliest alternative",
            *(-1, 1),
            "answer",
            "log-probabilities and at least one alternative (`top_logprobs`)",
            unit="difference of probabilities",
        ),
        Signal(
            "label_margin",
            "the cosine of the nearest label's examples less that of the second",
            *(0, 2),
            "answer",
            "the embedding, and the labels' centroids",
            unit="difference of cosines",
        ),
        Signal(
            "valid_format",
            "1 where the answer fits the workflow's schema or its first line is a label, else 0",
            *(0, 1),
            "answer",
            "the answer's text, and `output_schema` or `labels`",
            unit="0 or 1",
        ),
        Signal(
            "finished",
            "0 where the answer was cut off or filtered, else 1",
            *(0, 1),
            "answer",
            "the finish reason",
            unit="0 or 1",
        ),
        Signal(
            "not_refused",
            "0 where the provider or the answer's first words say that it is refused, else 1",
            *(0, 1),
            "answer",
            "the finish reason, the answer's text and a list of phrases",
            unit="0 or 1",
        ),
        Signal(
            "answer_brevity",
            "minus the answer's tokens, those of its reasoning too",
            *(-_INF, 0),
            "answer",
            "the output tokens of the answer's usage",
            unit="tokens, negative",
        ),
        Signal(
            "self_reported",
            "the confidence that the answer states, as a share of certainty",
            *(0, 1),
            "answer",
            "the answer's text; a prompt that asks for a confidence",
            unit="probability",
            tokens="those of the confidence in the answer",
            is_default=False,
        ),
        Signal(
            "agreement",
            "the share of further answers that say the same",
            *(0, 1),
            "after",
            "`samples` more answers to the same request, at a temperature",
            unit="share of answers",
            calls="`samples`",
            tokens="`samples` times those of the request and its answer",
            is_default=False,
        ),
        Signal(
            "verifier",
            "how sure another model is that the answer is right",
            *(0, 1),
            "after",
            "one request to the verifier, with its prompt; its log-probabilities, or a number",
            unit="probability",
            calls="1",
            tokens="those of the request, the answer and the verifier's prompt; "
            "an answer of a word or a number",
            is_default=False,
        ),
        Signal(
            "input_brevity",
            "minus the estimated tokens of the request's messages",
            *(-_INF, 0),
            "before",
            "the request: a token for four characters, and four for each message",
            unit="tokens, negative",
        ),
        Signal(
            "input_simplicity",
            "the intercept less the weighted features of the last message; 0 to 1 as it stands",
            *(-_INF, _INF),
            "before",
            "the last message, and the weights of its features",
            unit="weighted features",
        ),
    ]
)
