from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from calibrate.completion import Completion, Failure, FailureReason, Usage
from calibrate.providers.reading import MOST_TOKENS, count, label, read_reply, usage_of

COUNTS = st.none() | st.integers(0, MOST_TOKENS)


def test_an_answer_that_is_nested_too_deeply_to_be_written_is_a_bad_response() -> None:
    def read(value: dict[str, Any]) -> Completion:
        raise RecursionError

    assert read_reply(200, b"{}", 0.5, read) == Failure(
        FailureReason.BAD_RESPONSE, "nested too deeply", 0.5, 200
    )


@given(st.lists(st.text()), st.text(), st.tuples(COUNTS, COUNTS), st.tuples(COUNTS, COUNTS, COUNTS))
def test_the_parts_of_a_usage_stay_within_the_whole(
    asked: list[str],
    answered: str,
    whole: tuple[int | None, int | None],
    parts: tuple[int | None, int | None, int | None],
) -> None:
    cached, written, reasoning = parts
    usage = usage_of(asked, answered, *whole, cached=cached, written=written, reasoning=reasoning)
    assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.reasoning_tokens <= usage.output_tokens
    assert usage.is_estimated or (usage.input_tokens, usage.output_tokens) == whole


def test_only_what_is_missing_is_estimated() -> None:
    # 4 characters are a token, and 4 for the message
    assert usage_of(["abcd"], "abcd", None, 7) == Usage(5, 7, is_estimated=True)
    assert usage_of(["abcd"], "abcd", 7, None) == Usage(7, 5, is_estimated=True)
    assert usage_of(["abcd"], "abcd", 0, 7) == Usage(5, 7, is_estimated=True)
    assert usage_of(["abcd"], "", 7, 0) == Usage(7, 0)
    assert usage_of([""], "abcd", 0, 7) == Usage(0, 7)


def test_a_count_is_a_whole_number_that_a_model_can_have_read() -> None:
    values: list[Any] = [0, MOST_TOKENS, MOST_TOKENS + 1, -1, True, 1.0, "1", None, [1]]
    assert [count(value) for value in values] == [0, MOST_TOKENS, *[None] * 7]


def test_a_name_is_one_short_printable_line_or_another() -> None:
    assert label("small\x1b[2J\n2026", "asked") == "small [2J 2026"
    assert label("x" * 400, "asked") == "x" * 299 + "…"
    assert label("\n", "asked") == "asked"
    assert label({"name": "small"}, "asked") == "asked"
