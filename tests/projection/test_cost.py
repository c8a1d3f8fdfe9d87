"""The mean cost of a request and its interval, with numbers that can be checked by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from calibrate.completion import Usage
from calibrate.pricing import HourlyPrice, SteppedPrice, TokenPrice
from calibrate.projection import (
    Basis,
    Call,
    RequestCost,
    Stated,
    mean_cost,
    request_cost,
)

D = Decimal
PRICE = TokenPrice(D(2), D(10), D("0.5"), D("2.5"))
ASKED = Call(Usage(1000, 100, cached_input_tokens=400), 1.5, "case a")
NOTHING = D(0)


def cost(stated: Stated, price=PRICE, call: Call = ASKED, discount: Decimal = NOTHING) -> Decimal:
    return request_cost(price, [call], stated, Basis.ESTIMATED, discount).usd


@pytest.mark.parametrize(
    ("stated", "usd"),
    [
        (Stated(), "0.0024"),  # 600 x 2 + 400 x 0.5 + 100 x 10 = 2,400 millionths
        (Stated(input_tokens=500), "0.002"),  # 500 x 2 + 1,000: nothing from the cache
        (Stated(output_tokens=10), "0.0021"),  # 1,000 x 2 + 100
        (Stated(input_tokens=500, output_tokens=10, cached_share=D("0.2")), "0.00095"),
        (Stated(cached_share=D(0)), "0.003"),
        (Stated(cached_share=D(1)), "0.0015"),
        (Stated(cached_share=D("0.1")), "0.00285"),
    ],
)
def test_what_is_stated_replaces_what_was_measured(stated: Stated, usd: str) -> None:
    assert cost(stated) == D(usd)


@pytest.mark.parametrize(
    ("share", "usd"),
    [("0", "0.0024"), ("1", "0.0015"), ("0.25", "0.002175")],  # half of 0.003, without the cache
)
def test_batches_cost_less_but_read_nothing_from_the_cache(share: str, usd: str) -> None:
    assert cost(Stated(batch_share=D(share)), discount=D("0.5")) == D(usd)


def test_batches_cost_the_same_where_no_discount_is_known() -> None:
    assert cost(Stated(batch_share=D(1))) == D("0.0024")


def test_a_step_of_the_price_is_that_of_the_stated_size() -> None:
    stepped = SteppedPrice(PRICE, ((2000, TokenPrice(D(4), D(20))),))
    assert cost(Stated(2000, 0), stepped) == D("0.004")
    assert cost(Stated(2001, 0), stepped) == D("0.008004")


def test_an_expected_call_by_the_hour_is_a_ceiling() -> None:
    hourly = HourlyPrice(D("3.6"), 2)
    found = request_cost(hourly, [ASKED], Stated(), Basis.ESTIMATED, D(0))
    assert found == RequestCost(D("0.00075"), Basis.ESTIMATED, is_ceiling=True)
    assert request_cost(hourly, [ASKED], Stated(), Basis.MEASURED, D(0)).is_ceiling is False


def test_the_interval_is_students() -> None:
    found = mean_cost([D(1), D(2), D(3)], ["a", "b", "c"])
    assert (found.usd, found.basis, found.cases) == (2, Basis.MEASURED, 3)
    # s = 1, so 4.3027 (two degrees of freedom) x 1 / sqrt(3)
    assert float(found.half_width or 0) == pytest.approx(4.302653 / 3**0.5, rel=1e-6)


def test_answers_of_one_unit_count_once() -> None:
    alone = mean_cost([D(1), D(2), D(3)], ["a", "b", "c"])
    twice = mean_cost([D(1), D(2), D(3), D(1), D(2), D(3)], ["a", "b", "c"] * 2)
    assert (twice.usd, twice.half_width, twice.cases) == (alone.usd, alone.half_width, 3)


def test_one_unit_has_no_interval_and_equal_costs_have_an_empty_one() -> None:
    assert mean_cost([D(1), D(3)], ["a", "a"]) == RequestCost(D(2), Basis.MEASURED, None, 1)
    assert mean_cost([D(2), D(2)], ["a", "b"]) == RequestCost(D(2), Basis.MEASURED, D(0), 2)


def test_of_all_samples_of_six_costs_only_those_without_spread_miss_the_truth() -> None:
    """Costs are 0 or 1, each as likely: 2 of 64 samples (3 %) are all of one kind."""
    missed = 0
    for sample in range(64):
        found = mean_cost([D(sample >> bit & 1) for bit in range(6)], list("abcdef"))
        missed += abs(found.usd - D("0.5")) > (found.half_width or 0)
    assert missed == 2
