"""The whole run in order: measure the candidates, judge them, choose the route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from calibrate.asking import NOBODY, Asked, Asker, ByRounds, Watcher
from calibrate.cascade import find_cascades
from calibrate.client import Client
from calibrate.criteria import GatePlan, cascade_alpha
from calibrate.dataset import Case
from calibrate.decide import CASCADES, Calibration, choose_route
from calibrate.errors import ModelMoved
from calibrate.gate import Outcome, Reason, Verdict, judge, not_asked
from calibrate.planning import Share, askable_cases, gates_of
from calibrate.prefix import nothing_seen
from calibrate.summaries import mean_cost_usd
from calibrate.task import Task
from calibrate.trial import AnyTrial

__all__ = ["ByRounds", "Watcher", "calibrate"]

BATCH = 8  # cases asked together where a verdict could fall any moment, and at least
MORE = 0.01  # of those seen, at least: a round of few takes as long as its slowest answer


async def calibrate(
    task: Task,
    client: Client,
    *,
    share: Share | None = None,
    cases: int | None = None,
    ask_all: bool = False,
    rounds: ByRounds | None = None,
    watcher: Watcher = NOBODY,
) -> Calibration:
    """Measure a workflow's candidates, cheapest first, until one is certified; then decide.

    With `ask_all` the dearer ones are measured too, for the report. Where the bar has cascades and
    the cheapest is not certified, every case of every candidate is asked, and the cheapest
    certified cascade may be the route. `cases` takes only so many of the seeded order. Progress is
    told to the watcher; nothing is printed. Where a model moves meanwhile it is asked anew: answers
    of two models must not meet in one verdict.
    """
    share = share or Share({})
    while True:
        try:
            return await _calibrate_once(task, client, share, cases, ask_all, rounds, watcher)
        except ModelMoved:  # a few times at most: see StoredAnswers
            client.start_over()


async def _calibrate_once(
    task: Task,
    client: Client,
    share: Share,
    cases: int | None,
    ask_all: bool,
    rounds: ByRounds | None,
    watcher: Watcher,
) -> Calibration:
    watcher.begin()
    chosen_cases = task.cases[:cases]
    field = task.field
    gates = gates_of(task, chosen_cases, share)
    asker = Asker(task, client, rounds, watcher)
    asked = {}
    per_candidate = askable_cases(field, gates, chosen_cases)
    for candidate, askable in zip(field.candidates, per_candidate, strict=True):
        most_cases = len(chosen_cases if ask_all else askable)
        asked[candidate.alias] = Asked(task, candidate, client, most_cases)
    baseline = asked[field.baseline.alias]
    verdicts: list[Verdict] = []
    if ask_all:  # at once, and not in batches up to where a verdict could fall
        await asker.ask(asked.values(), chosen_cases)
    for candidate, gate in zip(field.candidates, gates, strict=True):
        is_needed = all(v.outcome is not Outcome.CERTIFIED for v in verdicts)
        verdict = not_asked(gate, candidate.alias, candidate.tier)
        if is_needed:
            one = asked[candidate.alias]
            verdict = await _sequential(gate, asker, one, baseline, chosen_cases)
            watcher.settle(verdict)
        verdicts.append(verdict)
    cascades = None
    if task.workflow.bar.cascades and verdicts[0].outcome is not Outcome.CERTIFIED:
        await asker.ask(asked.values(), chosen_cases)
        answers = {alias: one.trials(chosen_cases) for alias, one in asked.items()}
        attempt = share.attempts.get(CASCADES, 1)
        alpha = cascade_alpha(task.workflow.bar, attempt=attempt, level=share.level)
        cascades = find_cascades(task, chosen_cases, answers, alpha=alpha, attempt=attempt)
        verdicts = [_costed(verdict, answers[verdict.model]) for verdict in verdicts]
    trials = {alias: one.trials(chosen_cases) for alias, one in asked.items() if one.has_begun}
    decision = choose_route(field, verdicts, None if cascades is None else cascades.route)
    return Calibration(task, trials, tuple(verdicts), decision, cascades=cascades)


def _costed(verdict: Verdict, trials: Sequence[AnyTrial]) -> Verdict:
    """Return a verdict with the cost of answers that were asked for the cascades alone."""
    if verdict.reason is not Reason.NOT_ASKED:
        return verdict
    return replace(verdict, cost_usd_per_request=mean_cost_usd(trials))


async def _sequential(
    gate: GatePlan, asker: Asker, asked: Asked, baseline: Asked, cases: Sequence[Case]
) -> Verdict:
    """Ask a candidate in the seeded order until its verdict is settled, and no further.

    Where the bar compares it with the baseline, that is asked for the same cases.
    """
    alias, tier = asked.candidate.alias, asked.candidate.tier
    critical_cases = [case for case in cases if case.critical and gate.bar.critical]
    await asker.ask([asked], critical_cases)
    critical = asked.trials(critical_cases)
    has_rival = gate.bar.of_baseline is not None and asked is not baseline
    trials: list[AnyTrial] = []
    rival: list[AnyTrial] = []
    prefix = nothing_seen(gate)
    rounds = asker.rounds
    least_round = 0 if rounds is None else ceil(rounds.least_share * gate.most_cases)
    verdict = judge(gate, alias, tier, trials, critical, rival)
    while not verdict.is_settled:
        # Up to where a line could be crossed at the earliest, every case is needed anyway.
        seen = len(prefix.scores)
        end = max(prefix.next_look, seen + max(BATCH, int(MORE * seen), least_round))
        batch = cases[seen:end]
        await asker.ask([asked, baseline] if has_rival else [asked], batch)
        own, other = asked.trials(batch), baseline.trials(batch) if has_rival else ()
        trials += own
        rival += other
        prefix = prefix.after(own, other)
        if not prefix.is_open:
            verdict = judge(gate, alias, tier, trials, critical, rival)
    return verdict
