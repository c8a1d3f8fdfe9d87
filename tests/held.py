"""A model server that holds its answers from some request on, and a workflow that asks it."""

from __future__ import annotations

import threading

from loopback import Loopback, Received, Response, chat

__all__ = ["HELD", "WORKFLOW", "HeldServer"]

HELD = 10  # the requests from this one on are held until the server is told to answer
WORKFLOW = """\
version: 1
dataset: datasets/sort.jsonl
prompt:
  - {role: user, content: "{{ input }}"}
max_output_tokens: 8
graders: [exact_match]
bar: {pass_rate: 0.8, confidence: 0.9}
"""


class HeldServer(Loopback):
    """Answers at once up to a request, and those from it on when it is let go."""

    def __init__(self, held: int = HELD) -> None:
        super().__init__(self._script)
        self._held = held
        self.let_go = threading.Event()
        self.held_answer = chat("yes")

    def _script(self, received: Received) -> Response:
        if received.number < self._held:
            return chat("yes")
        self.let_go.wait(60)
        return self.held_answer
