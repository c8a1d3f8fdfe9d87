"""Whether what a run found may take the place of an entry that the policy has."""

from __future__ import annotations

from collections.abc import Iterable

from calibrate.decide import CASCADES, Calibration, Decision, Status
from calibrate.gate import Reason
from calibrate.ledger import attempt_numbers
from calibrate.policy import Policy, edits, sealed
from calibrate.project import Project

__all__ = ["overtaken", "unsettled", "weaker"]


def overtaken(calibration: Calibration, project: Project, policy: Policy) -> str | None:
    """Return why a run has no right to its verdict by now; None where it still has.

    Another run that ended meanwhile may have made the attempt that this one was told to be.
    """
    task, verdicts = calibration.task, calibration.verdicts
    numbers = attempt_numbers(task, project, policy, cases=verdicts[0].cases)
    made = {v.model: v.attempt for v in verdicts if v.reason is not Reason.NOT_ASKED}
    if calibration.cascades is not None:
        made[CASCADES] = calibration.cascades.attempt
    if all(numbers[name] == attempt for name, attempt in made.items()):
        return None
    return "another run made an attempt at this bar meanwhile; run again, to have your own share"


def weaker(calibration: Calibration, policy: Policy) -> str | None:
    """Return why a certified route should not give way to this calibration; None where it may.

    What was decided on a part of the cases, or while an endpoint failed, replaces it only by
    certifying the same model on no fewer cases. An entry that was edited is not protected.
    """
    task, decision = calibration.task, calibration.decision
    before = policy.workflows.get(task.name)
    if before is None or before.status != Status.CERTIFIED.value:
        return None
    is_edited = before.digests is not None and any(edits(task.name, before, policy.models))
    why = _incomplete(calibration)
    is_as_good = (
        decision.status is Status.CERTIFIED
        and decision.chosen.alias == before.model
        and _to(decision) == (before.escalation and before.escalation.to)
        and _cases_used(decision) >= before.evidence.cases_used
    )
    if is_edited or why is None or is_as_good:
        return None
    return f"{why}, which is too little to replace the certified route to {before.model!r}"


def unsettled(policy: Policy, names: Iterable[str]) -> list[str]:
    """Return which other workflows than these name a model that is not the one they decided for."""
    found = []
    for name in sorted(policy.workflows.keys() - set(names)):
        entry = policy.workflows[name]
        now = sealed(name, entry, policy.models).digests
        if entry.digests is not None and now is not None and entry.digests.models != now.models:
            found.append(name)
    return found


def _to(decision: Decision) -> str | None:
    return None if decision.escalation is None else decision.escalation.strong.alias


def _cases_used(decision: Decision) -> int:
    route = decision.escalation
    return decision.verdict.cases_used if route is None else route.cases


def _incomplete(calibration: Calibration) -> str | None:
    asked, there = calibration.verdicts[0].cases, len(calibration.task.cases)
    if asked < there:
        return f"it took {asked} of {there} cases"
    down = [v.model for v in calibration.verdicts if v.reason is Reason.OUTAGE]
    return f"calls to {', '.join(down)} failed" if down else None
