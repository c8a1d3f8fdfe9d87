"""A signal that is fitted to grades: on which cases, and what its grades must not reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrate.cascade import find_cascades
from calibrate.cascade.measured import measure
from calibrate.client import Source
from calibrate.completion import Failure, FailureReason, Usage
from calibrate.config import Bar, Workflow
from calibrate.dataset import Case
from calibrate.decide import Cascades, EscalatedRoute
from calibrate.graders.base import Grade
from calibrate.policy.inputs import features_of
from calibrate.project import load_project
from calibrate.signals import Split, reader_for
from calibrate.task import Task, load_task
from calibrate.trial import AnyTrial, FailedTrial, Trial

CASES = 240
PRICES = {"small": "0.001", "medium": "0.004", "large": "0.02"}
BAR = Bar(pass_rate=0.85, cascades=True)
FIT = {"input_simplicity": {"fit": True}}
ALPHA = 0.02
Passes = Callable[[str, int], bool]


def is_hard(number: int) -> bool:
    return number % 4 == 0


def text(number: int) -> str:
    """A text that is full of digits where it is hard; how long it is says nothing."""
    words = np.random.default_rng(number).choice(["pay", "the", "bill", "again", "tomorrow"], 8)
    return f"{' '.join(words)} {str(number * 7919) * 5 if is_hard(number) else 'case'} {number:x}"


def passes(model: str, number: int) -> bool:
    """Small is right where it is easy, medium nearly so, and large hardly ever wrong."""
    wrong = {
        "small": is_hard(number),
        "medium": number % 8 == 0 or number % 40 == 1,
        "large": number in {3, 4, 77},
    }
    return not wrong[model]


def cases_with(**options: Any) -> list[Case]:
    return [
        Case(
            f"c-{n}",
            {"message": options.get("text", text)(n)},
            "urgent",
            {"part": "a" if n < options.get("part", 0) else "b"},
            critical=n in options.get("critical", ()),
            group=options["group"](n) if "group" in options else None,
        )
        for n in range(CASES)
    ]


def trial(case: Case, model: str, passed: bool, *, failed: bool = False) -> AnyTrial:
    if failed:
        failure = Failure(FailureReason.SERVER_ERROR, "HTTP 500")
        return FailedTrial(case, model, 0, "in", failure, Decimal(0), 0.1, Source.ASKED)
    return Trial(
        case=case,
        model=model,
        repeat=0,
        asked="in",
        answer="out",
        finish="stop",
        grade=Grade(float(passed), "because"),
        signals={"finished": 1.0},
        usage=Usage(10, 1),
        cost_usd=Decimal(PRICES[model]),
        latency_s=0.5 if model == "small" else 2.0,
        served_model=model,
        source=Source.ASKED,
    )


@pytest.fixture
def task(project: Any) -> Task:
    return load_task(load_project(Path.cwd()), "triage")


def with_bar(task: Task, bar: Bar, signals: Sequence[Any] = (FIT,)) -> Task:
    raw = task.workflow.model_dump(exclude_unset=True)
    workflow = Workflow.model_validate(raw | {"bar": bar.model_dump(), "signals": list(signals)})
    noting = replace(task.noting, reader=reader_for("here", workflow))
    return replace(task, workflow=workflow, noting=noting)


def trials_of(
    cases: Sequence[Case], passed: Passes = passes, failed: Sequence[int] = ()
) -> dict[str, list[AnyTrial]]:
    return {
        model: [
            trial(case, model, passed(model, n), failed=model == "small" and n in failed)
            for n, case in enumerate(cases)
        ]
        for model in PRICES
    }


def found(task: Task, bar: Bar = BAR, *, cases: Sequence[Case] = (), **options: Any) -> Cascades:
    cases = cases or cases_with()
    signals = options.pop("signals", (FIT,))
    return find_cascades(
        with_bar(task, bar, signals), cases, trials_of(cases, **options), alpha=ALPHA
    )


def route_of(cascades: Cascades) -> EscalatedRoute:
    assert cascades.route is not None
    return cascades.route


def split_of(task: Task, cases: Sequence[Case] = ()) -> Split:
    cases = cases or cases_with()
    measured = measure(with_bar(task, BAR), cases, trials_of(cases), alpha=ALPHA)
    assert measured is not None
    assert measured.fitted is not None
    return measured.fitted.split


def test_what_is_hard_for_the_cheap_model_is_learned_and_certified_elsewhere(task: Task) -> None:
    route = route_of(found(task))
    assert (route.cheap.alias, route.strong.alias, route.signal) == (
        "small",
        "large",
        "input_simplicity",
    )
    assert (len(route.fitted_on), route.cases) == (72, 168)
    assert route.score is not None
    assert max(route.score.weights, key=route.score.weights.__getitem__) == "digits"
    assert 0.1 < route.escalated < 0.35
    assert route.lower_bound is not None
    assert 0.85 < route.lower_bound < route.estimate
    # Known before the call, so that who goes to large does not pay for small.
    cost = 0.001 * (1 - route.escalated) + 0.02 * route.escalated
    assert route.cost_usd_per_request == pytest.approx(cost)
    assert route.latency_p95_s == 2.0


def test_scores_of_the_cases_to_certify_on_do_not_change_the_weights(task: Task) -> None:
    split, plain = split_of(task), route_of(found(task))
    turned = set(split.certify[:20])

    def other(model: str, number: int) -> bool:
        return passes(model, number) != (model == "small" and number in turned)

    cases = cases_with()
    measured = measure(with_bar(task, BAR), cases, trials_of(cases, other), alpha=ALPHA)
    assert measured is not None
    assert measured.fitted is not None
    assert measured.fitted.scores["small"] == plain.score
    assert measured.fitted.split == split


def test_scores_of_the_cases_to_fit_on_are_never_counted(task: Task) -> None:
    """Where large fails on all of them but a few, the cascade's own figures stay as they are."""
    split, plain = split_of(task), route_of(found(task))
    turned = set(split.fit[:8]) - {3, 4, 77}

    def other(model: str, number: int) -> bool:
        return passes(model, number) and not (model == "large" and number in turned)

    route = route_of(found(task, passed=other))
    assert (route.estimate, route.passed, route.below) == (
        plain.estimate,
        plain.passed,
        plain.below,
    )
    assert route.fitted_on == tuple(f"c-{at}" for at in split.fit)
    assert set(route.fitted_on).isdisjoint(f"c-{at}" for at in split.certify)


