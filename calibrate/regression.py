"""Did a certified route become worse? The route before and the route now, on the same cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from calibrate.candidates import Candidate
from calibrate.client import Client
from calibrate.dataset import Case, clusters_of
from calibrate.errors import CacheMiss, ConfigError, ProviderError, UsageError
from calibrate.gate import OUTAGE_SHARE
from calibrate.graders import Grading
from calibrate.methods import method_for
from calibrate.policy import Escalation
from calibrate.runner import Job, run_trials
from calibrate.stats.betting import bet_clusters
from calibrate.stats.multiple import holm
from calibrate.stats.paired import drop_p_value
from calibrate.task import Task
from calibrate.trial import AnyTrial, FailedTrial, passes

__all__ = ["Found", "Pairs", "Regression", "Served", "compare", "in_words", "paired_scores"]


@dataclass(frozen=True, slots=True)
class Served:
    """Who answers a workflow: a model, and another one where its signal is below a threshold."""

    task: Task
    model: str
    escalation: Escalation | None = None

    def __str__(self) -> str:
        return self.model if self.escalation is None else f"{self.model} → {self.escalation.to}"


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two routes scored on the same cases.

    `scores` has (before, now) for the first of the `common` cases, in the seeded order: for all of
    them where every answer is there.
    """

    workflow: str
    before: str
    now: str
    common: tuple[Case, ...]
    scores: tuple[tuple[float, float], ...]

    @property
    def lost(self) -> tuple[str, ...]:
        """The cases that score lower now."""
        return tuple(c.id for c, (b, n) in zip(self.common, self.scores, strict=False) if n < b)

    @property
    def won(self) -> tuple[str, ...]:
        """The cases that score higher now."""
        return tuple(c.id for c, (b, n) in zip(self.common, self.scores, strict=False) if n > b)

    @property
    def drop(self) -> float | None:
        """By how much the mean score fell; None without a pair."""
        return fmean(before - now for before, now in self.scores) if self.scores else None


class Found(StrEnum):
    """What a comparison says."""

    WORSE = "worse"
    NOT_WORSE = "not worse"
    TOO_FEW = "too few cases"


@dataclass(frozen=True, slots=True)
class Regression:
    """A comparison with its p-values, adjusted for the other workflows that were compared."""

    pairs: Pairs
    found: Found
    tolerance: float
    least_drop: float
    p_worse: float  # against "the drop is at most the tolerance"
    p_not_worse: float  # against "the drop is the least drop or larger"


async def paired_scores(before: tuple[Served, Client], now: tuple[Served, Client]) -> Pairs:
    """Put the cases that both tasks have to both routes and return what they score.

    A case is the same where its input and its golden answer are. Both routes are graded as the
    task of now grades. Where an answer may not be asked for and is not stored, the pairs end in
    front of it. Raises `ProviderError` where so many calls failed that it would tell of an outage
    and not of the routes.
    """
    grading = now[0].task
    known = {case.id: case for case in before[0].task.cases}
    common = tuple(
        case
        for case in grading.cases
        if case.id in known
        and (case.input, case.expected) == (known[case.id].input, known[case.id].expected)
    )
    sides = []
    for served, client in (before, now):
        trials = await _answered(_Asking(served, client, grading), common)
        _refuse_outage(served, trials)
        sides.append([_score(grading, of_case) for of_case in trials])
    scores = tuple(zip(*sides, strict=False))
    return Pairs(grading.name, str(before[0]), str(now[0]), common, scores)


def compare(
    pairs: Sequence[Pairs],
    *,
    tolerance: float = 0.0,
    least_drop: float = 0.05,
    alpha: float = 0.05,
) -> list[Regression]:
    """Return for each workflow whether it became worse.

    Worse: a drop of more than `tolerance` is proven. Not worse: a drop of `least_drop` or more is
    ruled out. Too few cases: neither. Guarantee: each of P(any workflow that did not drop by more
    than the tolerance is called worse) and P(any that dropped by `least_drop` is called not
    worse) is at most alpha, under any dependence between workflows (Holm). Cases, or groups of
    them, must be independent.

    Passes and failures of all common cases have the exact test of the pair, `drop_p_value`. Bets
    decide for graded scores and groups, and where only the first cases have answers: a run stops
    asking where its verdict falls, and a test for a fixed number of cases has no guarantee there.
    Answers to all cases are meant to be there whatever they are (`--live`, or recorded with
    `--cases all`); where it took a verdict that never fell, the two tests have alpha each.
    """
    if not 0 <= tolerance < least_drop < 1:
        raise UsageError(
            f"the drop to be seen ({least_drop:g}) must be above the tolerance ({tolerance:g}), "
            "and both from 0 to 1"
        )
    worse = holm([_p_value(p, tolerance, alpha) for p in pairs], alpha=alpha)
    not_worse = holm([_p_value(p, least_drop, alpha, below=True) for p in pairs], alpha=alpha)
    found = []
    for at, pair in enumerate(pairs):
        is_worse, is_not = worse.rejected[at], not_worse.rejected[at]
        outcome = Found.WORSE if is_worse else Found.NOT_WORSE if is_not else Found.TOO_FEW
        adjusted = worse.adjusted[at], not_worse.adjusted[at]
        found.append(Regression(pair, outcome, tolerance, least_drop, *adjusted))
    return found


