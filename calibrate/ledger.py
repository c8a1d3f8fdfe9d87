"""The attempts to certify a model that a policy remembers, so that nobody retries until green."""

from __future__ import annotations

from calibrate.candidates import Candidate
from calibrate.decide import CASCADES, Calibration
from calibrate.drift import input_digests
from calibrate.fingerprint import digest
from calibrate.gate import PROCEDURE, Outcome, Reason
from calibrate.policy import Attempt, Inputs, Policy
from calibrate.project import Project
from calibrate.task import Task

__all__ = ["attempt_numbers", "attempts_after"]

_DIGITS = 16  # of a digest: enough to tell a project's own attempts apart


def attempt_numbers(
    task: Task, project: Project, policy: Policy, *, cases: int | None = None
) -> dict[str, int]:
    """Return the number of the attempt that a run would be, for each candidate.

    It rises with every attempt that did not certify the same claim, and returns to what it was
    where the evidence is the same. One that did certify costs nothing: what an error may break is
    broken then, so another attempt has the same share again.
    """
    entry = policy.workflows.get(task.name)
    attempts = () if entry is None else entry.attempts
    inputs = input_digests(task, project)
    numbers = {}
    for name, claim in _claims(task, inputs).items():
        evidence = _evidence(name, task, inputs, len(task.cases[:cases]))
        mine = [a for a in attempts if a.claim == claim]
        same = [a.number for a in mine if a.evidence == evidence]
        not_certified = sum(a.verdict != "certified" for a in mine)
        numbers[name] = same[0] if same else 1 + not_certified
    return numbers


def attempts_after(
    calibration: Calibration, project: Project, policy: Policy
) -> tuple[Attempt, ...]:
    """Return the workflow's attempts with those of this run; one with the same evidence stays."""
    task = calibration.task
    inputs = input_digests(task, project)
    entry = policy.workflows.get(task.name)
    attempts = {} if entry is None else {(a.claim, a.evidence): a for a in entry.attempts}
    claims = _claims(task, inputs)
    made = [
        (v.model, v.attempt, v.outcome)
        for v in calibration.verdicts
        if v.reason is not Reason.NOT_ASKED
    ]
    if calibration.cascades is not None:
        found = calibration.cascades
        outcome = Outcome.UNDECIDED if found.route is None else Outcome.CERTIFIED
        made.append((CASCADES, found.attempt, outcome))
    for name, number, outcome in made:
        claim = claims[name]
        evidence = _evidence(name, task, inputs, calibration.verdicts[0].cases)
        attempts[claim, evidence] = Attempt(name, number, outcome.value, claim, evidence)
    return tuple(attempts.values())


def _claims(task: Task, inputs: Inputs) -> dict[str, str]:
    """Return what is claimed of each candidate, and of all cascades of them together."""
    claims = {c.alias: _claim(c, task, inputs) for c in task.field.candidates}
    if task.workflow.bar.cascades:
        claims[CASCADES] = _short(sorted(claims.values()))
    return claims


def _claim(candidate: Candidate, task: Task, inputs: Inputs) -> str:
    """Name what is claimed: that this model, so asked and so graded, meets this bar."""
    model = candidate.model
    return _short(
        {
            "model": [candidate.kind, model.name, model.method, model.parameters],
            "prompt": inputs.prompt,
            "graders": inputs.graders,
            "bar": task.workflow.bar.model_dump(),
        }
    )


def _evidence(name: str, task: Task, inputs: Inputs, cases: int) -> str:
    """Name what the claim is tested on and how: cases, their order, the rule, a cascade's signals.

    Another signal, or another share to fit on, is another try at the same cases.
    """
    workflow = task.workflow
    signals = workflow.signals if name == CASCADES else None
    named = [s if isinstance(s, str) else s.model_dump() for s in signals or ()]
    return _short(
        {
            "dataset": inputs.dataset,
            "cases": cases,
            "seed": workflow.seed,
            "repeats": workflow.repeats,
            "candidates": len(task.field.candidates),
            "procedure": PROCEDURE,
            **({"signals": named} if named else {}),
        }
    )


def _short(value: object) -> str:
    return digest(value).removeprefix("sha256:")[:_DIGITS]
