"""Grade answers by all of a workflow's graders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from calibrate.errors import GraderError
from calibrate.graders.base import Grade, Grader
from calibrate.graders.text import shown

__all__ = ["Grading", "NamedGrader", "grade_answer"]

SHORT = 100  # characters of an answer: labels and the like, which come again and again
MOST_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class NamedGrader:
    """A grader with its options, under the name that the workflow file has for it."""

    name: str
    grader: Grader

    def fingerprint(self) -> dict[str, Any]:
        """Return what a digest needs to tell when the same answer may get another score."""
        return {
            "name": self.name,
            "version": self.grader.version,
            "options": self.grader.model_dump(mode="json", by_alias=True),
        }


class Grading:
    """The grades of a workflow's answers: of short ones each is found out once.

    That is enough, since a grade depends on nothing but the answer and what is expected.
    """

    def __init__(
        self, graders: Sequence[NamedGrader], score: Literal["worst", "mean"] = "worst"
    ) -> None:
        self._graders = graders
        self._score: Literal["worst", "mean"] = score
        self._known: dict[tuple[str, str], Grade] = {}

    def grade(self, answer: str, expected: Any) -> Grade:
        """Return the grade of an answer, as `grade_answer` does."""
        if not isinstance(expected, str) or len(answer) > SHORT or len(expected) > SHORT:
            return grade_answer(self._graders, answer, expected, self._score)
        grade = self._known.get((answer, expected))
        if grade is None:
            grade = grade_answer(self._graders, answer, expected, self._score)
            if len(self._known) < MOST_KNOWN:
                self._known[answer, expected] = grade
        return grade


def grade_answer(
    graders: Sequence[NamedGrader],
    answer: str,
    expected: Any,
    score: Literal["worst", "mean"] = "worst",
) -> Grade:
    """Return the worst of the graders' scores, or their mean: 1 means that all of them passed.

    The reason is that of each grader below 1, or of all where none is. A grader that raises or
    that returns anything but a grade is a `GraderError` with its name.
    """
    if not graders:
        raise GraderError("no graders to judge the answer")
    grades = [(named.name, _judged(named, answer, expected)) for named in graders]
    failed = [(name, grade) for name, grade in grades if grade.score < 1]
    if not failed:
        return Grade(1.0, "; ".join(grade.reason for _, grade in grades))
    reason = "; ".join(f"{name}: {grade.reason}" for name, grade in failed)
    if score == "mean":
        return Grade(fmean(grade.score for _, grade in grades), reason)
    return Grade(min(grade.score for _, grade in failed), reason)


def _judged(named: NamedGrader, answer: str, expected: Any) -> Grade:
    try:
        grade: Any = named.grader.grade(answer, expected)
    except GraderError as error:
        raise GraderError([f"{named.name}: {problem}" for problem in error.problems]) from error
    except (Exception, SystemExit) as error:  # a third party's grader may raise anything
        raise GraderError(f"{named.name}: {type(error).__name__}: {error}") from error
    if not isinstance(grade, Grade) or not isinstance(grade.reason, str):
        raise GraderError(f"{named.name}: returned {shown(grade)}, not a grade with a reason")
    if not isinstance(grade.score, int | float) or not 0 <= grade.score <= 1:
        raise GraderError(f"{named.name}: the score {shown(grade.score)} is not in [0, 1]")
    return grade if type(grade.score) is float else Grade(float(grade.score), grade.reason)
