"""What a grader is: options in a workflow file, and a judgement of one answer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from calibrate.record import Record

__all__ = ["Grade", "Grader"]


@dataclass(frozen=True, slots=True)
class Grade:
    """How good one answer is: a score in [0, 1], and why."""

    score: float
    reason: str


class Grader(Record):
    """A way to judge an answer; its fields are the options that a workflow file may set.

    `version` enters the digest of the graders: raise it whenever the same answer could get
    another score, so that policies made before are found stale.
    """

    version: ClassVar[str] = "1"

    @abstractmethod
    def grade(self, answer: str, expected: Any) -> Grade:
        """Judge one answer against the case's `expected`; must not depend on anything else.

        An answer that cannot be read is a score of 0 with its reason, never an exception.
        `GraderError` is for a golden answer or an option that this grader cannot use.
        """
