from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.completion import Usage
from calibrate.config import Model, PriceRow
from calibrate.errors import BudgetError, CalibrateError, PriceError
from calibrate.policy.records import plain
from calibrate.pricing import (
    Account,
    Budget,
    HourlyPrice,
    Listing,
    SteppedPrice,
    TokenPrice,
    batch_factor,
    listing_of,
    policy_price,
    rates_at,
)

SMALL = TokenPrice(Decimal("0.25"), Decimal("2"), Decimal("0.025"))
DEAR = TokenPrice(Decimal("0.50"), Decimal("3"), Decimal("0.05"))
STEPPED = SteppedPrice(SMALL, ((200_000, DEAR),))
OPENAI = "https://api.openai.com/v1"


def model(name: str = "gpt-5-mini", window: int | None = None, **price: object) -> Model:
    row = PriceRow.model_validate(price or {"auto": True})
    return Model(endpoint="e", name=name, price=row, context_window=window)


def embedder(name: str) -> Model:
    row = PriceRow.model_validate({"auto": True})
    return Model(endpoint="e", name=name, price=row, method="nearest_example")


def test_tokens_cost_their_price_per_million() -> None:
    # 1000 * 0.25 / 1e6 + 100 * 2 / 1e6 = 0.00025 + 0.0002
    assert SMALL.cost(Usage(1000, 100), 9.0) == Decimal("0.00045")


def test_cached_input_is_part_of_the_input_and_costs_its_own_price() -> None:
    # 400 fresh * 0.25 + 600 cached * 0.025 + 100 * 2 = 100 + 15 + 200, per million
    assert SMALL.cost(Usage(1000, 100, 600), 9.0) == Decimal("0.000315")


def test_cached_input_without_a_price_of_its_own_costs_as_much_as_other_input() -> None:
    price = TokenPrice(Decimal("0.25"), Decimal("2"))
    assert price.cost(Usage(1000, 100, 600), 9.0) == price.cost(Usage(1000, 100), 9.0)


def test_cached_input_may_be_free() -> None:
    # 400 fresh * 0.25 + 600 cached * 0 = 100 per million
    price = TokenPrice(Decimal("0.25"), Decimal("2"), Decimal("0"))
    assert price.cost(Usage(1000, 0, 600), 9.0) == Decimal("0.0001")


WRITING = TokenPrice(Decimal(2), Decimal(10), Decimal("0.2"), Decimal("2.5"))


def test_input_that_is_written_to_a_cache_costs_its_own_price() -> None:
    # 100 fresh * 2 + 300 cached * 0.2 + 600 written * 2.5 + 50 * 10 = 200 + 60 + 1500 + 500
    usage = Usage(1000, 50, cached_input_tokens=300, cache_write_tokens=600)
    assert WRITING.cost(usage, 1.0) == Decimal("0.00226")


def test_written_input_without_a_price_of_its_own_costs_as_much_as_other_input() -> None:
    assert SMALL.cost(Usage(1000, 100, cache_write_tokens=600), 9.0) == Decimal("0.00045")


@pytest.mark.parametrize(
    ("price", "most"),
    [
        (SMALL, "0.00045"),  # 1000 * 0.25 + 100 * 2
        (WRITING, "0.0035"),  # 1000 * 2.5 + 100 * 10: all of it may be written
        # A "cache" that is dearer than what it saves: 1000 * 3 + 100 * 2.
        (TokenPrice(Decimal(1), Decimal(2), Decimal(3)), "0.0032"),
        (TokenPrice(Decimal(1), Decimal(2), None, Decimal("0.5")), "0.0012"),
    ],
)
def test_the_most_that_is_set_aside_is_at_the_dearest_rate_of_input(
    price: TokenPrice, most: str
) -> None:
    assert price.estimate(1000, 100, 60.0) == Decimal(most)


