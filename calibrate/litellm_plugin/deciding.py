"""What becomes of a request: its route, the group of models that answers it, its limits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from calibrate.errors import PolicyError
from calibrate.exporters.naming import public_name
from calibrate.litellm_plugin.reading import Reader
from calibrate.policy import Policy, Route

__all__ = ["FIRST", "Decider", "Decision", "limited", "texts"]

FIRST = "::first"  # the group that answers before it is known whether to escalate
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# What a client could overrule the policy with; none of it is a question to a model.
_CONTROLS = frozenset(
    {
        *("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "disable_fallbacks"),
        *("num_retries", "max_retries", "timeout", "stream_timeout", "request_timeout"),
        *("api_base", "base_url", "api_key", "api_version", "model_list", "extra_body"),
        *("mock_response", "mock_testing_fallbacks", "custom_llm_provider", "order"),
    }
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Where one request goes, and what its answer has to hold up to."""

    asked: str
    name: str
    route: Route
    group: str  # of LiteLLM's models
    escalates_to: str | None  # the group that answers again where the answer is too weak
    checks_format: bool
    input_tokens: int | None  # counted only where the answer could matter

    @property
    def is_gated(self) -> bool:
        return self.escalates_to is not None

    def weakness(self, signals: Mapping[str, float]) -> str | None:
        """Return why an answer with these signals is not good enough; None where it is."""
        if self.checks_format and signals.get("valid_format") == 0.0:
            return "invalid format"
        found = self.route.escalation
        if self.group.endswith(FIRST) and found and self.route.should_escalate(signals):
            return f"{'low' if found.signal in signals else 'no'} {found.signal}"
        return None


class Decider:
    """A policy as the proxy serves it with the groups of models that it has."""

    def __init__(self, policy: Policy, groups: Collection[str], reader: Reader) -> None:
        self._policy = policy
        self._groups = groups
        self._reader = reader
        named = ((public_name(workflow), workflow) for workflow in policy.workflows)
        self._workflows = {name: workflow for name, workflow in named if name in groups}

    def decide(
        self,
        asked: str,
        known: Collection[str],
        size: Callable[[], int],
        most_tokens: int,
        *,
        can_escalate: bool = True,
    ) -> Decision | None:
        """Return what becomes of a request; None where it is none of the policy's business.

        `known` are the groups that the proxy has; `size` counts the input's tokens, of which there
        are at most `most_tokens`. Where an answer cannot be judged and escalated, the stronger
        model answers by itself. Raises `PolicyError` for an input that no model can
        take.
        """
        workflow = self._workflows.get(asked)
        if workflow is None:
            if asked in known or self._policy.default is None:
                return None
            workflow = self._policy.default
        route = self._policy.route(workflow)
        tokens = size() if self._matters(route, workflow, most_tokens) else None
        if tokens is not None:
            route = self._policy.route(workflow, input_tokens=tokens)
        name = str(public_name(workflow))
        if name not in self._groups:
            raise PolicyError(f"{workflow}: this gateway cannot serve it")
        return self._decision(asked, name, route, tokens, can_escalate)

    def _matters(self, route: Route, workflow: str, most_tokens: int) -> bool:
        """Return whether the size could change the route: only then it is worth counting."""
        try:
            return self._policy.route(workflow, input_tokens=most_tokens) != route
        except PolicyError:
            return True

    def _decision(
        self, asked: str, name: str, route: Route, tokens: int | None, can_escalate: bool
    ) -> Decision:
        checks = can_escalate and self._reader.checks_format(route.workflow)
        group, further = name, f"{name}::refused" if checks else None
        if route.over_context:
            long = f"{name}::long"
            group, further = (long if long in self._groups else name), None
        elif can_escalate and f"{name}{FIRST}" in self._groups and self._can_read(route):
            group, further = f"{name}{FIRST}", name
        if further not in self._groups:
            further = None
        return Decision(asked, name, route, group, further, checks, tokens)

    def _can_read(self, route: Route) -> bool:
        signal = None if route.escalation is None else route.escalation.signal
        return signal is not None and self._reader.can_read(route.workflow, signal)


def limited(
    body: Mapping[str, Any], decision: Decision, *, limit_name: str, is_stated: bool
) -> dict[str, Any]:
    """Return a request's body within the policy: its group, its limit, its parameters.

    However a client words its limit, one is left, under `limit_name`; without one of its own the
    deployment's holds, unless it `is_stated` here in any case.
    """
    route = decision.route
    fixed = {*_CONTROLS, *_LIMITS, *route.model.parameters}
    found = {key: value for key, value in body.items() if key not in fixed}
    most = route.limits.max_output_tokens
    asked = [_within(body[key], most) for key in _LIMITS if body.get(key) is not None]
    if asked or is_stated:
        found[limit_name] = min([most, *asked])
    return {**found, "model": decision.group}


def _within(asked: Any, most: int) -> int:
    is_count = isinstance(asked, int) and not isinstance(asked, bool) and asked >= 1
    return min(asked, most) if is_count else most


def texts(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield every text of a request, wherever it stands."""
    stack: list[Any] = [body.get(key) for key in ("messages", "input", "prompt", "system", "tools")]
    stack.append(body.get("instructions"))
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            stack += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            stack += value
