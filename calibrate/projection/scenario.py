"""A what-if of its own: stated traffic and prices, and mixes of models against a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field

from calibrate.completion import Usage
from calibrate.config import Share, Traffic
from calibrate.document import Document, load_document, read_text
from calibrate.errors import ConfigError, did_you_mean
from calibrate.pricing import TokenPrice
from calibrate.projection.cost import Basis, Call, RequestCost, Stated, request_cost
from calibrate.projection.money import Amount, Line, Projection
from calibrate.record import Money, Record, parse_document

__all__ = ["Scenario", "load_scenario", "project_scenario"]


class StatedTraffic(Traffic):
    """How many requests of which size."""

    input_tokens: int = Field(ge=0, le=10**9)
    output_tokens: int = Field(ge=0, le=10**9)


class StatedPrice(Record):
    """What a model costs by the token."""

    input_usd_per_mtok: Money
    output_usd_per_mtok: Money
    cached_input_usd_per_mtok: Money | None = None
    batch_discount: Share = Field(
        Decimal(0), description="What batches take off the price; 0.5: they cost half."
    )


class Scenario(Record):
    """A file of `calibrate project --file`: traffic, prices, and mixes of models to compare."""

    version: Literal[1]
    description: str = ""
    traffic: StatedTraffic
    prices: dict[str, StatedPrice] = Field(min_length=1, description="By model or tier.")
    baseline: str = Field(description="The model that serves everything without routing.")
    mixes: dict[str, dict[str, Share]] = Field(
        min_length=1, description="For each, the models' shares of the requests, which sum to 1."
    )


def load_scenario(path: Path) -> Scenario:
    """Read a scenario; raises `ConfigError` with every problem."""
    document = load_document(str(path), read_text(path))
    scenario = parse_document(Scenario, document)
    problems = list(_problems(scenario, document))
    if problems:
        raise ConfigError(problems)
    return scenario


def project_scenario(name: str, scenario: Scenario, stated: Stated) -> Projection:
    """Return what the baseline and each mix cost; exact, since every size is stated."""
    requests = scenario.traffic.requests_per_day
    usage = Usage(scenario.traffic.input_tokens, scenario.traffic.output_tokens)
    costs = {model: _cost(price, usage, stated) for model, price in scenario.prices.items()}
    baseline = costs[scenario.baseline]
    return Projection(
        name=name,
        requests_per_day=requests,
        lines=(
            Line(
                scenario.baseline,
                Amount.of(baseline, requests),
                baseline,
                is_baseline=True,
            ),
            *(_mix(mix, shares, costs, requests) for mix, shares in scenario.mixes.items()),
        ),
    )


def _mix(
    name: str, shares: Mapping[str, Decimal], costs: Mapping[str, RequestCost], requests: int
) -> Line:
    parts = tuple(
        Line(model, Amount.of(costs[model], requests * share), costs[model], share=share)
        for model, share in shares.items()
    )
    usd = sum((share * costs[model].usd for model, share in shares.items()), Decimal(0))
    cost = RequestCost(usd, Basis.STATED)
    return Line(name, Amount.of(cost, requests), cost, parts=parts)


def _cost(row: StatedPrice, usage: Usage, stated: Stated) -> RequestCost:
    price = TokenPrice(
        row.input_usd_per_mtok, row.output_usd_per_mtok, row.cached_input_usd_per_mtok
    )
    return request_cost(price, [Call(usage, 0.0, "")], stated, Basis.STATED, row.batch_discount)


def _problems(scenario: Scenario, document: Document) -> Iterator[str]:
    known = scenario.prices
    if scenario.baseline not in known:
        yield document.at(("baseline",), _unknown(scenario.baseline, known))
    for name, shares in scenario.mixes.items():
        for model in shares:
            if model not in known:
                yield document.at(("mixes", name, model), _unknown(model, known))
        whole = sum(shares.values(), Decimal(0))
        if whole != 1:
            yield document.at(("mixes", name), f"the shares sum to {whole} and not to 1")


def _unknown(model: str, known: Mapping[str, StatedPrice]) -> str:
    return f"no price is stated for {model!r}{did_you_mean(model, known)}"
