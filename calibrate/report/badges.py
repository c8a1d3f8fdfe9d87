"""A state as a word with a shape, so that colour never speaks alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from calibrate.gate import Outcome, Reason, Verdict
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = ["OUTCOME_BADGES", "STATUS_BADGES", "Badge", "trial_badge", "verdict_badge"]


@dataclass(frozen=True, slots=True)
class Badge:
    """A word and the shape that goes with it."""

    shape: Literal["good", "bad", "open"]
    text: str


STATUS_BADGES = {
    "certified": Badge("good", "Certified"),
    "uncertified": Badge("open", "Not certified"),
    "unmet": Badge("bad", "Bar not met"),
}
OUTCOME_BADGES = {
    Outcome.CERTIFIED: Badge("good", "certified"),
    Outcome.FAILED: Badge("bad", "failed"),
    Outcome.UNDECIDED: Badge("open", "undecided"),
}
_PASS, _FAIL = Badge("good", "pass"), Badge("bad", "fail")
_NO_ANSWER, _NOT_ASKED = Badge("bad", "no answer"), Badge("open", "not asked")
_NOT_NEEDED = Badge("open", "not needed")


def verdict_badge(verdict: Verdict, was_asked: bool) -> Badge:
    """Return a verdict's badge; a model that no verdict needed is not called undecided."""
    if verdict.reason is not Reason.NOT_ASKED:
        return OUTCOME_BADGES[verdict.outcome]
    return _NOT_NEEDED if was_asked else _NOT_ASKED


def trial_badge(trial: AnyTrial | None) -> Badge:
    """Return how a model did on a case; None is a case that it was not asked."""
    if trial is None:
        return _NOT_ASKED
    if isinstance(trial, FailedTrial):
        return _NO_ANSWER
    return _PASS if passes(trial) else _FAIL
