"""What a page says while a run goes on: how far it is, and that nothing is decided yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from calibrate.decide import Calibration
from calibrate.gate import Verdict
from calibrate.policy import WorkflowPolicy
from calibrate.report.badges import STATUS_BADGES, Badge
from calibrate.report.excerpt import unbroken
from calibrate.report.figure import Figure
from calibrate.report.view import Page
from calibrate.words import percent

__all__ = [
    "Live",
    "LiveWorkflow",
    "Stored",
    "answers_stored",
    "not_to_be_had",
    "undecided",
    "workflow_now",
]

_UNDECIDED = Badge("open", "Not decided yet")
_LOOK = (
    "What is shown is a look in between, and no decision. Looking costs nothing: the lines were "
    "fixed before the first answer."
)


@dataclass(frozen=True, slots=True)
class LiveWorkflow:
    """One workflow as the index lists it."""

    name: str
    link: str
    badge: Badge
    words: str


@dataclass(frozen=True, slots=True)
class Live:
    """When a page was made, of what, and when the browser asks for it again by itself."""

    as_of: str
    words: str
    every_s: int | None  # None where it is held as it is
    workflows: tuple[LiveWorkflow, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """How many of the answers that a run could need at most are stored."""

    answers: int
    most: int


def answers_stored(stored: Stored) -> str:
    """Return how many answers are stored, in words."""
    return f"{stored.answers:,} of at most {stored.most:,} answers stored"


def workflow_now(name: str, link: str, status: str | None, stored: Stored) -> LiveWorkflow:
    """Return a workflow for the index; without a status it is not decided yet."""
    badge = _UNDECIDED if status is None else STATUS_BADGES[status]
    return LiveWorkflow(name, link, badge, answers_stored(stored))


def not_to_be_had(name: str, link: str, problem: str) -> LiveWorkflow:
    """Return a workflow for the index that cannot be shown."""
    return LiveWorkflow(name, link, Badge("bad", "Cannot be shown"), problem)


def undecided(
    page: Page, calibration: Calibration, stored: Stored, entry: WorkflowPolicy | None
) -> Page:
    """Return a page of a calibration whose answers are not all there.

    Its figures are a look in between, and nothing on it names a route but what the policy's
    `entry` says.
    """
    name = calibration.task.name
    verdicts = {verdict.model: verdict for verdict in calibration.verdicts}
    baseline = calibration.task.field.baseline.alias
    return replace(
        page,
        badge=_UNDECIDED,
        headline=unbroken(f"{name} is not decided yet: {_where(calibration, stored)}"),
        saving=unbroken(_until_then(entry)),
        figures=tuple(_figures(calibration, stored)),
        doubts=(_LOOK,) if stored.answers else (),
        candidates=tuple(
            replace(
                row,
                chosen=False,
                role="baseline" if row.model == baseline else "",
                why=row.why if verdicts[row.model].is_settled else _why_open(verdicts[row.model]),
            )
            for row in page.candidates
        ),
        paths=tuple(
            path
            if verdicts[path.model].is_settled
            else replace(path, words=_why_open(verdicts[path.model]))
            for path in page.paths
        ),
        changes=(),
        confusions=tuple(replace(table, chosen=False) for table in page.confusions),
        cases=tuple(
            replace(cases, traits=tuple(one for one in cases.traits if one[0] != "missed"))
            for cases in page.cases
        ),
        provenance=tuple(one for one in page.provenance if one[0] != "Signature"),
        command=f"calibrate run {name}",
    )


def _where(calibration: Calibration, stored: Stored) -> str:
    """Return how far the workflow is."""
    now = calibration.decision.verdict
    if not stored.answers:
        return f"no answer is stored. `calibrate run {calibration.task.name}` asks for them."
    if now.is_settled:
        return f"the models have their verdicts, and for cascades {now.model} lacks answers."
    if not calibration.trials.get(now.model):
        return f"{now.model} is next, and has no answer yet."
    return f"{now.model} has answered the first {now.cases_used:,} of {now.cases:,} cases."


def _until_then(entry: WorkflowPolicy | None) -> str:
    if entry is None:
        return "The policy has no route for it."
    status = STATUS_BADGES[entry.status].text.lower()
    return f"Until then the policy says: {entry.model} ({entry.tier}), {status}."


def _figures(calibration: Calibration, stored: Stored) -> Iterator[Figure]:
    yield Figure("Answers stored", f"{stored.answers:,}", f"of at most {stored.most:,}")
    settled = sum(verdict.is_settled for verdict in calibration.verdicts)
    models = len(calibration.verdicts)
    yield Figure("Verdicts", f"{settled:,}", f"of at most {models:,}, the cheapest model's first")
    now = calibration.decision.verdict
    if not now.is_settled and now.estimate is not None:
        floor = percent(calibration.task.workflow.bar.floor)
        note = f"of {now.model} on {now.cases_used:,} cases; bar {floor}"
        yield Figure("Pass rate so far", percent(now.estimate), unbroken(note))


def _why_open(verdict: Verdict) -> str:
    return "no line is crossed yet" if verdict.cases_used else "no case yet"
