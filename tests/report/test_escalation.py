from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calibrate.certificate import policy_entry
from calibrate.completion import Failure
from calibrate.dataset import Case
from calibrate.decide import (
    Calibration,
    CascadePair,
    CascadePoint,
    Cascades,
    EscalatedRoute,
    SignalFinding,
    Status,
)
from calibrate.policy import InputScore, Policy
from calibrate.report.changes import changes_between
from calibrate.report.chart import Chart
from calibrate.report.escalation import MOST_PAIRS, escalation_of
from calibrate.report.index import build_index
from calibrate.report.render import render_index, render_page
from calibrate.report.view import build_page
from calibrate.trial import Trial
from calibrate.words import cascade_notes

Make = Callable[..., Any]

SIGNALS = (
    SignalFinding("small", "answer_logprob", 0.9, "informative", 0.8, 0.7, 0.9, None),
    SignalFinding("medium", "self_reported", 1.0, "useless", 0.5, 0.4, 0.6, 0.12),
    SignalFinding("large", None, 0.0, "unknown"),
)


def route_of(calibration: Calibration, **changes: Any) -> EscalatedRoute:
    small, _, large = calibration.task.field.candidates
    given: dict[str, Any] = {
        "cheap": small,
        "strong": large,
        "signal": "answer_logprob",
        "below": -0.5,
        "escalated": 0.25,
        "break_even": 0.98,
        "alpha": 0.01,
        "cases": 4,
        "estimate": 1.0,
        "passed": 4,
        "lower_bound": 0.9,
        "cost_usd_per_request": 0.0001404,
        "latency_p95_s": 0.5,
        "failed_calls": 0,
    }
    return EscalatedRoute(**{**given, **changes})


@pytest.fixture
def escalated(calibrated: Make) -> Calibration:
    """`small` is wrong on its least certain case of four; `large` is right throughout."""
    cases = [Case(f"c-{i}", {"ticket": "t"}, "billing") for i in range(4)]
    answers = {"small": ["billing", "other", "billing", "billing"], "large": 0}
    made: Calibration = calibrated(answers, cases=cases).calibration
    sure = [-0.1, -0.9, -0.2, -0.3]
    made.trials["small"] = tuple(
        replace(trial, signals={"answer_logprob": signal})
        for trial, signal in zip(made.trials["small"], sure, strict=True)
    )
    pairs = (pair_of(certified=2, certified_from=0.25), pair_of(strong="medium"))
    return replace(made, cascades=Cascades(1, route_of(made), SIGNALS, 9, 3, pairs))


def pair_of(**changes: Any) -> CascadePair:
    given: dict[str, Any] = {
        "cheap": "small",
        "strong": "large",
        "signal": "answer_logprob",
        "cheap_estimate": 0.75,
        "strong_estimate": 1.0,
        "thresholds": 3,
        "tested": 0,
        "certified": 0,
        "certified_from": None,
        "best": CascadePoint(-0.5, 0.25, 4, 1.0, 4, 0.3, 0.0001404, 40),
        "stopped": None,
    }
    return CascadePair(**{**given, **changes})


def layers(chart: Chart, mark: str) -> list[Any]:
    """Return the data of the layers that a mark draws."""
    return [
        layer["data"]["values"] for layer in chart.spec["layer"] if layer["mark"]["type"] == mark
    ]


def curve(chart: Chart) -> list[tuple[float, float]]:
    (line,) = layers(chart, "line")
    return [(point["x"], point["y"]) for point in line]


def test_a_certified_cascade_is_told_with_its_figures(escalated: Calibration) -> None:
    found = escalation_of(escalated)
    assert found is not None
    assert found.words == (
        "small answers first; where its answer_logprob is below -0.5, large answers. This one "
        "threshold is certified: 9 thresholds of all pairs were looked at, 3 tested.",
        "A certified model costs less, so the cascade is not the route.",
    )
    assert found.facts == (
        ("Quality", "100.0 %, 4 of 4 passed, lower bound 90.0 % at α = 0.01, bar 80.0 %"),
        ("Escalated", "25.0 % of requests"),
        ("Cost", "$0.14 per 1,000 requests"),
        ("Break-even", "at 98.0 % escalated it would cost as much as large alone"),
        ("Latency, p95", "500 ms"),
        ("Failed calls", "0"),
    )