@given(
    rates=st.tuples(*[st.decimals(0, 50, places=2)] * 4),
    steps=st.lists(st.tuples(st.integers(1, 900), st.decimals(0, 50, places=2)), max_size=3),
    used=st.tuples(*[st.integers(0, 300)] * 4),
    spare=st.integers(0, 400),
)
def test_no_usage_costs_more_than_was_set_aside_for_its_size(
    rates: tuple[Decimal, ...],
    steps: list[tuple[int, Decimal]],
    used: tuple[int, int, int, int],
    spare: int,
) -> None:
    price = SteppedPrice(
        TokenPrice(*rates),
        tuple((above, TokenPrice(rate, rates[1])) for above, rate in sorted(steps)),
    )
    fresh, cached, written, output = used
    usage = Usage(fresh + cached + written, output, cached, cache_write_tokens=written)
    most = price.estimate(usage.input_tokens + spare, output + spare, 1.0)
    assert price.cost(usage, 1.0) <= most


@pytest.mark.parametrize(
    ("input_tokens", "cost"),
    [
        (199_999, "0.05019975"),  # (199999 * 0.25 + 100 * 2) / 1e6 = (49999.75 + 200) / 1e6
        (200_000, "0.0502"),  # (50000 + 200) / 1e6: at the step it is not passed yet
        (200_001, "0.1003005"),  # (200001 * 0.50 + 100 * 3) / 1e6: all tokens are dearer
    ],
)
def test_above_a_step_every_token_is_dearer(input_tokens: int, cost: str) -> None:
    assert STEPPED.cost(Usage(input_tokens, 100), 1.0) == Decimal(cost)
    assert STEPPED.estimate(input_tokens, 100, 1.0) == Decimal(cost)


def test_a_stepped_price_says_its_steps() -> None:
    assert plain(policy_price(STEPPED)) == {
        "input_usd_per_mtok": 0.25,
        "output_usd_per_mtok": 2.0,
        "cached_input_usd_per_mtok": 0.025,
        "steps": [
            {
                "above_input_tokens": 200_000,
                "input_usd_per_mtok": 0.5,
                "output_usd_per_mtok": 3.0,
                "cached_input_usd_per_mtok": 0.05,
            }
        ],
    }


def test_only_a_price_for_written_input_is_said() -> None:
    assert plain(policy_price(WRITING)) == {
        "input_usd_per_mtok": 2.0,
        "output_usd_per_mtok": 10.0,
        "cached_input_usd_per_mtok": 0.2,
        "cache_write_usd_per_mtok": 2.5,
    }
    assert list(plain(policy_price(SMALL))) == [
        *("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok")
    ]


def test_the_rates_are_those_of_the_size_and_a_machine_has_none() -> None:
    assert rates_at(SMALL, 500_000) is SMALL
    assert rates_at(STEPPED, 200_000) is SMALL
    assert rates_at(STEPPED, 200_001) is DEAR
    assert rates_at(HourlyPrice(Decimal(1), 1), 10) is None


def test_a_machine_costs_its_time_shared_by_what_runs_side_by_side() -> None:
    # 1.20 an hour / 3600 s / 8 at a time * 6 s = 0.00025
    price = HourlyPrice(Decimal("1.20"), 8)
    assert round(price.cost(Usage(1000, 100), 6.0), 20) == Decimal("0.00025")
    # Its worst case is the time-out: 1.20 / 3600 / 8 * 60 = 0.0025
    assert round(price.estimate(1000, 100, 60.0), 20) == Decimal("0.0025")
    assert plain(policy_price(price)) == {"usd_per_hour": 1.2, "concurrency": 8}


@pytest.mark.parametrize(
    ("url", "factor"),
    [
        ("https://api.openai.com/v1", "0.5"),
        ("https://mine.openai.azure.com", "0.5"),
        ("https://api.anthropic.com", "0.5"),
        ("https://generativelanguage.googleapis.com/v1beta", "0.5"),
        ("https://api.openai.com.evil.example/v1", "1"),
        ("https://notopenai.azure.com", "1"),
        ("http://127.0.0.1:8081/v1", "1"),
        ("nowhere", "1"),
        ("", "1"),
    ],
)
def test_batches_are_cheaper_only_where_that_is_documented(url: str, factor: str) -> None:
    assert batch_factor(url) == Decimal(factor)


