"""A workflow's answers are graded by all graders, each short one once."""

from __future__ import annotations

from typing import Any

import pytest

from calibrate.errors import GraderError
from calibrate.graders import Grade, Grader, Grading, NamedGrader, build_graders

LONG = "x" * 101


class Counting(Grader):
    """Counts how often it is asked; an answer counts by its length."""

    def grade(self, answer: str, expected: Any) -> Grade:
        COUNTED.append((answer, expected))
        if answer == "unreadable":
            raise GraderError("cannot be used")
        return Grade(min(len(answer) / 10, 1), f"{len(answer)} characters")


COUNTED: list[tuple[str, Any]] = []


def grading() -> Grading:
    COUNTED.clear()
    return Grading([NamedGrader("counting", Counting())])


def test_a_short_answer_is_judged_once_for_each_expected_text() -> None:
    graded = grading()
    assert [graded.grade("abc", "x"), graded.grade("abc", "x"), graded.grade("abc", "y")] == [
        Grade(0.3, "counting: 3 characters")
    ] * 3
    assert COUNTED == [("abc", "x"), ("abc", "y")]


@pytest.mark.parametrize(
    ("answer", "expected"), [(LONG, "x"), ("abc", LONG), ("abc", {"a": 1}), ("abc", None)]
)
def test_what_is_long_or_no_text_is_judged_each_time(answer: str, expected: Any) -> None:
    graded = grading()
    assert graded.grade(answer, expected) == graded.grade(answer, expected)
    assert [(answer, expected)] * 2 == COUNTED


def test_only_so_many_grades_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibrate.graders.grading.MOST_KNOWN", 1)
    graded = grading()
    for answer in ("a", "b", "a", "b"):
        graded.grade(answer, "x")
    assert [answer for answer, _ in COUNTED] == ["a", "b", "b"]


def test_what_cannot_be_judged_is_an_error_each_time() -> None:
    graded = grading()
    for _ in range(2):
        with pytest.raises(GraderError, match=r"^counting: cannot be used$"):
            graded.grade("unreadable", "x")


def test_the_score_is_the_worst_or_the_mean() -> None:
    graders = build_graders("evals/sort.yaml", ["exact_match", {"contains": {"all": ["a", "b"]}}])
    assert Grading(graders).grade("a", "a").score == 0.5
    assert Grading(graders, "mean").grade("a", "a").score == 0.75
