"""Judgements of a number, and what counts as one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calibrate.errors import GraderError
from calibrate.graders.numeric import Numeric, as_number, is_near, parse_number

MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", "5"),
        (" 5\n", "5"),
        ("007", "7"),
        ("-5", "-5"),
        ("\u22125", "-5"),
        ("+5", "5"),
        (".5", "0.5"),
        ("1299.00", "1299.00"),
        ("1,299.00", "1299.00"),
        ("1.299,00", "1299.00"),
        ("1 299,00", "1299.00"),
        ("1\u00a0299,00", "1299.00"),
        ("1\u202f299", "1299"),
        ("1'299.50", "1299.50"),
        ("1\u2019299.50", "1299.50"),
        ("1,299", "1299"),
        ("1.299", "1.299"),
        ("1.299.000", "1299000"),
        ("1,299,000", "1299000"),
        ("12,34,567.5", "1234567.5"),
        ("49,90", "49.90"),
        ("0,125", "0.125"),
        ("1299,5", "1299.5"),
        ("$49.90", "49.90"),
        ("-$49.90", "-49.90"),
        ("$-49.90", "-49.90"),
        ("US$ 49.90", "49.90"),
        ("49,90 \u20ac", "49.90"),
        ("49.90EUR", "49.90"),
        ("USD 1,299.00", "1299.00"),
        ("45%", "45"),
        ("45 %", "45"),
        ("-3e5", "-300000"),
        ("1.5E-3", "0.0015"),
        ("1e400", "1e400"),
    ],
)
def test_a_number_is_read_however_it_is_written(text: str, number: str) -> None:
    assert parse_number(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "five",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1e401",
        "1e-401",
        "1e999999999",
        "1e9999999999999999999",
        "9" * 201,
        "1.2.3",
        "1,2,3",
        "1,29.00",
        "1.299.00",
        "10.20.300",
        "1,299 000",
        "2026-03-04",
        "04.03.2026",
        "12:30",
        "1/2",
        "5kg",
        "5.",
        "--5",
        "-$-5",
        "- 5",
        "0x10",
        "1_000",
        "\u0663",
        "\u00b2",
        "10\u00b2",
        "5\u200b5",
        "SKU123",
        "$",
        "e5",
    ],
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, Decimal(5)),
        (0.1, Decimal("0.1")),
        (Decimal("1.10"), Decimal("1.10")),
        ("1,000", Decimal(1000)),
        (True, None),
        (None, None),
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("NaN"), None),
        (Decimal("sNaN"), None),
        pytest.param(10**5000, None, id="a huge integer"),
        (10**250, None),
        ([5], None),
    ],
)
def test_a_value_is_a_number_by_its_written_digits(value: object, number: Decimal | None) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        ("42", 42, 1),
        ("42.0", 42, 1),
        ("42", "42", 1),
        ("**42**", 42, 1),
        ("42.", 42, 1),
        ("(42)", 42, 1),
        ("```\n42\n```", 42, 1),
        ("Answer: 42", 42, 1),
        ("**Answer:** .5", 0.5, 1),
        ("x = -42", -42, 1),
        ("0.1", 0.1, 1),
        ("0.30000000000000004", 0.3, 0),
        ("The total is 1,299.00 USD", 1299, 1),
        ("Es kostet 1.299,00 \u20ac.", 1299, 1),
        ("USD49.90 in all", 49.9, 1),
        ("$49.90/month", 49.9, 1),
        ("It weighs 5kg.", 5, 1),
        ("- 5", 5, 1),
        ("It is -5 degrees", -5, 1),
        ("It is 5 degrees", -5, 0),
        ("about 2 million people", 2_000_000, 1),
        ("about 2 million people", 2, 0),
        ("\\boxed{42}", 42, 1),
        # a first line that is a number, whatever explains it
        ("42\n\n6 times 8 is 48, less 6.", 42, 1),
        ("42\nConfidence: 0.9", 42, 1),
        # a conclusion
        ("6 times 7 is more than 40.\n\nAnswer: 42", 42, 1),
        ("6 times 7 = 42", 42, 1),
        ("Answer: 41\nTotal: 42", 42, 0),
        # several numbers: the last one
        ("12 and 30", 30, 1),
        ("12 and 30", 12, 0),
        ("from 5-10", 10, 1),
        # not numbers
        ("", 42, 0),
        ("none", 0, 0),
        ("1.5k", 1.5, 0),
        ("3/4", 4, 0),
        ("version 1.2.3", 3, 0),
        ("0x42", 42, 0),
        ("A42b", 42, 0),
        ("42_000", 42, 0),
        ("nan", 0, 0),
        ("1e99999", 1, 0),
    ],
)
def test_the_number_of_an_answer_is_compared(answer: str, expected: object, score: float) -> None:
    assert Numeric().grade(answer, expected).score == score


@pytest.mark.parametrize(
    ("grader", "answer", "score"),
    [
        (Numeric(absolute=0.01), "100.01", 1),
        (Numeric(absolute=0.01), "100.011", 0),
        (Numeric(relative=0.01), "101", 1),
        (Numeric(relative=0.01), "99", 1),
        (Numeric(relative=0.01), "101.001", 0),
        (Numeric(absolute=5, relative=0.01), "105", 1),  # the larger one counts
        (Numeric(absolute=5), "1e400", 0),
    ],
)
def test_a_tolerance_is_exact_at_its_edge(grader: Numeric, answer: str, score: float) -> None:
    assert grader.grade(answer, 100).score == score


def test_a_relative_tolerance_works_below_zero() -> None:
    assert Numeric(relative=0.1).grade("-110", -100).score == 1


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_tolerance_is_a_finite_size(value: float) -> None:
    with pytest.raises(ValidationError):
        Numeric(absolute=value)


@pytest.mark.parametrize(
    "expected", [None, True, "many", float("nan"), pytest.param(10**5000, id="huge"), [1]]
)
def test_a_golden_answer_that_is_no_number_is_an_error(expected: object) -> None:
    with pytest.raises(GraderError, match="`expected` must be a number"):
        Numeric().grade("1", expected)


def test_the_reason_says_that_there_were_several_numbers() -> None:
    assert Numeric().grade("12 and 30", 31).reason == "30 (the last of several numbers) is not 31"
    assert Numeric().grade("30 and 30", 30).reason == "30 is right"


@pytest.mark.parametrize(
    "answer",
    [
        "9" * MEGABYTE,
        "1 " * (MEGABYTE // 2),
        "1," * (MEGABYTE // 2) + "k",
        "1k " * (MEGABYTE // 3),
        "-" * MEGABYTE,
        "$" * MEGABYTE,
        "1e" * (MEGABYTE // 2),
        "." * MEGABYTE,
        "1a" * (MEGABYTE // 2),
        "\n" * MEGABYTE,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_a_huge_answer_is_graded_and_does_not_hang(answer: str) -> None:
    assert Numeric().grade(answer, 7).score == 0


DECIMALS = st.decimals(
    min_value=Decimal("-1e15"), max_value=Decimal("1e15"), allow_nan=False, places=2
)


@given(DECIMALS)
def test_a_formatted_number_is_read_back(number: Decimal) -> None:
    english = f"{number:,}"
    german = english.translate(str.maketrans(",.", ".,"))
    for text in (str(number), english, german, f"{english} USD", f"{german} \u20ac"):
        assert parse_number(text) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_back_by_its_digits(number: float) -> None:
    assert parse_number(repr(number)) == Decimal(repr(number))


@given(DECIMALS, st.floats(0, 1e6), st.floats(0, 1))
def test_a_number_is_near_itself(number: Decimal, absolute: float, relative: float) -> None:
    assert is_near(number, number, absolute, relative)


@given(st.text() | st.text(alphabet="0123456789.,-+eE$ %/k'\n"))
def test_any_text_is_graded_between_0_and_1(answer: str) -> None:
    assert 0 <= Numeric(relative=0.1).grade(answer, 7).score <= 1
