"""Every model that a workflow may be routed to, cheapest first, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from calibrate.completion import ChatMessage, Parameters, Request, Usage, estimated_tokens
from calibrate.config import Model, Tiers, Workflow
from calibrate.dataset import Case
from calibrate.errors import CalibrateError, ConfigError
from calibrate.parameters import parameter_problems
from calibrate.pricing import Price, listing_of
from calibrate.prompts import Prompt, input_text
from calibrate.providers import provider

__all__ = [
    "Candidate",
    "ChatForm",
    "Field",
    "Inapplicable",
    "chat_form",
    "embedding_request",
    "field_of",
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model in its tier, with its price resolved and its cost estimated by a pure formula."""

    alias: str
    tier: str
    model: Model
    kind: str
    timeout_s: float
    price: Price
    context_window: int | None
    estimated_usd: Decimal  # a request of this workflow, before anything is measured


@dataclass(frozen=True, slots=True)
class Inapplicable:
    """A model that cannot answer this workflow, and why."""

    alias: str
    tier: str
    why: str


@dataclass(frozen=True, slots=True)
class Field:
    """The candidates in the order in which they are tried, the baseline, and who stays out."""

    candidates: tuple[Candidate, ...]
    baseline: Candidate
    inapplicable: tuple[Inapplicable, ...]


def field_of(
    place: str, tiers: Tiers, workflow: Workflow, cases: Sequence[Case], prompt: Prompt
) -> Field:
    """Return a workflow's candidates: tier order, then estimated cost, then name.

    The baseline is always among them. Raises with every model that cannot be priced or served.
    """
    considered = list(workflow.tiers or tiers.tiers)
    aliases = {
        alias: tier for tier in tiers.tiers if tier in considered for alias in tiers.tiers[tier]
    }
    aliases.setdefault(tiers.baseline_model, tiers.baseline)
    rendered = [prompt.messages(case) for case in cases]
    candidates: list[Candidate] = []
    inapplicable: list[Inapplicable] = []
    problems: list[str] = []
    for alias, tier in aliases.items():
        why = _why_not(tiers.models[alias], workflow)
        if why:
            inapplicable.append(Inapplicable(alias, tier, why))
            continue
        try:
            candidates.append(_candidate(alias, tier, tiers, workflow, cases, rendered))
        except CalibrateError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    order = list(tiers.tiers)
    candidates.sort(key=lambda c: (order.index(c.tier), c.estimated_usd, c.alias))
    baseline = next((c for c in candidates if c.alias == tiers.baseline_model), None)
    if baseline is None:
        raise ConfigError(
            f"{place}: the baseline {tiers.baseline_model!r} cannot serve this workflow"
        )
    return Field(tuple(candidates), baseline, tuple(inapplicable))


@dataclass(frozen=True, slots=True)
class ChatForm:
    """What all of a candidate's requests to a workflow's prompt have in common."""

    kind: str
    name: str
    parameters: Parameters
    logprobs: bool

    def request(self, messages: tuple[ChatMessage, ...], repeat: int = 0) -> Request:
        """Return the request that puts a rendered prompt to the model."""
        return Request(
            kind=self.kind,
            name=self.name,
            messages=messages,
            parameters=self.parameters,
            logprobs=self.logprobs,
            repeat=repeat,
        )


def chat_form(candidate: Candidate, workflow: Workflow) -> ChatForm:
    """Return the form in which a chat model is asked for this workflow."""
    own = dict(candidate.model.parameters)
    wants_logprobs = own.pop("logprobs", True) and provider(candidate.kind).SUPPORTS_LOGPROBS
    asked = {
        "max_output_tokens": workflow.max_output_tokens,
        "stop": workflow.stop,
        "output_schema": workflow.output_schema,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    return ChatForm(
        kind=candidate.kind,
        name=candidate.model.name,
        parameters=Parameters({**own, **given}),
        logprobs=bool(wants_logprobs),
    )


def embedding_request(candidate: Candidate, value: object) -> Request:
    """Return the request that embeds an input; an embedding is the same at every repeat."""
    return Request(
        kind=candidate.kind,
        name=candidate.model.name,
        input=input_text(value),
        parameters=candidate.model.parameters,
    )


def _why_not(model: Model, workflow: Workflow) -> str:
    if model.method == "nearest_example" and not (workflow.labels and workflow.examples):
        return "nearest_example needs a workflow with `labels` and `examples`"
    return ""


def _candidate(
    alias: str,
    tier: str,
    tiers: Tiers,
    workflow: Workflow,
    cases: Sequence[Case],
    rendered: Sequence[tuple[ChatMessage, ...]],
) -> Candidate:
    model = tiers.models[alias]
    endpoint = tiers.endpoints[model.endpoint]
    wire = provider(endpoint.kind)
    problems = parameter_problems(model.parameters, is_catalogue_price=model.price.auto)
    if problems:
        raise ConfigError(f"models.{alias}.parameters: {problem}" for problem in problems)
    if model.method == "nearest_example" and not wire.SUPPORTS_EMBEDDINGS:
        raise ConfigError(f"models.{alias}: {endpoint.kind!r} endpoints have no embeddings")
    listing = listing_of(alias, model, endpoint.base_url or wire.DEFAULT_BASE_URL)
    timeout_s = min(workflow.limits.timeout_s or endpoint.timeout_s, endpoint.timeout_s)
    if model.method == "nearest_example":
        sizes = [(estimated_tokens([input_text(case.input)]), 0) for case in cases]
    else:
        sizes = [
            (estimated_tokens([m.content for m in messages]), workflow.max_output_tokens)
            for messages in rendered
        ]
    total = sum((listing.price.cost(Usage(*size), timeout_s) for size in sizes), Decimal(0))
    return Candidate(
        alias=alias,
        tier=tier,
        model=model,
        kind=endpoint.kind,
        timeout_s=timeout_s,
        price=listing.price,
        context_window=listing.context_window,
        estimated_usd=total / max(len(sizes), 1),
    )