def test_the_curve_is_what_the_pair_gave_at_each_threshold(escalated: Calibration) -> None:
    found = escalation_of(escalated)
    assert found is not None
    quality, cost = found.charts
    assert curve(quality) == [(0, 0.75), (25, 1.0), (50, 1.0), (75, 1.0), (100, 1.0)]
    # small 100 x $0.1/M + 2 x $0.2/M, large fifty times that, of 1,000 requests
    assert [y for _, y in curve(cost)] == pytest.approx([0.0104, 0.1404, 0.2704, 0.4004, 0.5304])
    chosen = [(p["x"], p["y"]) for chart in found.charts for (p,) in layers(chart, "point")]
    assert chosen == [(25, 1.0), (25, pytest.approx(0.1404))]
    assert cost.title.endswith("$0.14 at the certified threshold; large alone $0.52.")


def test_the_certified_region_the_bound_and_the_bar_are_drawn(escalated: Calibration) -> None:
    found = escalation_of(escalated)
    assert found is not None
    quality, cost = found.charts
    assert layers(quality, "rect") == layers(cost, "rect") == [[{"x": 25.0, "end": 100}]]
    bar, bound = layers(quality, "rule")
    assert (bar[0]["y"], bound[0]["low"], bound[0]["y"]) == (0.8, 0.9, 1.0)
    assert len(layers(cost, "rule")) == 1  # a cost has no bound
    assert quality.title.endswith(
        "certified at 25.0 % escalated, 100.0 %, lower bound 90.0 %; bar 80.0 %. Thresholds are "
        "certified from 25.0 % escalated upward."
    )
    assert found.caption.endswith("outside the shade nothing is promised.")


def test_without_a_certified_cascade_the_best_in_hindsight_is_drawn(
    escalated: Calibration,
) -> None:
    found = escalation_of(replace(escalated, cascades=Cascades(1, None, (), 9, 4, (pair_of(),))))
    assert found is not None
    quality, cost = found.charts
    assert (layers(quality, "rect"), found.facts) == ([], ())
    (mark,) = [layer["mark"] for layer in quality.spec["layer"] if layer["mark"]["type"] == "point"]
    assert mark["shape"] == "diamond"
    assert "best at 25.0 % escalated, 100.0 %, lower bound 30.0 %; bar 80.0 %." in quality.title
    assert "$0.14 at the best threshold" in cost.title
    assert "No threshold is the route; the diamond is the best in hindsight" in found.caption


def test_every_pair_is_told_with_what_it_lacked(escalated: Calibration) -> None:
    graded = replace(
        pair_of().best, passed=None, lower_bound=None, cases_to_settle=None, escalated=0.5
    )
    pairs = (pair_of(tested=3, certified=2), pair_of(strong="medium", best=graded))
    found = escalation_of(replace(escalated, cascades=Cascades(1, None, (), 9, 4, pairs)))
    assert found is not None
    first, second = found.pairs
    assert (first.certified, first.tested) == ("2 of 3", "3 tested")
    assert first.best == "answer_logprob below -0.5"
    assert (first.escalated, first.passed, first.estimate) == ("25.0 %", "4/4", "100.0 %")
    assert (first.lower, first.cost, first.needed) == ("30.0 %", "$0.14", "40")
    assert (second.strong, second.passed, second.lower, second.needed) == ("medium", "", "–", "–")
    assert found.pairs_note.startswith("Each pair of models at the threshold that did best")


