"""From a workflow and the size of an input to a route, in a microsecond."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TypeVar

from calibrate.errors import PolicyError, did_you_mean
from calibrate.policy.records import PolicyModel, Route, RoutedWorkflow

__all__ = ["Resolver", "in_force", "midnight", "utc_today"]

E = TypeVar("E", bound=RoutedWorkflow)
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class _Steps:
    """A workflow's routes by the size of the input; None where no model can take it."""

    whole: Route  # for an input of unknown size
    most_tokens: tuple[int, ...]  # of the inputs that each of `by_size` but the last one serves
    by_size: tuple[Route | None, ...]
    until: float | None  # seconds since the epoch, where an override ends


class Resolver:
    """The routes of a policy, each computed when it is first asked for.

    `now` says when overrides end, in seconds since the epoch.
    """

    def __init__(
        self,
        models: Mapping[str, PolicyModel],
        workflows: Mapping[str, RoutedWorkflow],
        default: str | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._models = models
        self._workflows = workflows
        self._default = default
        self._now = now
        self._steps: dict[str, _Steps] = {}

    def route(self, workflow: str, input_tokens: int | None, or_default: bool) -> Route:
        steps = self._steps.get(workflow)
        if steps is None or steps.until is not None:
            steps = self._current(workflow, or_default)
        if input_tokens is None:
            return steps.whole
        route = steps.by_size[bisect_left(steps.most_tokens, input_tokens)]
        if route is None:
            raise PolicyError(
                f"{steps.whole.workflow}: no model of the policy can take "
                f"{input_tokens:,} input tokens"
            )
        return route

    def _current(self, workflow: str, or_default: bool) -> _Steps:
        name = self._known(workflow, or_default)
        steps = self._steps.get(name)
        if steps is None or (steps.until is not None and self._now() >= steps.until):
            # Threads may compute the same steps at once: each puts equal ones here.
            steps = self._steps[name] = self._computed(name)
        return steps

    def _known(self, workflow: str, or_default: bool) -> str:
        if workflow in self._workflows:
            return workflow
        if or_default and self._default is not None:
            return self._default
        hint = did_you_mean(workflow, self._workflows)
        known = ", ".join(self._workflows) or "none"
        lacks = f"no workflow {workflow!r}{' and no default' if or_default else ''}"
        raise PolicyError(f"the policy has {lacks}{hint} (known: {known})")

    def _computed(self, name: str) -> _Steps:
        found = self._workflows[name]
        entry = in_force(found, self._models, datetime.fromtimestamp(self._now(), UTC).date())
        until = None
        if entry.override is not None:
            until = midnight(date.fromisoformat(entry.override.expires)) + _DAY_S
        windows = (self._most_tokens(entry, alias) for _, alias in entry.named)
        most_tokens = tuple(sorted({most for most in windows if most is not None}))
        beyond = most_tokens[-1] + 1 if most_tokens else 0
        return _Steps(
            whole=self._route(name, entry, entry.model, None),
            most_tokens=most_tokens,
            by_size=tuple(self._sized(name, entry, size) for size in (*most_tokens, beyond)),
            until=until,
        )

    def _sized(self, name: str, entry: RoutedWorkflow, input_tokens: int) -> Route | None:
        for alias in (entry.model, entry.over_context):
            if alias is not None and self._fits(entry, alias, input_tokens):
                return self._route(name, entry, alias, input_tokens)
        return None

    def _route(
        self, name: str, entry: RoutedWorkflow, alias: str, input_tokens: int | None
    ) -> Route:
        return Route(
            workflow=name,
            status=entry.status,
            tier=entry.tier,
            alias=alias,
            model=self._models[alias],
            limits=entry.limits,
            fallbacks=tuple(
                self._models[other]
                for other in entry.fallbacks
                if other != alias and self._fits(entry, other, input_tokens)
            ),
            escalation=entry.escalation,
            over_context=alias != entry.model,
            override=entry.override,
        )

    def _fits(self, entry: RoutedWorkflow, alias: str, input_tokens: int | None) -> bool:
        most = self._most_tokens(entry, alias)
        return input_tokens is None or most is None or input_tokens <= most

    def _most_tokens(self, entry: RoutedWorkflow, alias: str) -> int | None:
        """Return how long an input a model holds beside the answer; None where no limit is known.

        It may be negative: then not even an empty input fits.
        """
        window = self._models[alias].context_window
        return None if window is None else window - entry.limits.max_output_tokens


def in_force(entry: E, models: Mapping[str, PolicyModel], day: date) -> E:
    """Return the entry as it is served on a day: by its override until that has expired.

    The overriding model is no part of what was certified: its requests are not escalated, and a
    longer input than it holds goes to the first model of the route that has a larger window.
    """
    override = entry.override
    if override is None:
        return entry
    if override.expires < day.isoformat():
        return replace(entry, override=None)
    others = (entry.over_context, entry.model, *entry.fallbacks)
    return replace(
        entry,
        tier=override.tier,
        model=override.model,
        fallbacks=tuple(alias for alias in entry.fallbacks if alias != override.model),
        escalation=None,
        over_context=_larger(override.model, others, models),
    )


def midnight(day: date) -> float:
    """Return when a day begins in UTC, in seconds since the epoch."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def utc_today() -> date:
    """Return the day by which overrides expire, the same all over the world."""
    return datetime.now(UTC).date()


def _larger(
    alias: str, others: Iterable[str | None], models: Mapping[str, PolicyModel]
) -> str | None:
    window = models[alias].context_window
    if window is None:
        return None
    for other in others:
        model = None if other is None else models[other]
        if model is not None and model.method == "chat" and (model.context_window or 0) > window:
            return other
    return None
