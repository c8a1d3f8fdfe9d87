from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calibrate.certificate import policy_entry
from calibrate.completion import Failure
from calibrate.dataset import Case
from calibrate.decide import Calibration, Cascades, EscalatedRoute, SignalFinding, Status
from calibrate.policy import Policy
from calibrate.report.changes import changes_between
from calibrate.report.chart import Chart
from calibrate.report.escalation import escalation_of
from calibrate.report.index import build_index
from calibrate.report.render import render_index, render_page
from calibrate.report.view import build_page
from calibrate.trial import Trial

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
    return replace(made, cascades=Cascades(1, route_of(made), SIGNALS, 9, 3))


def curve(chart: Chart) -> list[tuple[float, float]]:
    return [(point["x"], point["y"]) for point in chart.spec["layer"][0]["data"]["values"]]


def test_a_certified_cascade_is_told_with_its_figures(escalated: Calibration) -> None:
    found = escalation_of(escalated)
    assert found is not None
    assert found.words == (
        "small answers first; where its answer_logprob is below -0.5, large answers. This one "
        "threshold is certified: 9 thresholds of all pairs were looked at, 3 tested."
    )
    assert found.facts == (
        ("Quality", "100.0 %, 4 of 4 passed, lower bound 90.0 % at α = 0.01"),
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
    chosen = [chart.spec["layer"][-1]["data"]["values"] for chart in found.charts]
    assert chosen == [[{"x": 25, "y": 1.0}], [{"x": 25, "y": pytest.approx(0.1404)}]]
    assert cost.title.endswith("$0.14 at the certified threshold; large alone $0.52.")


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
    assert found.facts[0] == ("Quality", "100.0 % at α = 0.01")


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
    assert found.words.startswith("No cascade is certified: 9 thresholds")
    assert (found.facts, found.charts) == ((), ())
    rows = [(r.signal, r.known, r.auroc, r.interval, r.over_confidence) for r in found.signals]
    assert rows == [
        ("answer_logprob", "90 %", "0.80", "0.70 to 0.90", "–"),
        ("self_reported", "100 %", "0.50", "0.40 to 0.60", "+12 points"),
        ("none", "0 %", "–", "–", "–"),
    ]
    assert [row.worth for row in found.signals] == ["informative", "useless", "unknown"]


def test_a_page_has_the_section_where_cascades_were_asked_for(
    escalated: Calibration, certified: Any
) -> None:
    text = render_page(build_page(escalated, certified.project))
    assert '<h2 id="escalation">' in text
    assert text.count('<div class="chart"') >= 4
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