def test_scores_of_the_cases_to_fit_on_change_the_weights(task: Task) -> None:
    """So that the test of the other cases' scores can fail."""
    split, plain = split_of(task), route_of(found(task))
    turned = set(split.fit[:20])
    other = found(task, passed=lambda m, n: passes(m, n) != (m == "small" and n in turned))
    assert other.route is None or other.route.score != plain.score


def test_each_cheap_model_has_weights_of_its_own(task: Task) -> None:
    cases = cases_with()
    measured = measure(with_bar(task, BAR), cases, trials_of(cases), alpha=ALPHA)
    assert measured is not None
    assert measured.fitted is not None
    scores = measured.fitted.scores
    assert set(scores) == {"small", "medium", "large"}
    assert scores["small"].weights["digits"] > scores["medium"].weights["digits"] > 0.05


@pytest.mark.parametrize("seed", range(5))
def test_no_group_and_no_text_is_fitted_on_and_certified_on(task: Task, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"g-{at}" for at in rng.integers(60, size=CASES)]
    texts = [text(int(at)) for at in rng.integers(180, size=CASES)]
    cases = cases_with(group=lambda n: groups[n], text=lambda n: texts[n])
    split = split_of(task, cases)
    for told in (groups, texts):
        assert {told[at] for at in split.fit}.isdisjoint(told[at] for at in split.certify)


