"""What `plan` says about prompt caching."""

from __future__ import annotations

from decimal import Decimal

import pytest

from calibrate.cli.caching import caching_json, caching_lines
from calibrate.pricing import TokenPrice
from calibrate.prompt_caching import Caching, PromptCaching, Repetition

SAME = Repetition(tokens=1380, at_start=1240, elsewhere=0)
PRICE = TokenPrice(Decimal("0.25"), Decimal(2), Decimal("0.025"), Decimal("0.3125"))
BARE = TokenPrice(Decimal("0.25"), Decimal(2))
HEAD = "about 1,240 of 1,380 input tokens are the same at the start of every prompt"
READS = "at $0.025 instead of $0.25 a million"


def lines(caching: Caching, price: TokenPrice = PRICE, same: Repetition = SAME) -> list[str]:
    automatic = caching is not Caching.MARKED_ONLY
    return list(caching_lines({"m": PromptCaching(same, caching, price, 512, 4096, automatic)}))


@pytest.mark.parametrize(
    ("caching", "said"),
    [
        (Caching.AUTOMATIC, f"m: the provider's prompt caching reads them {READS}"),
        (
            Caching.POSSIBLE,
            "m: the provider's prompt caching begins at 512 to 4,096 tokens, depending on the "
            f"model; then it reads them {READS}",
        ),
        (
            Caching.TOO_SHORT,
            "warning: m: the provider's prompt caching does not apply: it begins at 512 tokens "
            "that are the same at the start",
        ),
        (
            Caching.MARKED_ONLY,
            "warning: m: the provider caches only what a request marks, and calibrate marks "
            f"nothing; a product that does reads them {READS}",
        ),
        (
            Caching.WRITES_ONLY,
            "warning: m: the provider stores every prompt whole, at $0.3125 instead of $0.25 a "
            "million, and reads only whole ones again; "
            "`parameters: {prompt_cache_options: {mode: explicit}}` stops that",
        ),
        (Caching.UNKNOWN, f"m: where the server caches prompts, it reads them {READS}"),
    ],
)
def test_each_outcome_has_a_sentence(caching: Caching, said: str) -> None:
    assert lines(caching) == [HEAD, said]


def test_a_price_that_does_not_know_cached_input_is_said() -> None:
    assert lines(Caching.AUTOMATIC, BARE) == [
        HEAD,
        "m: the provider caches prompts, but the price has no `cached_input_usd_per_mtok`: "
        "they are counted in full",
    ]
    assert lines(Caching.UNKNOWN, BARE) == [HEAD]


def test_a_mark_that_only_stores_is_to_be_removed() -> None:
    found = PromptCaching(SAME, Caching.WRITES_ONLY, PRICE, 512, 4096, is_automatic=False)
    (_, said) = caching_lines({"m": found})
    assert said.endswith("reads only whole ones again; remove `cache_control` from its parameters")


def test_a_static_part_behind_what_changes_is_to_be_moved() -> None:
    (head, move, said) = lines(Caching.TOO_SHORT, same=Repetition(2000, 40, 1900))
    assert head == "about 40 of 2,000 input tokens are the same at the start of every prompt"
    assert move == (
        "warning: 1,900 more are the same but stand behind a part that changes, where no cache "
        "can give them: move the static part first"
    )
    assert said.startswith("warning: m: the provider's prompt caching does not apply")


@pytest.mark.parametrize(
    ("same", "count"),
    [
        (Repetition(2000, 1023, 0), 0),
        (Repetition(2000, 1024, 0), 2),
        (Repetition(2000, 897, 127), 2),  # 1,024 in all, but too few to move
        (Repetition(2000, 896, 128), 3),
    ],
)
def test_short_repetitions_are_not_worth_a_line(same: Repetition, count: int) -> None:
    assert len(lines(Caching.TOO_SHORT, same=same)) == count


def test_storing_is_told_even_where_nothing_repeats() -> None:
    (said,) = lines(Caching.WRITES_ONLY, same=Repetition(2000, 0, 0))
    assert said.startswith("warning: m: the provider stores every prompt whole")


def test_models_with_the_same_prompts_share_the_first_line() -> None:
    one = PromptCaching(SAME, Caching.AUTOMATIC, PRICE)
    other = PromptCaching(Repetition(1400, 1300, 0), Caching.AUTOMATIC, PRICE)
    assert [line.split()[:2] for line in caching_lines({"a": one, "b": one, "c": other})] == [
        *(["about", "1,240"], ["a:", "the"], ["b:", "the"]),
        *(["about", "1,300"], ["c:", "the"]),
    ]


def test_json_has_the_same_facts() -> None:
    assert caching_json(None) is None
    assert caching_json(PromptCaching(SAME, Caching.AUTOMATIC, BARE, 1024, 1024)) == {
        "caching": "automatic",
        "input_tokens": 1380,
        "same_at_start": 1240,
        "same_elsewhere": 0,
        "input_usd_per_mtok": 0.25,
        "cached_input_usd_per_mtok": 0.25,
        "cache_write_usd_per_mtok": 0.25,
    }