def fitted_route(escalated: Calibration) -> EscalatedRoute:
    """`input_simplicity` is 1 for every request, so none is escalated; fitted on two cases."""
    return route_of(
        escalated,
        signal="input_simplicity",
        below=0.5,
        score=InputScore(1.0, {}),
        fitted_on=("c-0", "c-1"),
        cases=2,
    )


def test_a_fitted_signal_is_drawn_and_told_of_the_other_cases_alone(
    escalated: Calibration,
) -> None:
    signals = (
        SignalFinding("small", "input_simplicity", 1.0, "useless", fitted_cases=2),
        SignalFinding("medium", "input_simplicity", 0.0, "unknown", shortage="too few cases"),
    )
    hard = replace(fitted_route(escalated), score=InputScore(0.2, {"length": 0.0}))
    for route in (fitted_route(escalated), hard):
        found = escalation_of(replace(escalated, cascades=Cascades(1, route, signals, 9, 4)))
        assert found is not None
        assert found.words[0].startswith("small is asked, but where the request's")
        assert found.words[1] == (
            "The weights of input_simplicity were fitted on 2 cases; every figure here is of the "
            "2 others."
        )
        assert found.charts == ()  # one value parts no cases
        assert [row.signal for row in found.signals] == [
            "input_simplicity, fitted on 2 other cases",
            "input_simplicity, too few cases",
        ]


def test_of_a_fitted_signal_nothing_is_drawn_in_hindsight(escalated: Calibration) -> None:
    signals = (SignalFinding("small", "input_simplicity", 1.0, "useless", fitted_cases=2),)
    found = escalation_of(
        replace(escalated, cascades=Cascades(1, None, signals, 9, 4, (pair_of(),)))
    )
    assert found is not None
    assert (found.charts, found.caption) == ((), "")
    assert len(found.pairs) == 1


def test_of_many_pairs_the_first_are_told(escalated: Calibration) -> None:
    pairs = (pair_of(),) * (MOST_PAIRS + 1)
    found = escalation_of(replace(escalated, cascades=Cascades(1, None, (), 9, 4, pairs)))
    assert found is not None
    assert len(found.pairs) == MOST_PAIRS
    assert found.pairs_note.startswith(f"The first {MOST_PAIRS} of {MOST_PAIRS + 1} pairs, at the")


def test_a_call_that_failed_has_no_signal_and_is_escalated(
    calibrated: Make, outage: Failure
) -> None:
    cases = [Case(f"c-{i}", {"ticket": "t"}, "billing") for i in range(3)]
    made = calibrated({"small": ["billing", outage, "billing"], "large": 0}, cases=cases)
    trials = [
        replace(t, signals={"answer_logprob": -0.1}) if isinstance(t, Trial) else t
        for t in made.calibration.trials["small"]
    ]
    made.calibration.trials["small"] = tuple(trials)
    found = escalation_of(
        replace(made.calibration, cascades=Cascades(1, route_of(made.calibration), (), 1, 1))
    )
    assert found is not None
    assert curve(found.charts[0]) == [
        (0, pytest.approx(2 / 3)),
        (pytest.approx(100 / 3), 1.0),
        (100, 1.0),
    ]


def test_graded_scores_have_no_count_and_no_exact_bound(escalated: Calibration) -> None:
    route = route_of(escalated, passed=None, lower_bound=None)
    found = escalation_of(replace(escalated, cascades=Cascades(1, route, (), 1, 1)))
    assert found is not None
    assert found.facts[0] == ("Quality", "100.0 % at α = 0.01, bar 80.0 %")
    assert [layers(chart, "rect") for chart in found.charts] == [[], []]
    assert len(layers(found.charts[0], "rule")) == 1


