"""What is promised of whole calibrations, by the audit that ships; and that it can say no."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from calibrate.audit.design import Design, grid
from calibrate.audit.finding import Finding
from calibrate.audit.run import audit
from calibrate.criteria import plan_gate
from calibrate.dataset import Case
from calibrate.stats.boundary import fixed_sample_limit
from calibrate.stats.plan import Plan

RUNS = 10_000
ALPHA = 0.05
Mutation = Callable[[Plan], Plan]


def findings(design: Design) -> dict[str, Finding]:
    return {found.truth.name: found for found in audit([design], runs=RUNS, jobs=2)}


@pytest.mark.audit
@pytest.mark.parametrize("at", range(5), ids=lambda at: f"grid-{at}")
def test_every_scenario_of_the_grid_keeps_the_promise(at: int) -> None:
    for name, found in findings(grid()[at]).items():
        assert found.keeps_promise, name
        assert found.wrong.estimate <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS), name


@pytest.mark.audit
@pytest.mark.parametrize("at", [1, 3])
def test_good_models_are_found_with_few_calls_and_little_money(at: int) -> None:
    """300 cases: rates above the plan's own; the first attempt has nine tenths of the error."""
    found = findings(grid()[at])["all well above it, independent"]
    assert found.least_calls is not None
    assert found.calls <= 1.25 * found.least_calls
    assert found.calls_saved >= 0.70
    assert found.cost_saved is not None
    assert found.cost_saved >= 0.90


def mutated(mutation: Mutation) -> dict[str, Finding]:
    """The findings on 300 cases, with other lines in the place of the plan's own."""
    design = grid()[1]
    plan = design.plans[0]
    quality = plan.criteria[0]
    assert isinstance(quality.lines, Plan)
    other = replace(plan, criteria=(replace(quality, lines=mutation(quality.lines)),))
    return findings(replace(design, plans=(other,) * 3))


def the_bound_after_every_case(lines: Plan) -> Plan:
    """Clopper and Pearson's bound is for one look at a sample of a fixed size."""
    limits = (fixed_sample_limit(t, lines.floor, lines.alpha) for t in range(lines.n + 1))
    return replace(lines, accept=tuple(limits))


def one_failure_more(lines: Plan) -> Plan:
    return replace(lines, accept=tuple(a + 1 if a >= 0 else a for a in lines.accept))


def the_observed_rate(lines: Plan) -> Plan:
    return replace(lines, accept=tuple(t // 10 if t >= 50 else -1 for t in range(lines.n + 1)))


@pytest.mark.audit
@pytest.mark.parametrize(
    "mutation", [the_bound_after_every_case, one_failure_more, the_observed_rate]
)
def test_lines_that_spend_too_much_are_a_broken_promise(mutation: Mutation) -> None:
    found = mutated(mutation)
    assert not found["all at the bar, independent"].keeps_promise
    assert not found["all at the bar, correlated"].keeps_promise


@pytest.mark.audit
def test_the_full_error_for_each_model_is_a_broken_promise() -> None:
    cases = [Case(str(at), "", None) for at in range(300)]
    design = grid()[1]
    found = findings(replace(design, plans=(plan_gate(design.bar, 1, cases),) * 3))
    assert not found["all at the bar, independent"].keeps_promise
    assert not found["all at the bar, correlated"].keeps_promise
    assert found["just under it, the dearest above, correlated"].keeps_promise
