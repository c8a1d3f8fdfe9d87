"""A server that speaks one API: it refuses what the API refuses, and answers by what is asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loopback import Received, Response

__all__ = ["HTML", "KEY", "Api", "answer"]

KEY = "sk-wire-0123456789abcdef"
HTML = Response(
    200, b"<html><body><h1>502 Bad Gateway</h1></body></html>", {"content-type": "text/html"}
)


def answer(value: Any, status: int = 200, **headers: str) -> Response:
    """Return a JSON answer; underscores in the names of headers are hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(
        status, json.dumps(value).encode(), {"content-type": "application/json", **named}
    )


@dataclass(frozen=True)
class Api:
    """The script of a `Loopback`.

    `refuse` is what the API checks before it answers; `asked` finds the question in a request.
    The answers to one question are given in turn, the last one from then on.
    """

    kind: str
    path: str  # of the base URL
    refuse: Callable[[Received], Response | None]
    asked: Callable[[Received], str]
    answers: Mapping[str, tuple[Response, ...]]
    _times: Counter[str] = field(default_factory=Counter)

    def __call__(self, received: Received) -> Response:
        refused = self.refuse(received)
        if refused is not None:
            return refused
        question = self.asked(received)
        turn = self._times[question]
        self._times[question] += 1
        answers = self.answers[question]
        return answers[min(turn, len(answers) - 1)]
