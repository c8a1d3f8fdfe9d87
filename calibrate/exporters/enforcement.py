"""Which limits of a policy a gateway keeps, and the notes on those it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from calibrate.exporters.base import Note
from calibrate.exporters.routing import GatewayRoute, Plan

__all__ = ["Enforcement", "all_notes"]


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How a gateway treats output limits, long inputs, time-outs and prices."""

    output: Literal["cap", "fixed", "default", "none"]
    long_inputs: Literal["tokens", "bytes", "failure", "error"]
    timeout: bool
    prices: bool


def all_notes(plan: Plan, enforcement: Enforcement, more: Iterable[Note] = ()) -> tuple[Note, ...]:
    """Return what a gateway does otherwise than the policy: route by route, then for all."""
    notes = [*plan.notes, *_limit_notes(plan, enforcement), *_price_notes(plan, enforcement), *more]
    return tuple(sorted(notes, key=lambda note: (note.workflow is None, note.workflow or "")))


def _limit_notes(plan: Plan, enforcement: Enforcement) -> Iterator[Note]:
    for route in plan.routes:
        texts = (
            _on_output(route, enforcement.output),
            _on_long_inputs(route, enforcement.long_inputs),
            _on_timeout(route, enforcement),
            _on_budget(route),
        )
        yield from (Note(route.workflow, text) for text in texts if text is not None)


def _on_output(route: GatewayRoute, how: str) -> str | None:
    limit = f"{route.limits.max_output_tokens} output tokens"
    texts = {
        "fixed": f"the limit of {limit} replaces what a request asks for, also where that is less",
        "default": f"the limit of {limit} is a default: a request may ask for more",
        "none": f"the limit of {limit} is not enforced",
    }
    return texts.get(how)


def _on_long_inputs(route: GatewayRoute, how: str) -> str | None:
    limit, long = route.max_input_tokens, route.long
    if long is None or how == "tokens":
        return None
    if how == "bytes":
        return f"over {limit} input tokens goes to {long.alias}: a token is taken for 4 bytes"
    if how == "failure":
        return (
            f"an input over {limit} tokens reaches {long.alias} only after the models before it "
            "have refused it"
        )
    return f"an input over {limit} tokens fails: it is not sent to {long.alias}"


def _on_timeout(route: GatewayRoute, enforcement: Enforcement) -> str | None:
    timeout_s = route.limits.timeout_s
    if timeout_s is None or enforcement.timeout:
        return None
    return f"the time-out of {timeout_s:g} s is not enforced"


def _on_budget(route: GatewayRoute) -> str | None:
    budget = route.limits.budget_usd_per_day
    return None if budget is None else f"the budget of {budget:g} USD a day is not enforced"


def _price_notes(plan: Plan, enforcement: Enforcement) -> Iterator[Note]:
    prices = [(t.alias, t.model.price) for t in plan.targets if t.model.price is not None]
    if prices and not enforcement.prices:
        yield Note(None, "prices have no place here")
        return
    for alias, price in prices:
        if price.steps:
            yield Note(None, f"{alias}: dearer tokens of long inputs are priced like others")
        elif price.usd_per_hour is not None:
            yield Note(None, f"{alias}: a price by the hour has no place here")
