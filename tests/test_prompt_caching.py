"""How much of the prompts is the same each time, and what a provider's cache saves on it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from calibrate.candidates import Candidate
from calibrate.completion import ChatMessage
from calibrate.config import Model
from calibrate.pricing import HourlyPrice, Price, SteppedPrice, TokenPrice
from calibrate.prompt_caching import (
    Caching,
    PromptCaching,
    Repetition,
    prompt_caching,
    repetition,
)

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta"
PLAIN = TokenPrice(Decimal(1), Decimal(4), Decimal("0.1"))
WRITING = TokenPrice(Decimal(1), Decimal(4), Decimal("0.1"), Decimal("1.25"))


def system(text: str) -> ChatMessage:
    return ChatMessage("system", text)


def user(text: str) -> ChatMessage:
    return ChatMessage("user", text)


def test_a_message_that_never_changes_is_the_same_start_with_what_follows_up_to_a_change() -> None:
    prompts = [
        (system("s" * 400), user("Text: yes")),
        (system("s" * 400), user("Text: no!")),
    ]
    # 409 characters, of which 406 are the same: 103 and 102 tokens, and 4 for each message
    assert repetition("openai", prompts) == Repetition(tokens=111, at_start=110, elsewhere=0)


def test_what_is_the_same_behind_a_change_is_told_apart() -> None:
    prompts = [
        (system(f"Hello {name}. " + "rules " * 40), user("q" * 80), user(text))
        for name, text in [("Ada", "one?"), ("Grace", "two?")]
    ]
    # At the start `Hello `; behind the name `. ` and 240 characters, 80, and `?` or `e?`/`o?`: the
    # last two share one character. (2 + 240 + 80 + 1) / 4 = 80
    found = repetition("openai", prompts)
    assert (found.at_start, found.elsewhere) == (2 + 4, 80)


def test_a_system_message_comes_first_where_the_provider_puts_it_first() -> None:
    prompts = [(user(text), system("s" * 400)) for text in ("one", "two")]
    openai, anthropic = repetition("openai", prompts), repetition("anthropic", prompts)
    assert (openai.at_start, openai.elsewhere) == (0, 100)
    assert (anthropic.at_start, anthropic.elsewhere) == (104, 0)
    assert repetition("gemini", prompts) == anthropic


def test_a_text_that_is_the_whole_start_of_the_others_is_not_counted_twice() -> None:
    prompts = [(user("aaaa" * 10),), (user("aaaa" * 20),)]
    assert repetition("openai", prompts) == Repetition(tokens=19, at_start=14, elsewhere=0)


def test_prompts_that_are_all_the_same_are_the_same_to_their_end() -> None:
    prompts = [(system("abcd"), user("efgh"))] * 3
    assert repetition("openai", prompts) == Repetition(tokens=10, at_start=10, elsewhere=0)


@pytest.mark.parametrize(("prompts", "tokens"), [([], 0), ([(user("abcd"),)], 5)])
def test_nothing_repeats_in_fewer_than_two_prompts(
    prompts: list[tuple[ChatMessage, ...]], tokens: int
) -> None:
    assert repetition("openai", prompts) == Repetition(tokens, 0, 0)


def candidate(price: Price, method: str = "chat", **parameters: Any) -> Candidate:
    row = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 4}
    model = Model.model_validate(
        {"endpoint": "e", "name": "m", "price": row, "method": method, "parameters": parameters}
    )
    return Candidate("m", "cheap", model, "openai", 60, price, None, Decimal(0))


def caching(
    base_url: str,
    at_start: int,
    price: Price = PLAIN,
    tokens: int = 5000,
    **parameters: Any,
) -> Caching:
    found = prompt_caching(
        candidate(price, **parameters), base_url, Repetition(tokens, at_start, 0)
    )
    assert found is not None
    return found.caching


@pytest.mark.parametrize(
    ("base_url", "at_start", "expected"),
    [
        (OPENAI, 1023, Caching.TOO_SHORT),
        (OPENAI, 1024, Caching.AUTOMATIC),
        ("https://eu.api.openai.com/v1", 1024, Caching.AUTOMATIC),
        ("https://ours.openai.azure.com", 1024, Caching.AUTOMATIC),
        (GEMINI, 2047, Caching.TOO_SHORT),
        (GEMINI, 2048, Caching.POSSIBLE),
        (GEMINI, 4095, Caching.POSSIBLE),
        (GEMINI, 4096, Caching.AUTOMATIC),
        (ANTHROPIC, 5000, Caching.MARKED_ONLY),
        ("http://127.0.0.1:8000/v1", 5000, Caching.UNKNOWN),
        ("https://api.openai.com.example.net/v1", 5000, Caching.UNKNOWN),
        ("", 5000, Caching.UNKNOWN),
    ],
)
def test_the_address_and_the_length_of_the_start_decide(
    base_url: str, at_start: int, expected: Caching
) -> None:
    assert caching(base_url, at_start) is expected


def test_models_that_bill_what_they_store_store_each_prompt_to_its_end() -> None:
    assert caching(OPENAI, 4000, WRITING) is Caching.WRITES_ONLY
    assert caching(OPENAI, 0, WRITING) is Caching.WRITES_ONLY
    # One below the 1,024 tokens from which anything is stored:
    assert caching(OPENAI, 0, WRITING, tokens=1023) is Caching.MARKED_ONLY
    explicit = {"prompt_cache_options": {"mode": "explicit"}}
    assert caching(OPENAI, 4000, WRITING, **explicit) is Caching.MARKED_ONLY
    assert caching(OPENAI, 4000, WRITING, prompt_cache_options="x") is Caching.WRITES_ONLY
    # A write at the price of other input is no reason to warn of it.
    same = TokenPrice(Decimal(1), Decimal(4), Decimal("0.1"), Decimal(1))
    assert caching(OPENAI, 4000, same) is Caching.AUTOMATIC
    assert caching(GEMINI, 5000, WRITING) is Caching.AUTOMATIC


def test_anthropic_stores_each_prompt_to_its_end_where_the_request_says_so() -> None:
    marked = {"cache_control": {"type": "ephemeral"}}
    assert caching(ANTHROPIC, 4000, WRITING, **marked) is Caching.WRITES_ONLY
    assert caching(ANTHROPIC, 4000, WRITING, tokens=511, **marked) is Caching.MARKED_ONLY


def test_the_rates_are_those_of_prompts_of_that_size() -> None:
    price = SteppedPrice(PLAIN, ((4999, WRITING),))
    found = prompt_caching(candidate(price), ANTHROPIC, Repetition(5000, 4500, 0))
    assert found == PromptCaching(
        Repetition(5000, 4500, 0), Caching.MARKED_ONLY, WRITING, 512, 4096, is_automatic=False
    )


def test_a_machine_and_an_embeddings_model_have_nothing_to_save() -> None:
    same = Repetition(5000, 4500, 0)
    assert prompt_caching(candidate(HourlyPrice(Decimal(1), 1)), OPENAI, same) is None
    assert prompt_caching(candidate(PLAIN, "nearest_example"), OPENAI, same) is None
