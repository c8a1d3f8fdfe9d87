"""Calibrations from literals, judged by the real gate; no model, no file, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from calibrate.candidates import Candidate, field_of
from calibrate.certificate import policy_entry, policy_models
from calibrate.client import Source
from calibrate.completion import Failure, Usage
from calibrate.config import Tiers, Workflow
from calibrate.criteria import plan_gate
from calibrate.dataset import Case
from calibrate.decide import Calibration, choose_route
from calibrate.gate import Outcome, Verdict, judge, not_asked
from calibrate.graders import build_graders, grade_answer
from calibrate.methods import Noting
from calibrate.policy import Policy
from calibrate.project import Project
from calibrate.prompts import Prompt
from calibrate.signals import reader_for
from calibrate.task import Task
from calibrate.trial import AnyTrial, FailedTrial, Trial

__all__ = ["Sample", "sample", "tickets"]

TIERS: dict[str, Any] = {
    "version": 1,
    "endpoints": {"local": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1"}},
    "models": {
        "small": {
            "endpoint": "local",
            "name": "small-1",
            "price": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2},
            "origin": {"verified": False, "note": "weights from a mirror, digest not published"},
        },
        "medium": {
            "endpoint": "local",
            "name": "medium-1",
            "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
            "origin": {"verified": True, "note": "digest as published"},
        },
        "nearest": {
            "endpoint": "local",
            "name": "embedding-1",
            "method": "nearest_example",
            "price": {"input_usd_per_mtok": 0.02},
        },
        "large": {
            "endpoint": "local",
            "name": "large-1",
            "price": {"input_usd_per_mtok": 5, "output_usd_per_mtok": 10},
        },
    },
    "tiers": {"cheap": ["nearest", "small"], "balanced": ["medium"], "frontier": ["large"]},
    "baseline": "frontier",
}
WORKFLOW: dict[str, Any] = {
    "version": 1,
    "description": "Sort tickets\ninto queues.\n\nA wrong one costs a minute.",
    "dataset": "datasets/tickets.jsonl",
    "prompt": [
        {"role": "system", "content": "Answer with a queue."},
        {"role": "user", "content": "{{ input.ticket }}"},
    ],
    "labels": ["billing", "shipping", "other"],
    "max_output_tokens": 8,
    "graders": ["one_of"],
    "bar": {"pass_rate": 0.8},
    "traffic": {"requests_per_day": 1000},
}


@dataclass(frozen=True)
class Sample:
    """A calibration with its project."""

    calibration: Calibration
    project: Project

    @property
    def policy(self) -> Policy:
        entry = policy_entry(self.calibration, self.project)
        models = policy_models(self.calibration, self.project)
        return Policy(1, "calibrate", models, {self.calibration.task.name: entry})


def tickets(n: int) -> tuple[Case, ...]:
    """Return cases whose right answers go round the labels."""
    labels = WORKFLOW["labels"]
    return tuple(
        Case(
            id=f"t-{index:04}",
            input={"ticket": f"ticket {index}"},
            expected=labels[index % len(labels)],
            tags={"language": "en" if index % 4 else "de"},
        )
        for index in range(n)
    )


Answers = int | frozenset[int] | str | Failure | Sequence[str | Failure]
"""Each n-th case is failed (0: none), or just these, or one answer to all cases, or one a case."""


def _answer(answers: Answers, index: int, case: Case) -> str | Failure:
    if isinstance(answers, int | frozenset):
        is_nth = isinstance(answers, int) and answers and index % answers == 0
        fails = is_nth or (isinstance(answers, frozenset) and index in answers)
        wrong = "other" if case.expected == "billing" else "billing"
        return wrong if fails else str(case.expected)
    if isinstance(answers, str | Failure):
        return answers
    return answers[index]


def sample(
    answers: Mapping[str, Answers],
    *,
    cases: Sequence[Case] | None = None,
    used: int | None = None,
    asked: int | None = None,
    stops: bool = False,
    name: str = "tickets",
    latency_s: float = 0.25,
    **changes: Any,
) -> Sample:
    """Return a calibration in which each model of `answers` was asked; the others were not.

    As in a run, a model is judged until one is certified. It is asked every case, also those that
    no verdict needs, unless the run `stops`; `asked` breaks it off after so many cases, and `used`
    limits the whole run to so many.
    """
    workflow = Workflow.model_validate({**WORKFLOW, **changes})
    tiers = Tiers.model_validate(TIERS)
    project = Project(Path("/somewhere"), tiers, {name: workflow})
    cases = tickets(60) if cases is None else tuple(cases)
    prompt = Prompt(name, workflow)
    graders = build_graders(name, workflow.graders, workflow.labels)
    field = field_of(name, tiers, workflow, cases, prompt)
    noting = Noting(reader_for(f"evals/{name}.yaml", workflow))
    task = Task(name, workflow, cases, (), prompt, graders, field, noting)
    baseline = field.baseline
    trials: dict[str, tuple[AnyTrial, ...]] = {}
    verdicts: list[Verdict] = []

    def ask(candidate: Candidate) -> tuple[AnyTrial, ...]:
        given = answers[candidate.alias]
        return tuple(
            _trial(task, candidate, case, _answer(given, i, case), latency_s)
            for i, case in enumerate(cases[:used][:asked])
        )

    rival = ask(baseline) if workflow.bar.of_baseline and baseline.alias in answers else ()
    for candidate in field.candidates:
        is_needed = all(verdict.outcome is not Outcome.CERTIFIED for verdict in verdicts)
        is_baseline = candidate is baseline
        k = len(field.candidates)
        plan = plan_gate(workflow.bar, k, cases[:used], is_baseline=is_baseline)
        verdict = not_asked(plan, candidate.alias, candidate.tier)
        if candidate.alias in answers and (is_needed or not stops):
            found = ask(candidate)
            critical = [t for t in found if t.case.critical and workflow.bar.critical]
            if is_needed:
                others = () if is_baseline else rival
                verdict = judge(plan, candidate.alias, candidate.tier, found, critical, others)
            trials[candidate.alias] = found[: verdict.cases_used] if stops else found
        verdicts.append(verdict)
    decision = choose_route(field, verdicts)
    return Sample(Calibration(task, trials, tuple(verdicts), decision), project)


def _trial(
    task: Task, candidate: Candidate, case: Case, answer: str | Failure, latency_s: float
) -> AnyTrial:
    asked = task.prompt.messages(case)
    if isinstance(answer, Failure):
        return FailedTrial(
            case, candidate.alias, 0, asked, answer, Decimal(0), latency_s, Source.ASKED
        )
    usage = Usage(100, 2)
    return Trial(
        case=case,
        model=candidate.alias,
        repeat=0,
        asked=asked,
        answer=answer,
        finish="stop",
        grade=grade_answer(task.graders, answer, case.expected),
        signals={},
        usage=usage,
        cost_usd=candidate.price.cost(usage, latency_s),
        latency_s=latency_s,
        served_model=candidate.model.name,
        source=Source.RECORDED,
    )