@pytest.mark.parametrize("missing", ["small", "signal"])
def test_without_common_answers_or_a_signal_there_is_no_curve(
    missing: str, escalated: Calibration
) -> None:
    found: tuple[Any, ...] = ()
    if missing == "signal":
        found = tuple(replace(t, signals={}) for t in escalated.trials["small"])  # type: ignore[type-var]
    trials = {**escalated.trials, "small": found}
    page = escalation_of(replace(escalated, trials=trials))
    assert page is not None
    assert page.charts == ()
    assert page.facts != ()


def test_signals_are_told_also_where_no_cascade_is_certified(escalated: Calibration) -> None:
    found = escalation_of(replace(escalated, cascades=Cascades(1, None, SIGNALS, 9, 9)))
    assert found is not None
    assert found.words == ("No cascade of 9 thresholds is certified.",)
    assert (found.caption, found.pairs) == ("", ())
    assert (found.facts, found.charts) == ((), ())
    rows = [(r.signal, r.known, r.auroc, r.interval, r.over_confidence) for r in found.signals]
    assert rows == [
        ("answer_logprob", "90 %", "0.80", "0.70 to 0.90", "–"),
        ("self_reported", "100 %", "0.50", "0.40 to 0.60", "+12 points"),
        ("none", "0 %", "–", "–", "–"),
    ]
    assert [row.worth for row in found.signals] == ["informative", "useless", "unknown"]


def test_where_the_cheapest_model_is_certified_none_are_looked_for(calibrated: Make) -> None:
    made = calibrated({"small": 0}, bar={"pass_rate": 0.8, "cascades": True}).calibration
    found = escalation_of(made)
    assert found is not None
    assert found.words == (
        "No cascade was looked for: small, the cheapest model, is certified by itself, so none "
        "could cost less.",
    )
    assert cascade_notes(made) == [found.words[0][0].lower() + found.words[0][1:-1]]


def test_while_nothing_is_decided_nothing_is_said_of_cascades(calibrated: Make) -> None:
    made = calibrated({"small": 1}, bar={"pass_rate": 0.8, "cascades": True}).calibration
    assert escalation_of(made) is None
    assert cascade_notes(made) == []


def test_a_page_has_the_section_where_cascades_were_asked_for(
    escalated: Calibration, certified: Any
) -> None:
    text = render_page(build_page(escalated, certified.project))
    assert '<h2 id="escalation">' in text
    assert text.count('<div class="chart"') >= 4
    assert 'aria-label="Pairs"' in text
    assert escalation_of(certified.calibration) is None
    assert '<h2 id="escalation">' not in render_page(
        build_page(certified.calibration, certified.project)
    )


def test_a_route_that_escalates_is_told_by_the_figures_of_the_whole(
    escalated: Calibration, certified: Any
) -> None:
    assert escalated.cascades is not None
    route = escalated.cascades.route
    decision = replace(escalated.decision, escalation=route, status=Status.CERTIFIED, fallbacks=())
    small = escalated.task.field.candidates[0]
    made = replace(
        escalated, decision=replace(decision, chosen=small, verdict=escalated.verdicts[0])
    )
    page = build_page(made, certified.project)
    assert page.figures[0].value == "100.0 %"
    assert page.figures[0].note.replace("\u00a0", " ") == (
        "lower bound 90.0 %, bar 80.0 %; of the cascade, on 4 cases"
    )
    assert page.figures[1].value == "$0.14"
    assert [row.role for row in page.candidates] == [
        "route, answers first",
        "",
        "escalated to, baseline",
    ]
    assert "the cascade of small and large would save nothing" in page.changes[-1]
    entry = policy_entry(made, certified.project)
    policy = Policy(1, "", {}, {"tickets": entry})
    (row,) = build_index(policy, certified.project, ()).rows
    assert row.escalation == "where answer_logprob is below -0.5: large"
    assert "where answer_logprob is below -0.5: large" in render_index(
        build_index(policy, certified.project, ())
    )
    before = Policy(1, "", {}, {"tickets": replace(entry, escalation=None)})
    (change,) = changes_between(before, policy)
    assert change.lines == ("escalation: none before, to large by answer_logprob now",)