def test_groups_are_bet_on_where_the_signal_is_fitted_too(task: Task) -> None:
    paired = cases_with(group=lambda n: f"g-{n // 2}")
    route = route_of(found(task, Bar(pass_rate=0.6, cascades=True), cases=paired))
    assert (route.passed, route.lower_bound) == (None, None)
    assert len(route.fitted_on) + route.cases == CASES


def test_a_critical_case_that_was_fitted_on_rules_a_cascade_out(task: Task) -> None:
    """It is hard, and so goes to large, which fails."""
    bar, plain = Bar(pass_rate=0.85, cascades=True, critical="must_pass"), route_of(found(task))
    failed = next(n for n in split_of(task).fit if is_hard(n) and not is_kept(plain, n))

    def other(model: str, number: int) -> bool:
        return passes(model, number) and not (model == "large" and number == failed)

    assert found(task, bar, cases=cases_with(critical={failed})).route is not None
    ruled_out = found(task, bar, cases=cases_with(critical={failed}), passed=other)
    assert ruled_out.route is None or is_kept(ruled_out.route, failed)


def is_kept(route: EscalatedRoute, number: int) -> bool:
    """Whether a case stays with the cheap model, and is right there."""
    assert route.score is not None
    return route.score.of(text(number)) >= route.below and passes(route.cheap.alias, number)


def test_a_failed_call_has_no_signal_and_counts_as_a_score_of_nothing(task: Task) -> None:
    failed = [n for n in split_of(task).certify if not is_hard(n)][:3]
    plain, route = route_of(found(task)), route_of(found(task, failed=failed))
    assert (plain.failed_calls, route.failed_calls) == (0, 3)
    assert route.score == plain.score  # they are not fitted on
    assert route.escalated == pytest.approx(plain.escalated + 3 / route.cases)


def test_signals_that_are_not_fitted_keep_all_cases(task: Task) -> None:
    """Named first, `finished` is what all go by; it parts nothing, and no case is held out."""
    result = found(task, signals=("finished", FIT))
    assert {(s.signal, s.fitted_cases) for s in result.signals} == {("finished", None)}
    assert (result.route, result.thresholds) == (None, 0)


def test_weights_that_are_given_need_no_split_and_are_told_as_well(task: Task) -> None:
    given = {"input_simplicity": {"weights": {"digits": 1.0}, "intercept": 1.0}}
    cases = cases_with()
    trials = {
        model: [
            replace(t, signals={"input_simplicity": round(1 - features_of(text(n))["digits"], 6)})
            if isinstance(t, Trial)
            else t
            for n, t in enumerate(row)
        ]
        for model, row in trials_of(cases).items()
    }
    route = route_of(find_cascades(with_bar(task, BAR, (given,)), cases, trials, alpha=ALPHA))
    assert (route.cases, route.fitted_on) == (CASES, ())
    assert route.score is not None
    assert (dict(route.score.weights), route.score.intercept) == ({"digits": 1.0}, 1.0)


def test_a_slice_that_fitting_leaves_too_few_cases_of_is_told(task: Task) -> None:
    bar = Bar(pass_rate=0.85, cascades=True, slices={"part": 0.9})
    result = found(task, bar, cases=cases_with(part=45))
    assert result.route is None
    left = sum(at < 45 for at in split_of(task, cases_with(part=45)).certify)
    small = next(signal for signal in result.signals if signal.model == "small")
    assert small.shortage == (
        f"fitted on 72 cases, which leaves {left} cases of a slice: not even a faultless cascade "
        "is certified on fewer than 38"
    )
    assert small.worth == "informative"  # what it is worth is said all the same


def test_too_few_groups_are_told_as_such(task: Task) -> None:
    few = cases_with(group=lambda n: f"g-{n % 30}")
    small = next(signal for signal in found(task, cases=few).signals if signal.model == "small")
    assert small.shortage is not None
    assert "leaves 21 independent groups: " in small.shortage
