"""A workflow decided again as its entry in the policy was: in the same attempt and family."""

from __future__ import annotations

from dataclasses import replace

from calibrate.criteria import level_of
from calibrate.decide import Calibration, Status
from calibrate.family import withheld
from calibrate.ledger import attempt_numbers
from calibrate.planning import Share
from calibrate.policy import Policy
from calibrate.project import Project
from calibrate.task import Task

__all__ = ["in_its_family", "share_again"]


def share_again(task: Task, project: Project, policy: Policy) -> Share:
    """Return the share of the error that the entry had; of one that is not there, as in a run."""
    share = Share(attempt_numbers(task, project, policy))
    entry = policy.workflows.get(task.name)
    if entry is None or entry.evidence.family is None:
        return share
    spent = entry.evidence
    level = level_of(task.workflow.bar, spent.alpha_spent, spent.candidates, spent.attempt)
    return replace(share, level=level)


def in_its_family(found: Calibration, policy: Policy) -> Calibration:
    """Return what was found with its family, and without what that did not allow."""
    entry = policy.workflows.get(found.task.name)
    if entry is None or entry.evidence.family is None:
        return found
    found = replace(found, family=entry.evidence.family)
    return found if entry.status == Status.CERTIFIED.value else withheld(found)
