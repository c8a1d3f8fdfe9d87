"""Simulated calibrations: what is drawn, how it is decided, and what is counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from calibrate.audit.bound import least_calls
from calibrate.audit.design import Design, design_of, grid
from calibrate.audit.finding import Finding
from calibrate.audit.run import audit, scenario_count
from calibrate.audit.simulate import Counts, settle, simulate
from calibrate.audit.truth import Answers, Truth, draw, truths_of
from calibrate.client import Source
from calibrate.completion import Failure, FailureReason, Usage
from calibrate.config import Bar
from calibrate.criteria import plan_gate
from calibrate.dataset import Case, seeded_order
from calibrate.gate import Outcome, judge
from calibrate.graders.base import Grade
from calibrate.project import TIERS_FILE, load_project
from calibrate.stats.plan import Kind, operating_characteristics
from calibrate.task import load_task
from calibrate.trial import AnyTrial, FailedTrial, Trial

STRICT = Bar(pass_rate=0.9)


def independent(n: int) -> list[Case]:
    return [Case(f"c-{at}", "in", None) for at in range(n)]


def grouped(n: int, size: int) -> list[Case]:
    return [Case(f"c-{at}", "in", None, group=f"g-{at // size}") for at in range(n)]


def design(
    bar: Bar, cases: Sequence[Case], *, k: int = 3, repeats: int = 1, baseline: int | None = None
) -> Design:
    """Plans as a run has them, in its order of the cases; the dearest is the baseline."""
    baseline = k - 1 if baseline is None else baseline
    ordered = seeded_order(cases, 7)
    return Design(
        workflow="triage",
        models=tuple(f"m-{at}" for at in range(k)),
        costs_usd=tuple(0.001 * 5**at for at in range(k)),
        baseline=baseline,
        plans=tuple(
            plan_gate(bar, k, ordered, repeats=repeats, is_baseline=at == baseline)
            for at in range(k)
        ),
    )


def truth(rates: Sequence[float], **options: object) -> Truth:
    meets = tuple(rate > 0.9 for rate in rates)
    return replace(Truth("some", tuple(rates), meets), **options)  # type: ignore[arg-type]


def drawn(made: Design, of: Truth, runs: int, seed: int = 1) -> Answers:
    return draw(np.random.default_rng(seed), made, of, runs, made.cases)


# What is drawn


def test_every_model_has_its_rate() -> None:
    scores = drawn(design(STRICT, independent(300)), truth([0.6, 0.9, 1.0]), 400).scores
    # 120,000 answers: a standard error of .0014 at .6
    assert scores.mean(axis=(0, 2)) == pytest.approx([0.6, 0.9, 1.0], abs=0.005)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_correlated_models_share_how_hard_a_case_is() -> None:
    made = design(STRICT, independent(300))
    shared = drawn(made, truth([0.5, 0.5, 0.5], correlation=0.5), 400).scores
    assert shared.mean() == pytest.approx(0.5, abs=0.005)
    # Two normals with correlation r agree in sign with probability 1/2 + asin(r) / pi: 2/3 for
    # r = 1/2, and the signs are then correlated by 1/3.
    assert correlation(shared[:, 0], shared[:, 1]) == pytest.approx(1 / 3, abs=0.02)
    assert correlation(shared[:, 0, :-1], shared[:, 0, 1:]) == pytest.approx(0, abs=0.02)
    alone = drawn(made, truth([0.5, 0.5, 0.5]), 400).scores
    assert correlation(alone[:, 0], alone[:, 1]) == pytest.approx(0, abs=0.02)


def test_cases_of_a_group_are_alike_for_one_model_only() -> None:
    made = design(STRICT, grouped(300, 2))
    scores = drawn(made, truth([0.5, 0.5, 0.5], within_group=0.5), 400).scores
    first, second = np.array(made.groups).T
    assert correlation(scores[:, 0, first], scores[:, 0, second]) == pytest.approx(1 / 3, abs=0.02)
    assert correlation(scores[:, 0, first], scores[:, 1, second]) == pytest.approx(0, abs=0.02)
    assert correlation(scores[:, 0, first[:-1]], scores[:, 0, first[1:]]) == pytest.approx(
        0, abs=0.02
    )


def test_a_failed_call_scores_nothing_and_the_rate_counts_it() -> None:
    made = design(STRICT, independent(300))
    found = drawn(made, truth([0.9, 0.5, 0.9], failing=0.1), 400)
    assert found.failed is not None
    assert found.failed.mean() == pytest.approx(0.1, abs=0.005)
    assert not found.scores[found.failed > 0].any()
    # Answers that arrive all pass at .9 / (1 - .1) = 1
    assert found.scores[:, 0][found.failed[:, 0] == 0].all()
    assert found.scores.mean(axis=(0, 2)) == pytest.approx([0.9, 0.5, 0.9], abs=0.005)


def test_repeats_are_averaged_and_alike_within_a_case() -> None:
    made = design(STRICT, independent(300), repeats=2)
    found = drawn(made, truth([0.5, 0.5, 0.5], failing=0.2), 400)
    assert found.failed is not None
    assert sorted(set(found.scores.ravel().tolist())) == [0.0, 0.5, 1.0]
    assert found.scores.mean() == pytest.approx(0.5, abs=0.005)
    assert found.failed.mean() == pytest.approx(2 * 0.2, abs=0.005)
    assert found.scores[found.failed == 2].max() == 0
    never = drawn(made, truth([0.5, 0.5, 0.5]), 400)
    assert never.failed is None
    # Latent correlation 1/2: both repeats pass with probability 1/3, as both fail.
    assert np.mean(never.scores == 1) == pytest.approx(1 / 3, abs=0.005)


def test_a_weak_slice_has_its_own_rate() -> None:
    made = design(STRICT, independent(100))
    weak = truth([1.0, 1.0, 1.0], weak_places=(3, 97), weak_rate=0.5)
    scores = drawn(made, weak, 2000).scores
    assert scores.mean(axis=(0, 1))[[3, 97]] == pytest.approx([0.5, 0.5], abs=0.03)
    assert np.delete(scores, (3, 97), axis=2).all()
    assert draw(np.random.default_rng(1), made, weak, 5, 90).scores.shape == (5, 3, 90)


# Under which truths


def named(made: Design) -> dict[str, Truth]:
    return {found.name: found for found in truths_of(made)}


def test_truths_stand_around_the_bar() -> None:
    found = named(design(STRICT, independent(100)))
    rates = {name: [round(rate, 6) for rate in each.rates] for name, each in found.items()}
    assert rates == {
        "all at the bar, independent": [0.9, 0.9, 0.9],
        "all at the bar, correlated": [0.9, 0.9, 0.9],
        "just under it, the dearest above, independent": [0.89, 0.895, 0.97],
        "just under it, the dearest above, correlated": [0.89, 0.895, 0.97],
        "staircase, independent": [0.86, 0.9, 0.94],
        "staircase, correlated": [0.86, 0.9, 0.94],
        "all well above it, independent": [0.95, 0.97, 0.99],
        "all well above it, correlated": [0.95, 0.97, 0.99],
        "2 % of calls fail, all at the bar": [0.9, 0.9, 0.9],
        "10 % of calls fail, all at the bar": [0.9, 0.9, 0.9],
    }
    assert {name: each.best for name, each in found.items() if each.best is not None} == {
        "just under it, the dearest above, independent": 2,
        "just under it, the dearest above, correlated": 2,
        "staircase, independent": 2,
        "staircase, correlated": 2,
        "all well above it, independent": 0,
        "all well above it, correlated": 0,
    }


@pytest.mark.parametrize("bar", [0.02, 0.5, 0.98, 0.999])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_truths_are_rates_for_any_bar_and_number_of_models(bar: float, k: int) -> None:
    made = design(Bar(pass_rate=bar), independent(20), k=k)
    for found in truths_of(made):
        assert len(found.rates) == k
        assert all(0 <= rate <= 1 for rate in found.rates)
        assert found.meets == tuple(rate > bar for rate in found.rates)
    assert named(made)["all at the bar, independent"].rates == (bar,) * k
    only = named(made)["just under it, the dearest above, correlated"]
    assert (only.best, sum(only.meets)) == (k - 1, 1)


def test_where_more_calls_fail_than_the_bar_allows_no_model_reaches_it() -> None:
    found = named(design(Bar(pass_rate=0.95), independent(100)))
    assert found["10 % of calls fail, all at the bar"].rates == (0.9, 0.9, 0.9)


def tagged(n: int) -> list[Case]:
    return [Case(f"c-{at}", "in", None, {"language": "en" if at % 3 else "de"}) for at in range(n)]


def test_a_bar_with_slices_is_also_audited_at_the_floor_of_one() -> None:
    made = design(Bar(pass_rate=0.9, slices={"language": 0.8}), tagged(300))
    found = named(made)["all well above it, but at the floor in language=en"]
    assert (found.meets, len(found.weak_places), found.weak_rate) == ((False,) * 3, 200, 0.8)
    # A slice whose floor is above the rest's is what holds all models at the bar.
    harder = named(design(Bar(pass_rate=0.8, slices={"language": 0.9}), tagged(300)))
    at_the_bar = harder["all at the bar, independent"]
    assert (at_the_bar.rates, at_the_bar.best) == ((0.9, 0.9, 0.9), None)


def test_a_bar_relative_to_the_baseline_is_also_audited_at_its_share() -> None:
    made = design(Bar(pass_rate=0.5, of_baseline=0.9), independent(100), baseline=1)
    found = named(made)["just the share of the baseline"]
    top = found.rates[1]
    assert found.rates == (0.9 * top, top, 0.9 * top)
    assert found.meets == (False, True, False)


# How it is decided

KINDS = {
    "independent": design(STRICT, independent(120)),
    "groups": design(Bar(pass_rate=0.8), [*grouped(90, 3), *independent(31)]),
    "slices": design(Bar(pass_rate=0.8, slices={"language": 0.7}), tagged(150)),
    "slices of groups": design(
        Bar(pass_rate=0.8, slices={"language": 0.6}),
        [replace(case, group=f"g-{at // 4}") for at, case in enumerate(tagged(160))],
    ),
    "repeats": design(Bar(pass_rate=0.8), independent(60), repeats=3),
    "mean score": design(Bar(mean_score=0.8, tolerance=0.05), independent(100)),
    "of the baseline": design(Bar(pass_rate=0.7, of_baseline=0.9), independent(120)),
}


def trials_of(made: Design, answers: Answers, run: int, model: int) -> list[AnyTrial]:
    """The same answers as a run would have them, in the seeded order, repeats together."""
    found: list[AnyTrial] = []
    for at in range(made.cases):
        passes = round(float(answers.scores[run, model, at]) * made.repeats)
        failed = 0 if answers.failed is None else int(answers.failed[run, model, at])
        case = Case(f"c-{at}", "in", None)
        for repeat in range(made.repeats):
            if repeat < failed:
                failure = Failure(FailureReason.SERVER_ERROR, "HTTP 500")
                found.append(
                    FailedTrial(case, "m", repeat, "in", failure, Decimal(0), 0.1, Source.ASKED)
                )
            else:
                grade = Grade(float(repeat - failed < passes), "because")
                found.append(
                    Trial(
                        *(case, "m", repeat, "in", "out", "stop", grade, {}, Usage(1, 1)),
                        *(Decimal(0), 0.1, "m-1", Source.ASKED),
                    )
                )
    return found


# From hopeless to perfect, so that every kind of crossing is among what is drawn.
RATES = (0.4, 0.72, 0.85, 0.96)


@pytest.mark.parametrize("kind", KINDS)
def test_a_verdict_falls_where_the_gate_lets_it_fall(kind: str) -> None:
    made, seen = KINDS[kind], set()
    for rate in RATES:
        of = truth([rate, rate, 0.96], correlation=0.5, failing=0.03)
        runs = 8 if made.plans[0].test == "exact" else 1
        answers = drawn(made, of, runs, seed=5)
        found = settle(made, 0, answers)
        for run in range(runs):
            mine, rival = (trials_of(made, answers, run, at) for at in (0, made.baseline))
            rival = rival if made.bar.of_baseline is not None else []
            verdict = judge(made.plans[0], "m", "cheap", mine, baseline=rival)
            seen.add(verdict.outcome)
            assert found.certified[run] == (verdict.outcome is Outcome.CERTIFIED)
            assert found.cases_used[run] == verdict.cases_used
    assert len(seen) > 1


@pytest.mark.parametrize("kind", ["groups", "repeats", "mean score"])
def test_bets_cross_where_those_of_the_plan_do(kind: str) -> None:
    made, seen = KINDS[kind], set()
    (quality,) = made.plans[0].criteria
    for rate in RATES:
        answers = drawn(made, truth([rate] * 3), 20)
        found = settle(made, 0, answers)
        for run, values in enumerate(answers.scores[:, 0].astype(float).tolist()):
            crossing = quality.crossing(values)
            assert crossing is not None
            seen.add(crossing.kind)
            assert found.certified[run] == (crossing.kind is Kind.ACCEPTED)
            assert found.cases_used[run] == crossing.index
    assert seen == set(Kind)


def test_models_are_asked_cheapest_first_until_one_is_certified() -> None:
    made = design(STRICT, independent(300))
    counts = simulate(made, truth([0.0, 1.0, 1.0]), 50, np.random.default_rng(1))
    lines = made.plans[0].lines
    rejected = operating_characteristics(lines, 0.0).expected_n
    accepted = operating_characteristics(lines, 1.0).expected_n
    assert counts == Counts(50, (0, 50, 0), (50 * rejected, 50 * accepted, 0))


def test_repeats_are_calls() -> None:
    made = design(STRICT, independent(300), repeats=2)
    counts = simulate(made, truth([1.0, 1.0, 1.0]), 10, np.random.default_rng(1))
    once = settle(made, 0, drawn(made, truth([1.0, 1.0, 1.0]), 1)).cases_used[0]
    assert counts == Counts(10, (10, 0, 0), (10 * 2 * once, 0, 0))


def test_the_baseline_is_asked_what_it_is_compared_on() -> None:
    made = design(Bar(pass_rate=0.5, of_baseline=0.8), independent(300))
    counts = simulate(made, truth([1.0, 1.0, 1.0]), 10, np.random.default_rng(1))
    assert counts.routes == (10, 0, 0)
    assert counts.calls[2] == counts.calls[0] > 0 == counts.calls[1]


# What is counted


def test_counts_are_held_against_the_promise() -> None:
    made = replace(design(STRICT, independent(100)), costs_usd=(1.0, 2.0, 7.0))
    finding = Finding(
        made,
        truth([0.9, 0.95, 0.99]),
        Counts(1000, (64, 700, 200), (40_000, 30_000, 20_000)),
        None,
    )
    # scipy: beta.ppf(.025, 64, 937) and beta.ppf(.975, 65, 936)
    assert (finding.wrong.estimate, finding.wrong.low, finding.wrong.high) == pytest.approx(
        (0.064, 0.0496331, 0.0809951), abs=1e-7
    )
    assert finding.keeps_promise  # .0496 is not above .05
    assert finding.right == 0.7
    assert (finding.calls, made.calls) == (90, 300)
    assert finding.calls_saved == pytest.approx(0.7)
    # 40 x 1 + 30 x 2 + 20 x 7 = 240 of 100 x 10
    assert (finding.cost_usd, made.cost_usd) == (240, 1000)
    assert finding.cost_saved == pytest.approx(0.76)
    worse = replace(finding, counts=Counts(1000, (66, 700, 200), (1, 1, 1)))
    assert not worse.keeps_promise
    free = replace(finding, design=replace(made, costs_usd=(0.0, 0.0, 0.0)))
    assert free.cost_saved is None


def test_the_least_calls_are_those_of_walds_bound() -> None:
    made = design(Bar(pass_rate=0.9), independent(300), k=1)
    lines = made.plans[0].lines
    at_floor, at_rate = (
        operating_characteristics(lines, p).accept_probability for p in (0.9, 0.95)
    )
    # A faultless model is always accepted: ln(1 / a) / ln(1 / p), the larger of the two.
    least = max(math.log(1 / at_floor) / math.log(1 / 0.9), math.log(1 / at_rate) / 0.051293294)
    assert least_calls(made, truth([1.0])) == pytest.approx(least)


def test_the_least_calls_add_up_over_models_that_are_reached() -> None:
    made = design(STRICT, independent(300))
    alone = [least_calls(replace(made, plans=made.plans[:1]), truth([p])) for p in (0.85, 0.97)]
    missed = 1 - operating_characteristics(made.plans[0].lines, 0.85).accept_probability
    both = least_calls(replace(made, plans=made.plans[:2]), truth([0.85, 0.97]))
    assert both == pytest.approx(alone[0] + missed * alone[1])


def test_no_simulated_calibration_needs_fewer_calls_than_the_least() -> None:
    made = design(STRICT, independent(300))
    for of in truths_of(made):
        least = least_calls(made, of)
        if least is not None:
            counts = simulate(made, of, 500, np.random.default_rng(2))
            assert sum(counts.calls) / 500 > least


@pytest.mark.parametrize(
    ("made", "of"),
    [
        (design(STRICT, independent(100)), truth([0.95] * 3, correlation=0.5)),
        (design(STRICT, independent(100)), truth([0.95] * 3, failing=0.02)),
        (design(STRICT, grouped(100, 2)), truth([0.95] * 3, within_group=0.5)),
        (design(Bar(mean_score=0.9), independent(100)), truth([0.95] * 3)),
        (design(Bar(pass_rate=0.9, slices={"language": 0.8}), tagged(100)), truth([0.95] * 3)),
        (design(STRICT, independent(10)), truth([0.95] * 3)),  # nothing is ever accepted
    ],
    ids=["correlated", "failing", "groups", "scores", "slices", "small"],
)
def test_where_no_bound_is_known_there_is_none(made: Design, of: Truth) -> None:
    assert least_calls(made, of) is None


def test_the_result_is_that_of_the_seed_whatever_the_number_of_processes() -> None:
    designs = [design(STRICT, independent(100)), design(STRICT, grouped(20, 2), k=2)]
    done: list[int] = []
    one = audit(designs, runs=3400, seed=5, on_done=done.append)
    assert sum(done) == 3400 * scenario_count(designs) == 3400 * len(one)
    assert len(done) > len(one)  # several chunks of one scenario
    assert audit(designs, runs=3400, seed=5, jobs=2) == one
    assert audit(designs[:1], runs=3400, seed=5) == one[:10]
    assert audit(designs[:1], runs=3400, seed=6) != one[:10]


def test_chunks_of_a_scenario_are_not_the_same_calibrations() -> None:
    made = design(STRICT, independent(100))
    first = audit([made], runs=3333)[0].counts
    both = audit([made], runs=6666)[0].counts
    assert (both.runs, both.calls[0] != 2 * first.calls[0]) == (6666, True)


# What is audited


def test_the_design_of_a_workflow_is_what_its_first_run_would_decide_by(project) -> None:
    project.edit("evals/triage.yaml", "confidence: 0.9", "confidence: 0.9, of_baseline: 0.9")
    project.edit("evals/triage.yaml", "seed: 7", "seed: 7\nrepeats: 2")
    task = load_task(load_project(project.root, TIERS_FILE), "triage")
    made = design_of(task)
    assert (made.workflow, made.models, made.baseline) == (
        *("triage", ("small", "medium", "large"), 2),
    )
    assert (made.cases, made.repeats, made.calls, made.is_grouped) == (6, 2, 36, False)
    assert [len(plan.criteria) for plan in made.plans] == [2, 2, 1]
    assert made.plans[0] == plan_gate(task.workflow.bar, 3, task.cases, repeats=2)
    assert made.costs_usd == tuple(float(c.estimated_usd) for c in task.field.candidates)


# That a broken rule is caught


def findings(made: Design, runs: int = 2000) -> dict[str, Finding]:
    return {finding.truth.name: finding for finding in audit([made], runs=runs)}


def test_the_rule_of_a_run_keeps_the_promise() -> None:
    for finding in findings(design(STRICT, independent(300))).values():
        assert finding.keeps_promise, finding.truth.name


def test_the_full_alpha_for_each_of_three_models_is_a_broken_promise() -> None:
    made = design(STRICT, independent(300))
    alone = plan_gate(STRICT, 1, seeded_order(independent(300), 7))
    found = findings(replace(made, plans=(alone, alone, alone)))
    broken = [name for name, finding in found.items() if not finding.keeps_promise]
    assert "all at the bar, independent" in broken
    assert "all at the bar, correlated" in broken
    assert "all well above it, independent" not in broken
    # 1 - (1 - .045)^3 = .129
    assert found["all at the bar, independent"].wrong.estimate == pytest.approx(0.129, abs=0.02)


def test_an_observed_rate_above_the_bar_as_the_rule_is_a_broken_promise() -> None:
    made = design(STRICT, independent(300))
    plan = made.plans[0]
    lines = replace(plan.lines, accept=tuple(-1 if t < 30 else t // 10 - 1 for t in range(301)))
    quality = replace(plan.criteria[0], lines=lines)
    naive = replace(plan, criteria=(quality,))
    found = findings(replace(made, plans=(naive, naive, naive)), runs=500)
    assert not found["all at the bar, independent"].keeps_promise
    assert not found["just under it, the dearest above, correlated"].keeps_promise


def test_cases_of_a_group_counted_one_by_one_are_a_broken_promise() -> None:
    made, alone = design(STRICT, grouped(300, 5), k=1), design(STRICT, independent(300), k=1)
    answers = drawn(made, truth([0.9], within_group=0.5), 2000)
    assert settle(alone, 0, answers).certified.mean() > 0.09  # against .045
    assert settle(made, 0, answers).certified.mean() <= 0.045 + 2 * 0.0047


def test_the_grid_has_groups_and_sizes_and_can_certify_in_each() -> None:
    assert [(made.cases, len(made.groups), made.bar.floor) for made in grid()] == [
        (100, 100, 0.9),
        (300, 300, 0.9),
        (100, 100, 0.87),
        (300, 300, 0.87),
        (300, 100, 0.9),
    ]
    assert all(made.can_certify for made in grid())
