"""What is wrong with a policy although each of its values is of the right type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from calibrate.errors import did_you_mean, looks_like_key
from calibrate.fingerprint import json_problem
from calibrate.policy.price import PolicyPrice, PriceStep
from calibrate.policy.records import (
    Escalation,
    InputScore,
    Override,
    PolicyModel,
    RoutedWorkflow,
    ServingLimits,
)

__all__ = ["contradictions"]

Place = tuple[str | int, ...]
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def contradictions(
    models: Mapping[str, PolicyModel],
    workflows: Mapping[str, RoutedWorkflow],
    default: str | None,
) -> Iterator[tuple[Place, str]]:
    """Yield each problem with its place: names, chains, windows, limits, addresses, keys."""
    if default is not None and default not in workflows:
        yield ("default",), f"no workflow is called {default!r}{did_you_mean(default, workflows)}"
    for alias, model in models.items():
        for place, text in _of_model(model):
            yield ("models", alias, *place), text
    folded: dict[str, str] = {}
    for name, entry in workflows.items():
        other = folded.setdefault(name.casefold(), name)
        if other is not name:
            yield ("workflows", name), f"differs from {other!r} by case only; rename one of them"
        for place, text in _of_workflow(entry, models):
            yield ("workflows", name, *place), text


def _of_model(model: PolicyModel) -> Iterator[tuple[Place, str]]:
    for key in ("endpoint", "kind", "name"):
        if not getattr(model, key):
            yield (key,), "is empty"
    if model.base_url is not None:
        why = _wrong_address(model.base_url)
        if why is not None:
            yield ("base_url",), why
    variable = model.api_key_env
    if variable is not None and (looks_like_key(variable) or not _ENV_NAME.fullmatch(variable)):
        # The value is not shown: it may be the key itself.
        yield ("api_key_env",), "expected the name of an environment variable, never the key itself"
    if model.context_window is not None and model.context_window < 1:
        yield ("context_window",), "must be at least 1"
    if model.price is not None:
        for place, text in _of_price(model.price):
            yield ("price", *place), text
    yield from _of_parameters(model.parameters)


def _of_price(price: PolicyPrice | PriceStep) -> Iterator[tuple[Place, str]]:
    for item in fields(price):
        amount = getattr(price, item.name)
        if isinstance(amount, int | float) and amount < 0:
            yield (item.name,), f"must not be negative, got {amount:g}"
    if isinstance(price, PolicyPrice):
        for index, step in enumerate(price.steps):
            for place, text in _of_price(step):
                yield ("steps", index, *place), text


def _of_parameters(parameters: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    why = json_problem(parameters)
    if why is not None:
        yield ("parameters",), why
    if looks_like_key(repr(parameters)):
        yield ("parameters",), "hold what looks like a key; keys stay in the environment"


def _wrong_address(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is none
    except ValueError:
        return "expected an http(s) URL"
    if parts.username is not None or parts.password is not None:
        return "a URL with credentials is refused; keys stay in the environment"
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    return None if is_web else "expected an http(s) URL"


def _of_workflow(
    entry: RoutedWorkflow, models: Mapping[str, PolicyModel]
) -> Iterator[tuple[Place, str]]:
    yield from _of_limits(entry.limits)
    for place, alias in entry.named:
        if alias not in models:
            hint = did_you_mean(alias, models)
            yield place, f"no model is called {alias!r}{hint}"
    if entry.model in entry.fallbacks:
        yield ("fallbacks",), f"{entry.model!r} falls back to itself"
    if len(set(entry.fallbacks)) < len(entry.fallbacks):
        yield ("fallbacks",), "the same model stands there twice"
    if entry.escalation is not None:
        for key, text in _of_escalation(entry.escalation, entry.model):
            yield ("escalation", key), text
    if entry.over_context == entry.model:
        yield ("over_context",), f"{entry.model!r} is the model whose window is too small"
    if entry.override is not None:
        yield from _of_override(entry.override)


def _of_escalation(escalation: Escalation, model: str) -> Iterator[tuple[str, str]]:
    if escalation.to == model:
        yield "to", f"{model!r} escalates to itself"
    if escalation.score is not None:
        yield from (("score", text) for text in _of_score(escalation.signal, escalation.score))
    scale = escalation.scale
    if scale is None:
        return
    if scale.low is not None and scale.high is not None and scale.low >= scale.high:
        yield "scale", f"ends at {scale.high:g} before it begins at {scale.low:g}"
    elif not scale.holds(escalation.below):
        yield "below", f"{escalation.below:g} is not on the scale of {escalation.signal!r}: {scale}"


def _of_score(signal: str, score: InputScore) -> Iterator[str]:
    from calibrate.policy.inputs import FEATURES

    if signal != "input_simplicity":
        yield f"computes input_simplicity, and the signal is {signal!r}"
    for name in score.weights:
        if name not in FEATURES:
            hint = did_you_mean(name, FEATURES)
            yield f"no feature is called {name!r}{hint} (known: {', '.join(FEATURES)})"


def _of_limits(limits: ServingLimits) -> Iterator[tuple[Place, str]]:
    if limits.max_output_tokens < 1:
        yield (
            ("limits", "max_output_tokens"),
            f"must be at least 1, got {limits.max_output_tokens}",
        )
    if limits.timeout_s is not None and limits.timeout_s <= 0:
        yield ("limits", "timeout_s"), f"must be greater than 0, got {limits.timeout_s:g}"
    if limits.budget_usd_per_day is not None and limits.budget_usd_per_day < 0:
        yield (
            ("limits", "budget_usd_per_day"),
            f"must not be negative, got {limits.budget_usd_per_day:g}",
        )


def _of_override(override: Override) -> Iterator[tuple[Place, str]]:
    try:
        is_day = bool(_DAY.fullmatch(override.expires) and date.fromisoformat(override.expires))
    except ValueError:
        is_day = False
    if not is_day:
        yield ("override", "expires"), f"expected a day as YYYY-MM-DD, got {override.expires!r}"
