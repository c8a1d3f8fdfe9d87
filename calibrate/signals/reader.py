"""A workflow's signals, read from its requests and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import regex
from jsonschema_rs import Draft202012Validator

from calibrate.completion import ChatMessage, Completion
from calibrate.config import Workflow
from calibrate.errors import ConfigError, gather
from calibrate.policy.inputs import estimated_tokens, features_of, simplicity
from calibrate.signals.answers import (
    SHORT,
    NotJsonError,
    canonical,
    folded,
    json_in,
    label_in,
    labels_by_form,
)
from calibrate.signals.complexity import weights_of
from calibrate.signals.confidence import Confidence, confidence_of
from calibrate.signals.format import compiled_schema, is_valid
from calibrate.signals.markers import answer_brevity, finished, not_refused
from calibrate.signals.patterns import compiled, last_match
from calibrate.signals.probabilities import from_completion
from calibrate.signals.settings import Settings, settings_of

__all__ = ["SignalReader", "reader_for"]

MOST_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class SignalReader:
    """Reads what a workflow notes of a request and its answer; what is not there is left out."""

    settings: Settings
    labels: Mapping[str, str]  # by their folded form; empty where answers are JSON
    has_schema: bool
    schema: Draft202012Validator | None
    confidence: Confidence | None
    compared: regex.Pattern[str] | None  # what of a text `agreement` compares
    weights: Mapping[str, float]
    # What was read of a request: every model is asked the same.
    known: dict[tuple[ChatMessage, ...], Mapping[str, float]] = field(
        default_factory=dict, compare=False, repr=False
    )
    # What was read of a short answer without probabilities: such answers come again and again.
    known_after: dict[tuple[str, str, int], Mapping[str, float]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def before(self, messages: tuple[ChatMessage, ...]) -> Mapping[str, float]:
        """Return the signals of a request, known before it is sent; a score that is fitted is not.

        Its weights come from the grades of the run, and differ from model to model.
        """
        if messages not in self.known:
            self.known[messages] = self._before(messages)
        return self.known[messages]

    def _before(self, messages: tuple[ChatMessage, ...]) -> dict[str, float]:
        signals = {}
        if "input_brevity" in self.settings.names:
            signals["input_brevity"] = -float(estimated_tokens([m.content for m in messages]))
        options = self.settings.input_simplicity
        if "input_simplicity" in self.settings.names and messages and not options.fit:
            features = features_of(messages[-1].content)
            signals["input_simplicity"] = simplicity(features, self.weights, options.intercept)
        return signals

    def after(self, completion: Completion) -> Mapping[str, float]:
        """Return the signals that a chat answer carries by itself."""
        text = completion.text or ""
        if completion.logprobs or len(text) > SHORT:
            return self._after(text, completion)
        about = (text, completion.finish, completion.usage.output_tokens)
        signals = self.known_after.get(about)
        if signals is None:
            signals = self._after(text, completion)
            if len(self.known_after) < MOST_KNOWN:
                self.known_after[about] = signals
        return signals

    def _after(self, text: str, completion: Completion) -> dict[str, float]:
        signals = dict(from_completion(completion))
        if self.schema is not None or self.labels:
            signals["valid_format"] = float(is_valid(text, self.schema, self.labels))
        signals["finished"] = finished(completion)
        signals["not_refused"] = not_refused(completion, self.settings.not_refused.markers)
        signals["answer_brevity"] = answer_brevity(completion)
        stated = None if self.confidence is None else self.confidence.stated(text)
        if stated is not None:
            signals["self_reported"] = stated
        return {name: value for name, value in signals.items() if name in self.settings.names}

    def said(self, answer: str) -> str | None:
        """Return what of an answer counts for `agreement`; None where it cannot be read.

        In this order: what the pattern finds; the JSON value, where there is a schema; the label
        of the first line; a JSON value; the text. A stated confidence is left out of all of them.
        """
        if self.compared is not None:
            found = last_match(self.compared, answer)
            return folded(found[1]) if found and found[1] is not None else None
        label = label_in(answer, self.labels)
        if label is not None:
            return label
        value = self._json(answer)
        if value is not None or self.has_schema or self.labels:
            return value
        return folded(self.confidence.without(answer) if self.confidence else answer) or None

    def _json(self, answer: str) -> str | None:
        try:
            value = json_in(answer)
        except NotJsonError:
            return None
        if isinstance(value, str | None) and not self.has_schema:
            return None  # a text that happens to be quoted
        return canonical(self.confidence.without_field(value) if self.confidence else value)


def reader_for(place: str, workflow: Workflow) -> SignalReader:
    """Return the reader of a workflow's signals; raises `ConfigError` with all that is wrong."""
    settings = settings_of(workflow)
    place = f"{place}: signals"
    problems: list[str] = []
    stated, agreed = settings.self_reported, settings.agreement
    confidence = compared = None
    if stated is not None:
        confidence = gather(problems, partial(confidence_of, f"{place}.self_reported", stated))
    if agreed is not None and agreed.pattern is not None:
        where = f"{place}.agreement.pattern"
        compared = gather(problems, partial(compiled, where, agreed.pattern))
    weights = gather(
        problems, partial(weights_of, f"{place}.input_simplicity", settings.input_simplicity)
    )
    schema = _schema(f"{place}.valid_format", workflow, problems)
    if problems or weights is None:
        raise ConfigError(problems)
    has_schema = workflow.output_schema is not None
    labels = {} if has_schema else labels_by_form(workflow.labels or ())
    return SignalReader(settings, labels, has_schema, schema, confidence, compared, weights)


def _schema(place: str, workflow: Workflow, problems: list[str]) -> Draft202012Validator | None:
    """Return the output schema; one that only a provider understands matters where it is named."""
    if workflow.output_schema is None:
        return None
    try:
        return compiled_schema(place, workflow.output_schema)
    except ConfigError as error:
        if "valid_format" in (workflow.signals or ()):
            problems += error.problems
        return None
