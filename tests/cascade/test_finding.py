"""From trials to a certified cascade: what may be chosen, and what rules it out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrate.cascade import find_cascades
from calibrate.client import Source
from calibrate.completion import Failure, FailureReason, Usage
from calibrate.config import Bar
from calibrate.dataset import Case
from calibrate.decide import Cascades
from calibrate.graders.base import Grade
from calibrate.project import load_project
from calibrate.task import Task, load_task
from calibrate.trial import AnyTrial, FailedTrial, Trial

CASES = 240
PRICES = {"small": "0.001", "medium": "0.004", "large": "0.02"}
# small is right on 80 %, and its margin knows where; large is right on 95 %.
WRONG = {"small": set(range(0, CASES, 5)), "medium": set(range(CASES)), "large": {7, 47, 87, 127}}


def trial(case: Case, number: int, model: str, **changes: Any) -> Trial:
    passed = number not in WRONG[model]
    made = Trial(
        case=case,
        model=model,
        repeat=0,
        asked="in",
        answer="out",
        finish="stop",
        grade=Grade(float(passed), "because"),
        signals={"first_token_margin": (0.8 if passed else 0.2) + number % 7 / 50},
        usage=Usage(10, 1),
        cost_usd=Decimal(PRICES[model]),
        latency_s=0.5 if model == "small" else 2.0,
        served_model=model,
        source=Source.ASKED,
    )
    return replace(made, **changes)


@pytest.fixture
def task(project: Any) -> Task:
    return load_task(load_project(Path.cwd()), "triage")


def cases_with(**options: Any) -> list[Case]:
    critical = options.get("critical", ())
    return [
        Case(
            f"c-{n}",
            "in",
            "out",
            {"language": "de" if n % 5 == 0 else "en"},
            critical=n in critical,
            group=options["group"](n) if "group" in options else None,
        )
        for n in range(CASES)
    ]


def found(
    task: Task,
    bar: Bar,
    *,
    cases: list[Case] | None = None,
    small: Any = lambda t, n: t,
    alpha: float = 0.02,
) -> Cascades:
    cases = cases or cases_with()
    trials: dict[str, list[AnyTrial]] = {
        model: [trial(case, n, model) for n, case in enumerate(cases)] for model in PRICES
    }
    trials["small"] = [small(t, n) for n, t in enumerate(trials["small"])]
    changed = replace(task, workflow=task.workflow.model_copy(update={"bar": bar}))
    return find_cascades(changed, cases, trials, alpha=alpha)


BAR = Bar(pass_rate=0.9, cascades=True)


def test_a_cheap_model_that_knows_where_it_is_wrong_is_kept_where_it_is_right(task: Task) -> None:
    route = found(task, BAR).route
    assert route is not None
    assert (route.cheap.alias, route.strong.alias, route.signal) == (
        "small",
        "large",
        "first_token_margin",
    )
    # It is wrong on 48 cases: to be surely above 0.9 most of these are handed on, and no other.
    assert 0.1 < route.escalated <= 0.2
    assert route.cost_usd_per_request == pytest.approx(0.001 + route.escalated * 0.02)
    assert route.passed == round(route.estimate * CASES)
    assert route.lower_bound is not None
    assert 0.9 <= route.lower_bound < route.estimate
    assert route.break_even == pytest.approx(0.95)
    assert route.latency_p95_s == 2.5  # over 5 % wait for both answers


def test_a_useless_signal_certifies_no_cascade_and_is_called_so(task: Task) -> None:
    rng = np.random.default_rng(3)
    noise = rng.random(CASES)
    result = found(
        task, BAR, small=lambda t, n: replace(t, signals={"first_token_margin": noise[n]})
    )
    assert next(s.worth for s in result.signals if s.model == "small") == "useless"
    if result.route is not None:  # then nearly everything is escalated
        assert result.route.escalated > 0.6


@pytest.mark.parametrize("signals", [{}, {"first_token_margin": 0.5}])
def test_without_a_signal_that_parts_the_cases_there_is_no_threshold(
    task: Task, signals: dict[str, float]
) -> None:
    result = found(task, BAR, small=lambda t, n: replace(t, signals=signals))
    assert result.route is None or result.route.cheap.alias != "small"


def test_the_workflow_names_the_signal(task: Task) -> None:
    named = replace(task, workflow=task.workflow.model_copy(update={"signals": ["finished"]}))
    result = found(named, BAR)
    assert {signal.signal for signal in result.signals} == {None}
    assert (result.route, result.thresholds) == (None, 0)


def test_a_critical_case_that_the_cascade_fails_rules_it_out(task: Task) -> None:
    bar = Bar(pass_rate=0.9, cascades=True, critical="must_pass")
    assert found(task, bar, cases=cases_with(critical={1})).route is not None
    # large fails case 7 and small passes it; small fails case 5 and large passes it
    route = found(task, bar, cases=cases_with(critical={5})).route
    assert route is not None  # escalated, and passed by large
    cases = cases_with(critical={5})
    unsure = found(
        task,
        bar,
        cases=cases,
        small=lambda t, n: replace(t, signals={"first_token_margin": 0.99}) if n == 5 else t,
    )
    assert unsure.route is None


def test_a_slice_below_its_floor_rules_it_out(task: Task) -> None:
    # The German cases are those that small gets wrong: 48 of them, all handed on or lost.
    bar = Bar(pass_rate=0.6, cascades=True, slices={"language": 0.8})
    sliced, plain = found(task, bar).route, found(task, Bar(pass_rate=0.6, cascades=True)).route
    assert sliced is not None
    assert plain is not None
    assert sliced.escalated > plain.escalated


def test_the_latency_of_an_escalated_request_is_the_sum(task: Task) -> None:
    slow = Bar(pass_rate=0.9, cascades=True, latency_p95_s=2.2)
    assert found(task, slow).route is None
    assert found(task, Bar(pass_rate=0.9, cascades=True, latency_p95_s=2.6)).route is not None


def test_a_failed_call_is_escalated(task: Task) -> None:
    def fails(t: Trial, n: int) -> AnyTrial:
        if n not in {1, 2, 3}:
            return t
        failure = Failure(FailureReason.SERVER_ERROR, "HTTP 500")
        return FailedTrial(t.case, t.model, 0, "in", failure, Decimal(0), 0.1, Source.ASKED)

    route = found(task, BAR, small=fails).route
    assert route is not None
    assert route.failed_calls == 3
    assert route.estimate >= found(task, BAR).route.estimate - 3 / CASES  # type: ignore[union-attr]


def test_a_model_that_is_down_is_left_out(task: Task) -> None:
    def down(t: Trial, n: int) -> AnyTrial:
        failure = Failure(FailureReason.SERVER_ERROR, "HTTP 500")
        return FailedTrial(t.case, t.model, 0, "in", failure, Decimal(0), 0.1, Source.ASKED)

    result = found(task, BAR, small=down)
    assert "small" not in {signal.model for signal in result.signals}


def test_without_its_baseline_a_workflow_has_no_cascade(task: Task) -> None:
    cases = cases_with()
    failure = Failure(FailureReason.SERVER_ERROR, "HTTP 500")
    trials: dict[str, list[AnyTrial]] = {
        model: [trial(case, n, model) for n, case in enumerate(cases)] for model in PRICES
    }
    trials["large"] = [
        FailedTrial(case, "large", 0, "in", failure, Decimal(0), 0.1, Source.ASKED)
        for case in cases
    ]
    changed = replace(task, workflow=task.workflow.model_copy(update={"bar": BAR}))
    result = find_cascades(changed, cases, trials, alpha=0.02)
    assert result == Cascades(1, None, (), 0, 0)


def test_groups_and_scores_are_bet_on(task: Task) -> None:
    paired = cases_with(group=lambda n: f"g-{n // 2}")
    route = found(task, Bar(pass_rate=0.7, cascades=True), cases=paired).route
    assert route is not None
    assert (route.passed, route.lower_bound) == (None, None)
    assert route.estimate > 0.7


def test_cascades_of_a_bad_pair_are_certified_no_more_often_than_promised(task: Task) -> None:
    """All three models and every cascade of them pass 0.9 of the cases; the bar is 0.9."""
    rng = np.random.default_rng(17)
    cases = cases_with()[:100]
    certified = 0
    for _ in range(60):
        trials: dict[str, list[AnyTrial]] = {
            model: [
                trial(
                    case,
                    n,
                    model,
                    grade=Grade(float(rng.random() < 0.9), "by lot"),
                    signals={"first_token_margin": float(rng.random())},
                )
                for n, case in enumerate(cases)
            ]
            for model in PRICES
        }
        changed = replace(task, workflow=task.workflow.model_copy(update={"bar": BAR}))
        certified += find_cascades(changed, cases, trials, alpha=0.05).route is not None
    assert certified <= 0.05 * 60 + 3 * (0.05 * 0.95 * 60) ** 0.5
