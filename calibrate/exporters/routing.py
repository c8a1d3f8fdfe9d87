"""What every gateway needs of a policy: names, chains of chat models, and what gets lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from calibrate.errors import PolicyError
from calibrate.exporters.base import Note
from calibrate.exporters.naming import RULE, public_name
from calibrate.policy import Escalation, Policy, PolicyModel, ServingLimits, WorkflowPolicy

__all__ = [
    "BASE_URLS",
    "GatewayRoute",
    "Plan",
    "Target",
    "input_limit",
    "plan_routes",
]

# Where a kind's own service is; policies name it, hand-written ones may not.
BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
}
Refusal = Callable[[PolicyModel, str], str | None]
_URL = re.compile(r"https?://[A-Za-z0-9.\-_~\[\]:/%]+")


@dataclass(frozen=True, slots=True)
class Target:
    """A chat model that the gateway can call, at `base_url` without a slash at its end."""

    alias: str
    model: PolicyModel
    base_url: str

    @property
    def name(self) -> str:
        """The alias without any sign that a gateway could take for its own."""
        return quote(self.alias, safe="")


@dataclass(frozen=True, slots=True)
class GatewayRoute:
    """One workflow as a gateway serves it: who answers, in order, and who takes what is long."""

    workflow: str
    name: str
    chain: tuple[Target, ...]
    long: Target | None
    limits: ServingLimits
    escalation: Escalation | None

    @property
    def long_chain(self) -> tuple[Target, ...]:
        """Who answers, in order, an input that the first model of the chain cannot hold."""
        if self.long is None:
            return ()
        first, *others = self.chain
        larger = (t for t in others if t != self.long and _is_larger(t, first))
        return (self.long, *larger)

    @property
    def max_input_tokens(self) -> int | None:
        """How long an input the chain takes: what the first model holds. None: no limit known."""
        return input_limit(self.chain[0], self.limits)

    @property
    def with_long_last(self) -> tuple[Target, ...]:
        """The chain, for a gateway that only learns from a failure that an input was too long."""
        if self.long is None or self.long in self.chain:
            return self.chain
        return (*self.chain, self.long)

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every model of the route, each once."""
        return tuple({t.alias: t for t in (*self.chain, *self.long_chain)}.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """A policy as a gateway can serve it."""

    routes: tuple[GatewayRoute, ...]
    default: GatewayRoute | None
    notes: tuple[Note, ...]
    left_out: tuple[str, ...]

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every model that some route uses, each once, by alias."""
        found = {target.alias: target for route in self.routes for target in route.targets}
        return tuple(found[alias] for alias in sorted(found))


def plan_routes(
    policy: Policy,
    *,
    kinds: frozenset[str],
    signals: frozenset[str] = frozenset(),
    refuse: Refusal = lambda model, base_url: None,
) -> Plan:
    """Return the routes for a gateway that calls models of `kinds` and escalates on `signals`.

    `refuse` may say why the gateway cannot call a certain model at its address. Overrides are
    applied as of today.

    A model that the gateway cannot call gives way to the next of its chain, and an escalation it
    cannot make to the model that would have answered last: alone, the first was not certified.
    Raises `PolicyError` where that leaves no route, or not the default one.
    """
    models, reasons = _callable(policy, kinds, refuse)
    routes: list[GatewayRoute] = []
    notes: list[Note] = []
    left_out: list[str] = []
    for workflow, entry in sorted(policy.in_force().workflows.items()):
        name = public_name(workflow)
        route = None if name is None else _route(workflow, name, entry, models, signals)
        if route is None:
            left_out.append(workflow)
            reason = f"the rule is: {RULE}" if name is None else _unserved(entry, reasons)
            notes.append(Note(workflow, f"left out: {reason}"))
        else:
            routes.append(route)
            notes += _differences(route, entry, models, reasons)
    chosen = next((route for route in routes if route.workflow == policy.default), None)
    if not routes or (policy.default is not None and chosen is None):
        raise PolicyError([str(note) for note in notes] or "the policy has no workflow to export")
    return Plan(tuple(routes), chosen, tuple(notes), tuple(left_out))


def input_limit(target: Target, limits: ServingLimits) -> int | None:
    """Return how many input tokens the model's window holds beside the answer; None: no limit."""
    window = target.model.context_window
    return None if window is None else max(window - limits.max_output_tokens, 0)


def _callable(
    policy: Policy, kinds: frozenset[str], refuse: Refusal
) -> tuple[dict[str, Target], dict[str, str]]:
    """Return the models that can be called, and why the others cannot; raises for bad addresses."""
    models: dict[str, Target] = {}
    reasons: dict[str, str] = {}
    problems: list[str] = []
    for alias, model in policy.models.items():
        base_url = model.base_url or BASE_URLS.get(model.kind)
        if model.method != "chat":
            reasons[alias] = "answers as an embeddings classifier, which no gateway can ask"
        elif model.kind not in kinds:
            reasons[alias] = f"is of kind {model.kind!r}, which this export does not know"
        elif base_url is None:
            reasons[alias] = "has no base_url"
        elif not _is_plain(base_url):
            # It ends up in places where a gateway would read other signs as its own.
            problems.append(f"models.{alias}.base_url: not a plain http or https address")
        elif (reason := refuse(model, base_url)) is not None:
            reasons[alias] = reason
        else:
            models[alias] = Target(alias, model, base_url.rstrip("/"))
    if problems:
        raise PolicyError(problems)
    return models, reasons


def _is_plain(base_url: str) -> bool:
    try:
        return _URL.fullmatch(base_url) is not None and urlsplit(base_url).port != 0
    except ValueError:  # a port that is none, half of an IPv6 address
        return False


def _route(
    workflow: str,
    name: str,
    entry: WorkflowPolicy,
    models: Mapping[str, Target],
    signals: frozenset[str],
) -> GatewayRoute | None:
    escalation = entry.escalation
    if escalation is None:
        order = (entry.model, *entry.fallbacks)
    elif escalation.signal in signals and {entry.model, escalation.to} <= models.keys():
        order = (entry.model, escalation.to, *entry.fallbacks)
    else:
        order = (escalation.to, *(alias for alias in entry.fallbacks if alias != entry.model))
        escalation = None
    chain = tuple(models[alias] for alias in dict.fromkeys(order) if alias in models)
    if not chain:
        return None
    long = models.get(entry.over_context or "")
    if long is not None and not _is_larger(long, chain[0]):
        long = None
    return GatewayRoute(workflow, name, chain, long, entry.limits, escalation)


def _is_larger(target: Target, than: Target) -> bool:
    """Return whether a model may hold an input that another is known not to hold."""
    window, other = target.model.context_window, than.model.context_window
    return other is not None and (window is None or window > other)


def _unserved(entry: WorkflowPolicy, reasons: Mapping[str, str]) -> str:
    alias = (
        entry.model if entry.model in reasons or entry.escalation is None else entry.escalation.to
    )
    return (
        f"{alias} {reasons[alias]}, and no other model of the route can answer; serve it from "
        "your own code with `Policy.route`"
    )


def _differences(
    route: GatewayRoute,
    entry: WorkflowPolicy,
    models: Mapping[str, Target],
    reasons: Mapping[str, str],
) -> Iterator[Note]:
    workflow, first = route.workflow, route.chain[0].alias
    if entry.override is not None:
        text = f"{entry.model} by override until {entry.override.expires}: export again after that"
        yield Note(workflow, text)
    if route.name != workflow:
        yield Note(workflow, f"clients ask for it as {route.name}")
    if entry.escalation is not None and route.escalation is None:
        text = f"no escalation from {entry.model} on a low {entry.escalation.signal}"
        yield Note(workflow, f"{text}: {first} answers every request")
    elif entry.model not in models:
        yield Note(workflow, f"{entry.model} {reasons[entry.model]}: {first} answers instead")
    for alias in entry.fallbacks:
        if alias not in models:
            yield Note(workflow, f"the fallback {alias} {reasons[alias]}: it is left out")
    if entry.over_context is not None and entry.over_context not in models:
        alias = entry.over_context
        yield Note(workflow, f"{alias}, for long inputs, {reasons[alias]}: it is left out")
