"""Judgements of a text: each table is (answer, expected, score)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calibrate.errors import GraderError
from calibrate.graders.one_of import OneOf
from calibrate.graders.text import Contains, ExactMatch, Regex, fold, shown

MEGABYTE = 1_000_000
LABELS = ["billing", "shipping", "technical", "account", "other"]
ONE_OF = OneOf(labels=LABELS)


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        ("yes", "yes", 1),
        ("  yes\n", "yes", 1),
        ("\ufeffyes\u200f\u2069", "yes", 1),
        ("yes", " yes ", 1),
        ("one\r\ntwo", "one\ntwo", 1),
        ("cafe\u0301", "caf\u00e9", 1),
        ("4", 4, 1),
        ("", "", 1),
        ("Yes", "yes", 0),
        ("yes.", "yes", 0),
        ("ye\u200bs", "yes", 0),
        ("one  two", "one two", 0),
        ("yes", "", 0),
    ],
)
def test_exact_match_forgives_nothing_but_space_around(
    answer: str, expected: object, score: float
) -> None:
    assert ExactMatch().grade(answer, expected).score == score


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        ("**Paris.**", "Paris", 1),
        ("\u201cParis\u201d", "paris", 1),
        ("`Paris`!", "Paris.", 1),
        ("STRASSE", "stra\u00dfe", 1),
        ("-5", "5", 0),
        (".5", "5", 0),
        ("1.5", "15", 0),
        ("don't", "dont", 0),
        ("...", "...", 1),
        ("...", "?!", 0),
    ],
)
def test_punctuation_is_ignored_around_the_answer_only(
    answer: str, expected: str, score: float
) -> None:
    grader = ExactMatch(ignore_case=True, ignore_punctuation=True)
    assert grader.grade(answer, expected).score == score


@pytest.mark.parametrize("expected", [None, True, 4.5, ["yes"], {"a": 1}])
@pytest.mark.parametrize("grader", [ExactMatch(), ONE_OF])
def test_a_golden_answer_that_is_no_text_is_an_error(
    grader: ExactMatch | OneOf, expected: object
) -> None:
    with pytest.raises(GraderError, match="`expected` must be a text"):
        grader.grade("yes", expected)


@pytest.mark.parametrize(
    "answer",
    [
        "billing",
        "Billing",
        " **Billing** \n",
        "_billing_",
        "__Billing__",
        "'billing'",
        "\u201cbilling\u201d.",
        "`billing`",
        "```\nbilling\n```",
        "```text\nbilling\n```",
        "\u200ebilling\u200f",
        "Answer: billing.",
        "**Answer:** Billing",
        "**Answer**: Billing",
        "answer = billing",
        "Queue: billing",
        "Ticket category: billing",
        "The category is: billing",
        "1. billing",
        "- billing",
        '{"label": "billing"}',
        "The customer asks about billing.",
        "I am not sure, but I think billing fits best",
        # a trailing explanation
        "billing\n\nThe shipping was fine, the account too.",
        "Answer: billing\nReason: charged twice for shipping",
        "billing\nConfidence: other",
        "billing: the customer was charged for shipping",
        "Billing - charged twice for the technical support",
        "**Billing** \u2014 charged twice for the shipping",
        "Category: billing - charged twice for the shipping",
        # a conclusion at the end
        "The parcel's shipping was charged twice.\n\n**Answer: billing**",
        "<think>\nIs this shipping? Or account?\n</think>\n\nbilling",
        "It mentions shipping.\nFinal answer: billing",
        "Let me see.\nIt must be billing.\nYes.",
    ],
)
def test_a_label_is_found_however_it_is_wrapped(answer: str) -> None:
    assert ONE_OF.grade(answer, "billing").score == 1
    assert ONE_OF.grade(answer, "other").score == 0


@pytest.mark.parametrize(
    "answer",
    [
        "billing or shipping",
        "billing, shipping",
        "billing/shipping",
        "billing: shipping",
        "shipping: billing",
        "billing - or maybe shipping",
        "Category billing: shipping",
        "billing\nshipping",
        "Answer: billing\n\nFinal answer: shipping",
        "Let me think.\nThis is billing or shipping, hard to say.",
    ],
)
@pytest.mark.parametrize("expected", ["billing", "shipping"])
def test_an_answer_that_names_two_labels_is_ambiguous(answer: str, expected: str) -> None:
    grade = ONE_OF.grade(answer, expected)
    assert grade.score == 0
    assert grade.reason.startswith("ambiguous: names ")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   \n\n",
        "I do not know.",
        "refunds",
        "non-billing",
        "billing-issue",
        "billing_issue",
        "rebilling",
        "billings",
        "bil\u200bling",
        "bill\u0456ng",  # a Cyrillic letter
        "gnillib",
        "\ud800",
        "```",
    ],
)
def test_what_only_looks_like_a_label_names_none(answer: str) -> None:
    grade = ONE_OF.grade(answer, "billing")
    assert grade.score == 0
    assert grade.reason.endswith("names none of the labels")


@pytest.mark.parametrize(
    ("labels", "answer", "expected", "score"),
    [
        (["gift card", "gift"], "Gift  card", "gift card", 1),
        (["gift card", "gift"], "It is a gift\u00a0card.", "gift card", 1),
        (["gift card", "gift"], "It is a gift card.", "gift", 0),
        (["gift card", "gift"], "These are gift cards.", "gift", 1),
        (["in-stock", "stock"], "in\u2011stock", "in-stock", 1),
        (["in-stock", "stock"], "the state: in-stock!", "in-stock", 1),
        (["C", "C++", "C#"], "**C#**", "C#", 1),
        (["C", "C++", "C#"], "Answer: C++.", "C++", 1),
        (["C", "C++", "C#"], "C.", "C", 1),
        (["-1", "0", "1"], "-1", "-1", 1),
        (["-1", "0", "1"], "Score: -1", "1", 0),
        (["1", "2", "3"], "2", 2, 1),
        (["1", "2", "3", "4", "5"], "4 out of 5", "4", 0),
        (["\u00fcbrig", "M\u00dcLL"], "m\u00fcll", "M\u00dcLL", 1),
        (
            ["\u8d26\u5355", "\u7269\u6d41"],
            "\u8fd9\u662f\u8d26\u5355\u95ee\u9898\u3002",
            "\u8d26\u5355",
            1,
        ),
        (["\u0915\u0930", "\u0928\u092f\u093e"], "\u0915\u0930\u0940", "\u0915\u0930", 0),
        (["re: order", "other"], "re: order", "re: order", 1),
        (["true", "false"], "It isn\u2019t false", "false", 1),
        (["don't know", "other"], "don\u2019t know", "don't know", 1),
        (["\U0001f44d", "\U0001f44e"], "\U0001f44d", "\U0001f44d", 1),
        (["<unk>", "known"], "Label: <unk>", "<unk>", 1),
    ],
)
def test_labels_may_hold_spaces_signs_and_any_script(
    labels: list[str], answer: str, expected: object, score: float
) -> None:
    assert OneOf(labels=labels).grade(answer, expected).score == score


def test_case_counts_when_asked_for() -> None:
    grader = OneOf(labels=["US", "us"], ignore_case=False)
    assert grader.grade("It is about us.", "us").score == 1
    assert grader.grade("It is about us.", "US").score == 0


def test_an_expected_label_that_is_none_of_them_is_an_error() -> None:
    with pytest.raises(
        GraderError, match=r"'biling' is none of the labels; did you mean 'billing'"
    ):
        ONE_OF.grade("billing", "biling")


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (None, "needs `labels`"),
        (["one"], "at least 2"),
        (["a", ""], "empty label"),
        (["a", " \u200b "], "empty label"),
        (["Billing", "billing "], "cannot be told apart"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(
    labels: list[str] | None, problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        OneOf(labels=labels)


@pytest.mark.parametrize(
    ("phrases", "answer", "expected", "score"),
    [
        (None, "You get a refund within 14 days.", "refund", 1),
        (None, "You get a refund within 14\n  days.", "within 14 days", 1),
        (None, "You get a Refund.", "refund", 0),
        (None, "refund, 14 days", ["refund", "14 days"], 1),
        (None, "refund, 30 days", ["refund", "14 days"], 0.5),
        (None, "it\u2019s late", "it's late", 1),
        (None, "42", 42, 1),
        (["a", "b", "c", "d"], "a c", None, 0.5),
        (["a"], "", None, 0),
    ],
)
def test_contains_scores_the_share_of_phrases(
    phrases: list[str] | None, answer: str, expected: object, score: float
) -> None:
    assert Contains(all=phrases).grade(answer, expected).score == score


def test_contains_ignores_case_when_asked_to() -> None:
    assert Contains(ignore_case=True).grade("REFUND", "Refund").score == 1


def test_contains_names_what_is_missing() -> None:
    assert Contains(all=["a", "b", "c"]).grade("b", None).reason == "does not contain 'a', 'c'"


@pytest.mark.parametrize("expected", ["", " ", [], ["a", ""], None, {"a": 1}])
def test_contains_needs_something_to_look_for(expected: object) -> None:
    with pytest.raises(GraderError, match="`expected`"):
        Contains().grade("anything", expected)


@pytest.mark.parametrize("phrases", [[], [""], ["a", "\u200b"]])
def test_an_empty_phrase_is_refused(phrases: list[str]) -> None:
    with pytest.raises(ValidationError):
        Contains(all=phrases)


@pytest.mark.parametrize(
    ("grader", "answer", "score"),
    [
        (Regex(pattern=r"\d{4}"), "in 2026", 1),
        (Regex(pattern=r"\d{4}", full=True), "in 2026", 0),
        (Regex(pattern=r"\d{4}", full=True), " 2026\n", 1),
        (Regex(pattern=r"^[A-Z]+$"), "abc", 0),
        (Regex(pattern=r"^[A-Z]+$", ignore_case=True), "abc", 1),
        (Regex(pattern=r"^\p{L}+$"), "M\u00fcller", 1),
        (Regex(pattern=r"(?s)^a.*z$"), "a\n\nz", 1),
        (Regex(pattern=""), "", 1),
    ],
)
def test_regex_searches_the_answer(grader: Regex, answer: str, score: float) -> None:
    assert grader.grade(answer, None).score == score


@pytest.mark.parametrize(
    "pattern", ["(", "[", "a{99999999999}", r"\L<x>", r"\p{Foo}", "(" * 50_000]
)
def test_a_pattern_that_does_not_compile_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="not a regular expression"):
        Regex(pattern=pattern)


def test_a_pattern_that_takes_too_long_ends_in_an_error() -> None:
    with pytest.raises(GraderError, match=r"did not end within 1 s on 'aaa.*simplify it"):
        Regex(pattern="(a|aa)+$").grade("a" * 60 + "!", None)


def test_a_nested_quantifier_is_no_danger() -> None:
    # The `regex` module sees through this one; whether it does or times out, it ends.
    with suppress(GraderError):
        assert Regex(pattern="(a+)+$").grade("a" * 60 + "!", None).score == 0


@pytest.mark.parametrize(
    "answer",
    [
        "a" * MEGABYTE,
        "billing " * (MEGABYTE // 8),
        "billing_" * (MEGABYTE // 8),
        "a-" * (MEGABYTE // 2),
        "a: " * (MEGABYTE // 3),
        "_" * MEGABYTE,
        "*" * MEGABYTE,
        "\n" * MEGABYTE,
        " " * MEGABYTE,
        "```\n" * (MEGABYTE // 4),
        "\u202e" * MEGABYTE,
        "e\u0301" * (MEGABYTE // 2),
        "\u1e9e" * MEGABYTE,
    ],
    ids=lambda text: repr(text[:8]),
)
@pytest.mark.parametrize(
    "grader",
    [
        ExactMatch(ignore_case=True, ignore_punctuation=True),
        ONE_OF,
        Contains(ignore_case=True),
        Regex(pattern="^x*y"),
    ],
    ids=lambda grader: type(grader).__name__,
)
def test_a_huge_answer_is_graded_and_does_not_hang(
    grader: ExactMatch | OneOf | Contains | Regex, answer: str
) -> None:
    grade = grader.grade(answer, "shipping")
    assert grade.score == 0
    assert len(grade.reason) < 500


def test_a_reason_holds_nothing_that_a_terminal_would_obey() -> None:
    reason = ExactMatch().grade("\x1b[2J\u202egnp.exe\ud800", "x").reason
    assert reason == r"'\x1b[2J\u202egnp.exe\ud800' is not 'x'"
    reason.encode()


def test_a_long_value_is_cut() -> None:
    assert shown("a" * 61) == repr("a" * 57) + "..."
    assert len(shown(list(range(1000)))) == 60


@given(st.text())
def test_any_text_is_graded_between_0_and_1(answer: str) -> None:
    for grader in (ExactMatch(), ONE_OF, Contains(), Regex(pattern="a|b")):
        assert 0 <= grader.grade(answer, "billing").score <= 1


@given(st.text(), st.sampled_from(LABELS))
def test_one_of_gives_at_most_one_label_its_point(noise: str, label: str) -> None:
    answer = f"{label}\n{noise}"
    assert sum(ONE_OF.grade(answer, other).score for other in LABELS) <= 1


@given(st.text(min_size=1))
def test_an_answer_equals_itself(answer: str) -> None:
    assert ExactMatch().grade(answer, answer).score == 1


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
