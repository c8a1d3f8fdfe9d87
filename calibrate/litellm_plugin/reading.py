"""The signals of an answer, read by the code that calibrated their thresholds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibrate.completion import Completion, Request
from calibrate.project import load_project
from calibrate.providers import openai
from calibrate.signals import SIGNALS, SignalReader, reader_for
from calibrate.signals.markers import answer_brevity, finished, not_refused
from calibrate.signals.probabilities import from_completion

__all__ = ["LOGPROBS", "Reader"]

LOGPROBS = frozenset({"answer_logprob", "first_token_margin"})
# What an answer carries whatever its workflow says; `not_refused` may have words of its own there.
_PLAIN = LOGPROBS | {"finished", "answer_brevity"}


class Reader:
    """Reads signals; with a project those of its workflows, and whether an answer has its form."""

    def __init__(self, project: Path | None = None) -> None:
        """Read the project's workflows; raises `ConfigError` with every problem."""
        self._readers: dict[str, SignalReader] = {}
        self._checked: frozenset[str] = frozenset()
        if project is not None:
            workflows = load_project(project).workflows
            self._readers = {
                name: reader_for(f"evals/{name}.yaml", workflow)
                for name, workflow in workflows.items()
            }
            self._checked = frozenset(
                name
                for name, reader in self._readers.items()
                if "valid_format" in reader.settings.names and (reader.labels or reader.schema)
            )

    def can_read(self, workflow: str, signal: str) -> bool:
        """Return whether a signal can be had from an answer alone."""
        reader = self._readers.get(workflow)
        if reader is None:
            return signal in _PLAIN
        return signal in reader.settings.names and SIGNALS[signal].moment == "answer"

    def checks_format(self, workflow: str) -> bool:
        return workflow in self._checked

    def signals(
        self, workflow: str, answer: Mapping[str, Any], latency_s: float
    ) -> Mapping[str, float]:
        """Return the signals of a chat answer in OpenAI's format; none of one that is broken."""
        request = Request("openai", str(answer.get("model")))
        reply = openai.decode(request, 200, json.dumps(answer, default=str).encode(), latency_s)
        if not isinstance(reply, Completion):
            return {}
        reader = self._readers.get(workflow)
        if reader is not None:
            return reader.after(reply)
        return {
            **from_completion(reply),
            "finished": finished(reply),
            "not_refused": not_refused(reply),
            "answer_brevity": answer_brevity(reply),
        }