def test_a_projects_own_price_wins_over_the_catalogue() -> None:
    own = model(input_usd_per_mtok="1", output_usd_per_mtok="4", window=8192)
    price = TokenPrice(Decimal(1), Decimal(4))
    assert listing_of("small", own, OPENAI) == Listing(price, 8192)
    assert plain(policy_price(price)) == {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}


def test_a_projects_own_price_may_say_what_written_input_costs() -> None:
    own = model(input_usd_per_mtok=1, output_usd_per_mtok=4, cache_write_usd_per_mtok="1.25")
    assert listing_of("m", own, None).price == TokenPrice(
        Decimal(1), Decimal(4), None, Decimal("1.25")
    )


def test_an_hourly_price_is_listed_as_it_is_written() -> None:
    own = model(usd_per_hour="1.20", concurrency=8)
    assert listing_of("m", own, None) == Listing(HourlyPrice(Decimal("1.20"), 8), None)


def test_auto_finds_price_and_window_in_the_catalogue() -> None:
    assert listing_of("small", model(), OPENAI) == Listing(SMALL, 400_000)


def test_a_window_of_the_project_wins_over_the_catalogues() -> None:
    assert listing_of("small", model(window=1000), OPENAI).context_window == 1000


def test_auto_finds_stepped_prices() -> None:
    price = listing_of("m", model("gemini-2.5-pro"), "https://generativelanguage.googleapis.com")
    # https://ai.google.dev/gemini-api/docs/pricing: 1.25 and 10 up to 200k tokens, then 2.50 and 15
    below = TokenPrice(Decimal("1.25"), Decimal(10), Decimal("0.125"))
    above = TokenPrice(Decimal("2.5"), Decimal(15), Decimal("0.25"))
    assert price.price == SteppedPrice(below, ((200_000, above),))


def test_auto_finds_what_written_input_costs() -> None:
    price = listing_of("m", model("claude-opus-4-5"), "https://api.anthropic.com/v1").price
    # https://platform.claude.com/docs/en/about-claude/pricing: 5, a write 6.25, a read 0.50, out 25
    assert price == TokenPrice(Decimal(5), Decimal(25), Decimal("0.5"), Decimal("6.25"))


def test_where_only_the_storage_is_listed_a_write_costs_the_input_too() -> None:
    base_url = "https://openrouter.ai/api/v1"
    price = rates_at(listing_of("m", model("google/gemini-2.5-flash"), base_url).price, 0)
    assert price is not None
    # 0.30, and five minutes of the 1.00 that an hour of storage costs
    assert round(price.cache_write_rate, 4) == Decimal("0.3833")
    claude = rates_at(listing_of("m", model("anthropic/claude-opus-4.5"), base_url).price, 0)
    assert claude is not None
    assert claude.cache_write_rate == Decimal("6.25")


def test_auto_finds_a_model_that_only_embeds_and_so_has_no_price_for_output() -> None:
    price = listing_of("m", embedder("text-embedding-3-small"), OPENAI).price
    assert price == TokenPrice(Decimal("0.02"), Decimal(0))


@pytest.mark.parametrize(
    ("name", "base_url"),
    [
        ("gpt-5-mini", "http://127.0.0.1:8081/v1"),
        ("gpt-5-mini", "https://proxy.example.com/https://api.openai.com/v1"),
        ("gpt-5-mini", None),
        ("gpt-of-our-own", OPENAI),
        ("text-embedding-3-small", OPENAI),  # as a chat model
        ("whisper-1", OPENAI),  # by the hour of speech
    ],
)
def test_a_name_alone_has_no_price(name: str, base_url: str | None) -> None:
    with pytest.raises(PriceError) as caught:
        listing_of("small", model(name), base_url)
    assert str(caught.value) == (
        f"models.small.price: the catalogue knows no {name!r} at {base_url or ''}; "
        "give price: {input_usd_per_mtok: …, output_usd_per_mtok: …}"
    )


