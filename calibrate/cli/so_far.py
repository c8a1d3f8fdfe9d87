"""How far a workflow's stored answers lead: to its decision, or to a look in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from calibrate.candidates import Candidate
from calibrate.client import Client
from calibrate.criteria import GatePlan
from calibrate.decide import Calibration, Decision, Status
from calibrate.errors import CacheMiss
from calibrate.gate import Outcome, Verdict, not_asked, standing
from calibrate.pipeline import Watcher, calibrate
from calibrate.planning import Share, gates_of
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = ["SoFar", "so_far"]


@dataclass(frozen=True, slots=True)
class SoFar:
    """A calibration that stored answers give.

    Where it is not decided, answers are lacking: the verdicts that have fallen stand, those of the
    other models are open, and the decision is none; the model that it names is the next to be asked
    further.
    """

    calibration: Calibration
    is_decided: bool


async def so_far(
    task: Task, client: Client, share: Share, *, check: Callable[[], None] = lambda: None
) -> SoFar:
    """Return what a run finds in the answers that `client`, which may not ask, has stored.

    It is the run itself, broken off at the first answer that is not there; so what it shows of an
    open model is the completed prefix of the seeded order, and looking at it costs no error.
    Of very many answers it takes a while; `check` is called now and then and may raise.
    """
    kept = _Kept(check)
    try:
        return SoFar(await calibrate(task, client, share=share, watcher=kept), is_decided=True)
    except CacheMiss:
        return SoFar(_undecided(task, share, kept), is_decided=False)


class _Kept(Watcher):
    """Keeps what a run tells before it breaks off."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.trials: dict[str, list[AnyTrial]] = {}
        self.verdicts: dict[str, Verdict] = {}
        self._check = check

    def start(self, candidate: Candidate, most_trials: int) -> None:
        self._check()

    def advance(self, trial: AnyTrial) -> None:
        self.trials.setdefault(trial.model, []).append(trial)

    def settle(self, verdict: Verdict) -> None:
        self.verdicts[verdict.model] = verdict


def _undecided(task: Task, share: Share, kept: _Kept) -> Calibration:
    places = {case.id: place for place, case in enumerate(task.cases)}
    trials = {
        alias: tuple(sorted(found, key=lambda trial: (places[trial.case.id], trial.repeat)))
        for alias, found in kept.trials.items()
    }
    verdicts: list[Verdict] = []
    for candidate, gate in zip(
        task.field.candidates, gates_of(task, task.cases, share), strict=True
    ):
        alias, tier = candidate.alias, candidate.tier
        if alias in kept.verdicts:
            verdicts.append(kept.verdicts[alias])
        elif _is_done(task, verdicts):
            verdicts.append(not_asked(gate, alias, tier))
        else:
            prefix = _prefix(task, gate, trials.get(alias, ()))
            verdicts.append(standing(gate, alias, tier, prefix))
    return Calibration(task, trials, tuple(verdicts), _none_yet(task, trials, verdicts))


def _is_done(task: Task, verdicts: Sequence[Verdict]) -> bool:
    """Return whether models dearer than those that have these verdicts are asked nothing."""
    is_certified = [verdict.outcome is Outcome.CERTIFIED for verdict in verdicts]
    return is_certified[:1] == [True] if task.workflow.bar.cascades else any(is_certified)


def _prefix(task: Task, gate: GatePlan, trials: Sequence[AnyTrial]) -> Sequence[AnyTrial]:
    """Return a model's trials of the first cases of the seeded order, up to the first gap."""
    order = [(case.id, repeat) for case in task.cases for repeat in range(gate.repeats)]
    length = 0
    for place, trial in zip(order, trials, strict=False):
        if place != (trial.case.id, trial.repeat):
            break
        length += 1
    return trials[: length - length % gate.repeats]


def _none_yet(
    task: Task, trials: Mapping[str, Sequence[AnyTrial]], verdicts: Sequence[Verdict]
) -> Decision:
    """Return what stands for a decision: the first model without a verdict, or without answers."""
    pairs = list(zip(task.field.candidates, verdicts, strict=True))
    is_certified = any(verdict.outcome is Outcome.CERTIFIED for verdict in verdicts)
    # From the first certified one on, what lacks answers lacks them for cascades.
    unsettled = [pair for pair in pairs if not pair[1].is_settled and not is_certified]
    lacking = [pair for pair in pairs if len(trials.get(pair[0].alias, ())) < len(task.cases)]
    candidate, verdict = [*unsettled, *lacking, *pairs][0]
    return Decision(Status.UNCERTIFIED, candidate, verdict, fallbacks=(), over_context=None)