def in_words(regression: Regression) -> str:
    """Return what was found in one sentence, with the figures that decided."""
    pairs, found = regression.pairs, regression.found
    if not pairs.scores:
        seen = f"of {len(pairs.common)} common cases none is answered on both sides"
    else:
        seen = (
            f"{len(pairs.lost)} of {len(pairs.scores)} cases score lower, {len(pairs.won)} higher"
        )
    if found is Found.WORSE:
        over = f", more than the {_points(regression.tolerance)} tolerated"
        over = over if regression.tolerance else ""
        return f"worse by {_points(pairs.drop or 0)}{over}: {seen} (p = {regression.p_worse:.2g})"
    margin = _points(regression.least_drop)
    if found is Found.NOT_WORSE:
        return f"not worse: {seen}; a drop of {margin} is ruled out"
    return f"too few cases to see a drop of {margin}: {seen}"


def _points(share: float) -> str:
    points = f"{100 * share:.1f}".removesuffix(".0")
    return f"{points} point{'' if points == '1' else 's'}"


def _p_value(pairs: Pairs, drop: float, alpha: float, *, below: bool = False) -> float:
    scores, groups = pairs.scores, clusters_of(pairs.common)
    is_binary = all({before, now} <= {0.0, 1.0} for before, now in scores)
    is_whole = len(scores) == len(pairs.common)
    if is_binary and is_whole and len(groups) == len(scores):
        return drop_p_value(len(scores), len(pairs.lost), len(pairs.won), drop, below=below)
    answered = [places for places in groups if places[-1] < len(scores)]
    clusters = [[_in_unit(*scores[at]) for at in places] for places in answered]
    largest = max(map(len, groups), default=1)
    mean = (drop + 1) / 2
    return bet_clusters(
        clusters, mean, alpha=alpha, n=len(groups), largest=largest, below=below
    ).p_value


def _in_unit(before: float, now: float) -> float:
    return (before - now + 1) / 2


def _score(task: Task, trials: Sequence[AnyTrial]) -> float:
    is_rate = task.workflow.bar.measure == "pass_rate"
    return fmean(float(passes(trial)) if is_rate else trial.score for trial in trials)


def _refuse_outage(served: Served, trials: Sequence[Sequence[AnyTrial]]) -> None:
    flat = [trial for of_case in trials for trial in of_case]
    failed = sum(isinstance(trial, FailedTrial) for trial in flat)
    if failed > OUTAGE_SHARE * len(flat):
        raise ProviderError(
            f"{served.task.name}: {failed} of {len(flat)} calls to {served} failed: that says "
            "nothing of a drop; run again with --retry-failed"
        )


async def _answered(asking: _Asking, cases: Sequence[Case]) -> list[list[AnyTrial]]:
    """Return the trials of each case, up to the first that has none."""
    try:
        return await asking.trials(cases)
    except CacheMiss:
        found: list[list[AnyTrial]] = []
        for case in cases:
            try:
                found += await asking.trials([case])
            except CacheMiss:
                break
        return found


class _Asking:
    """The trials of a route, graded as another task does."""

    def __init__(self, served: Served, client: Client, grading: Task) -> None:
        self._served = served
        self._client = client
        self._grading = grading

    async def trials(self, cases: Sequence[Case]) -> list[list[AnyTrial]]:
        """Return the trials of each case, of the model whose answer is served."""
        served = self._served
        found = await self._of_model(served.model, cases)
        if served.escalation is None:
            return found
        escalation, task = served.escalation, served.task
        handed_on = [at for at, each in enumerate(found) if _escalates(each, escalation, task)]
        others = await self._of_model(escalation.to, [cases[at] for at in handed_on])
        for at, trials in zip(handed_on, others, strict=True):
            found[at] = trials
        return found

    async def _of_model(self, alias: str, cases: Sequence[Case]) -> list[list[AnyTrial]]:
        task, client = self._served.task, self._client
        candidate = _candidate(task, alias)
        method = method_for(
            candidate, task.workflow, task.prompt, task.examples, client, task.noting
        )
        await method.prepare()
        repeats = task.workflow.repeats
        (trials,) = await run_trials(
            [Job(candidate, method, cases)],
            Grading(self._grading.graders, self._grading.workflow.score),
            repeats=repeats,
            concurrency=client.concurrency,
            on_trial=lambda _: None,
        )
        return list(_chunks(trials, repeats))


def _escalates(trials: Sequence[AnyTrial], escalation: Escalation, task: Task) -> bool:
    """Return whether a request is handed on; a call that failed has no signal."""
    (trial,) = trials  # cascades have one repeat
    if isinstance(trial, FailedTrial):
        return True
    contents = [message.content for message in task.prompt.messages(trial.case)]
    return escalation.reason(escalation.completed(trial.signals, contents)) is not None


def _candidate(task: Task, alias: str) -> Candidate:
    for candidate in task.field.candidates:
        if candidate.alias == alias:
            return candidate
    raise ConfigError(f"evals/{task.name}.yaml: {alias!r} of the policy is no candidate of it")


def _chunks(trials: Sequence[AnyTrial], size: int) -> Iterator[list[AnyTrial]]:
    return (list(trials[at : at + size]) for at in range(0, len(trials), size))
