"""What is audited: the plans of a workflow's own candidates, or those of a grid of common cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrate.config import Bar
from calibrate.criteria import GatePlan, plan_gate
from calibrate.dataset import Case
from calibrate.task import Task

__all__ = ["Design", "design_of", "grid"]

SIZES = (100, 300)  # cases
BARS = (Bar(pass_rate=0.9), Bar(pass_rate=0.9, tolerance=0.03))
COSTS_USD = (0.001, 0.005, 0.025)  # a call to each of three models
GROUP = 3  # cases in each group, where there are groups


@dataclass(frozen=True, slots=True)
class Design:
    """A calibration before any model is asked; the candidates stand cheapest first."""

    workflow: str | None  # None: one of the grid
    models: tuple[str, ...]
    costs_usd: tuple[float, ...]  # a call
    baseline: int
    plans: tuple[GatePlan, ...]

    @property
    def bar(self) -> Bar:
        return self.plans[0].bar

    @property
    def cases(self) -> int:
        return self.plans[0].cases

    @property
    def repeats(self) -> int:
        return self.plans[0].repeats

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The places of the cases that depend on each other; most often one each."""
        return self.plans[0].criteria[0].units

    @property
    def is_grouped(self) -> bool:
        return len(self.groups) < self.cases

    @property
    def calls(self) -> int:
        """The number of calls to ask every model every case."""
        return len(self.models) * self.cases * self.repeats

    @property
    def cost_usd(self) -> float:
        """The cost of asking every model every case."""
        return sum(self.costs_usd) * self.cases * self.repeats

    @property
    def can_certify(self) -> bool:
        return any(plan.can_certify for plan in self.plans)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parts of the bar that no truth is about; they only take certifications away."""
        parts = {"critical": self.bar.critical, "latency_p95_s": self.bar.latency_p95_s}
        return tuple(name for name, part in parts.items() if part is not None)


def design_of(task: Task) -> Design:
    """Return the design of a workflow as its first run would have it."""
    candidates = task.field.candidates
    baseline = candidates.index(task.field.baseline)
    return Design(
        workflow=task.name,
        models=tuple(candidate.alias for candidate in candidates),
        costs_usd=tuple(float(candidate.estimated_usd) for candidate in candidates),
        baseline=baseline,
        plans=_plans(
            task.workflow.bar, len(candidates), task.cases, baseline, task.workflow.repeats
        ),
    )


def grid() -> list[Design]:
    """Return three models at two sizes and two bars, and once with cases in groups."""
    alone = [_of_grid(bar, size, 1) for bar in BARS for size in SIZES]
    return [*alone, _of_grid(BARS[0], SIZES[-1], GROUP)]


def _of_grid(bar: Bar, size: int, group: int) -> Design:
    cases = [
        Case(str(at), "", None, group=None if group == 1 else str(at // group))
        for at in range(size)
    ]
    last = len(COSTS_USD) - 1
    return Design(
        workflow=None,
        models=("cheap", "balanced", "frontier"),
        costs_usd=COSTS_USD,
        baseline=last,
        plans=_plans(bar, len(COSTS_USD), cases, last, 1),
    )


def _plans(
    bar: Bar, candidates: int, cases: Sequence[Case], baseline: int, repeats: int
) -> tuple[GatePlan, ...]:
    """Return what the gate holds each candidate against, in its first attempt."""
    own, others = (
        plan_gate(bar, candidates, cases, repeats=repeats, is_baseline=is_baseline)
        for is_baseline in (True, False)
    )
    return tuple(own if at == baseline else others for at in range(candidates))