def test_what_could_pass_the_cap_is_refused_before_it_is_sent() -> None:
    budget = Budget(Decimal("0.10"))
    budget.reserve(Decimal("0.04"))
    budget.reserve(Decimal("0.06"))
    with pytest.raises(BudgetError) as caught:
        budget.reserve(Decimal("0.000001"))
    assert str(caught.value) == (
        "the cap of $0.10 is reached: $0.000000 spent, $0.100000 in flight, the next request may "
        "cost $0.000001; every answer is kept: raise --max-usd and run again to go on"
    )


def test_a_settled_request_gives_back_what_it_did_not_use() -> None:
    budget = Budget(Decimal("0.10"))
    budget.reserve(Decimal("0.10"))
    budget.settle(Decimal("0.10"), Decimal("0.03"))
    budget.reserve(Decimal("0.07"))
    assert budget.spent_usd == Decimal("0.03")


def test_what_is_begun_and_spent_is_put_down_to_an_account() -> None:
    budget = Budget(None)
    budget.reserve(Decimal("0.02"), "small")
    budget.reserve(Decimal("0.05"), "large")
    budget.settle(Decimal("0.05"), Decimal("0.04"), "large")
    budget.refund(Decimal("0.01"), "large")
    assert budget.accounts == {
        "small": Account(begun=1, in_flight=1),
        "large": Account(begun=1, in_flight=0, spent_usd=Decimal("0.03")),
    }
    assert (budget.begun, budget.in_flight, budget.spent_usd) == (2, 1, Decimal("0.03"))


def test_attempts_are_counted_and_none_begins_once_the_budget_is_shut() -> None:
    budget = Budget(Decimal("0.03"))
    budget.reserve(Decimal("0.02"))
    with pytest.raises(BudgetError):
        budget.reserve(Decimal("0.02"))
    assert (budget.begun, budget.in_flight, budget.spent_usd) == (1, 1, 0)
    budget.settle(Decimal("0.02"), Decimal("0.01"))
    budget.refund(Decimal("0.005"))
    assert (budget.in_flight, budget.spent_usd) == (0, Decimal("0.005"))
    budget.is_shut = True
    with pytest.raises(CalibrateError, match="interrupted"):
        budget.reserve(Decimal("0.01"))
    assert budget.begun == 1


def test_who_waits_for_all_to_settle_also_waits_for_what_begins_meanwhile() -> None:
    async def main() -> list[str]:
        budget, cent, told = Budget(None), Decimal("0.01"), []

        async def wait() -> None:
            await budget.all_settled()
            told.append("settled")

        await wait()
        budget.reserve(cent)
        waiting = asyncio.gather(wait(), wait())
        await asyncio.sleep(0)
        budget.settle(cent, cent)
        budget.reserve(cent)
        for _ in range(3):
            await asyncio.sleep(0)
        told.append("asked again")
        budget.settle(cent, cent)
        await waiting
        return told

    assert asyncio.run(main()) == ["settled", "asked again", "settled", "settled"]


def test_without_a_cap_nothing_is_refused() -> None:
    budget = Budget(None)
    budget.reserve(Decimal(10**9))
    budget.settle(Decimal(10**9), Decimal(10**9))
    assert budget.spent_usd == 10**9


@given(
    cap=st.decimals(0, 10, places=3),
    costs=st.lists(
        st.tuples(st.decimals(0, 2, places=3), st.fractions(0, 1), st.booleans()), max_size=50
    ),
)
def test_the_cap_is_never_passed_whatever_is_in_flight(
    cap: Decimal, costs: list[tuple[Decimal, object, bool]]
) -> None:
    budget, in_flight = Budget(cap), []
    for worst, share, settles in costs:
        try:
            budget.reserve(worst)
        except BudgetError:
            continue
        actual = worst * Decimal(share.numerator) / share.denominator  # type: ignore[attr-defined]
        in_flight.append((worst, actual))
        if settles:
            budget.settle(*in_flight.pop(0))
        assert budget.spent_usd + sum(worst for worst, _ in in_flight) <= cap
    for worst, actual in in_flight:
        budget.settle(worst, actual)
    assert budget.spent_usd <= cap
