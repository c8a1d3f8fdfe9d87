"""From verdicts to a route."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from calibrate.candidates import Candidate, Field
from calibrate.config import Model
from calibrate.decide import Status, choose_route, has_outage
from calibrate.gate import Outcome, Reason, Verdict
from calibrate.pricing import TokenPrice


def candidate(alias: str, tier: str, method: str = "chat", window: int | None = None) -> Candidate:
    model = Model.model_validate(
        {
            "endpoint": "e",
            "name": alias,
            "method": method,
            "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
        }
    )
    price = TokenPrice(Decimal(1), Decimal(1))
    return Candidate(alias, tier, model, "openai", 60.0, price, window, Decimal(1))


SMALL = candidate("small", "cheap", window=100)
MEDIUM = candidate("medium", "balanced", window=100)
LARGE = candidate("large", "frontier", window=1000)
FIELD = Field((SMALL, MEDIUM, LARGE), LARGE, ())


def verdict(alias: str, outcome: str, estimate: float = 0.9) -> Verdict:
    reason = Reason.QUALITY if outcome != "undecided" else Reason.EXHAUSTED
    return Verdict(alias, "t", Outcome(outcome), reason, 0.01, 100, 100, estimate=estimate)


def verdicts(*outcomes: str) -> list[Verdict]:
    return [
        verdict(c.alias, outcome) for c, outcome in zip(FIELD.candidates, outcomes, strict=True)
    ]


@pytest.mark.parametrize(
    ("outcomes", "status", "chosen"),
    [
        (("certified", "certified", "certified"), Status.CERTIFIED, "small"),
        (("failed", "certified", "undecided"), Status.CERTIFIED, "medium"),
        (("undecided", "undecided", "certified"), Status.CERTIFIED, "large"),
        (("failed", "failed", "undecided"), Status.UNCERTIFIED, "large"),
        (("undecided", "undecided", "undecided"), Status.UNCERTIFIED, "large"),
        (("undecided", "undecided", "failed"), Status.UNCERTIFIED, "medium"),
        (("failed", "failed", "failed"), Status.UNMET, "small"),
    ],
)
def test_the_route_is_the_cheapest_certified_model_else_the_safest(
    outcomes: tuple[str, ...], status: Status, chosen: str
) -> None:
    decision = choose_route(FIELD, verdicts(*outcomes))
    assert (decision.status, decision.chosen.alias) == (status, chosen)


def test_when_every_model_failed_the_best_estimate_is_the_route() -> None:
    found = verdicts("failed", "failed", "failed")
    found[1] = replace(found[1], estimate=0.95)
    assert choose_route(FIELD, found).chosen.alias == "medium"


def test_a_model_that_failed_the_bar_is_no_fallback() -> None:
    decision = choose_route(FIELD, verdicts("certified", "failed", "undecided"))
    assert [c.alias for c in decision.fallbacks] == ["large"]


def test_fallbacks_are_the_dearer_models_first() -> None:
    decision = choose_route(FIELD, verdicts("undecided", "certified", "undecided"))
    assert [c.alias for c in decision.fallbacks] == ["large", "small"]


def test_an_embeddings_model_is_no_fallback_for_a_gateway() -> None:
    nearest = candidate("nearest", "cheap", method="nearest_example")
    field = Field((nearest, MEDIUM, LARGE), LARGE, ())
    found = [
        verdict("nearest", "undecided"),
        verdict("medium", "certified"),
        verdict("large", "certified"),
    ]
    assert [c.alias for c in choose_route(field, found).fallbacks] == ["large"]


def test_an_input_too_large_for_the_route_goes_to_a_larger_window() -> None:
    decision = choose_route(FIELD, verdicts("certified", "undecided", "undecided"))
    assert decision.over_context is LARGE
    assert choose_route(FIELD, verdicts("failed", "failed", "certified")).over_context is None


def test_a_large_input_goes_to_the_baseline_rather_than_nowhere() -> None:
    decision = choose_route(FIELD, verdicts("certified", "failed", "failed"))
    assert decision.fallbacks == ()
    assert decision.over_context is LARGE


def test_an_outage_is_seen() -> None:
    down = replace(verdict("small", "undecided"), reason=Reason.OUTAGE)
    assert has_outage([down])
    assert not has_outage(verdicts("undecided", "failed", "certified"))
