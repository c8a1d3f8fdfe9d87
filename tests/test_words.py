"""Sentences that the terminal and the report share."""

from __future__ import annotations

from dataclasses import replace

from calibrate.config import Bar
from calibrate.decide import CascadePair, CascadePoint, Cascades, SignalFinding
from calibrate.words import why_no_cascade

BAR = Bar(pass_rate=0.8, cascades=True)
POINT = CascadePoint(
    below=0.26,
    escalated=0.25,
    cases=200,
    estimate=0.835,
    passed=167,
    lower_bound=0.772,
    cost_usd_per_request=0.001,
    cases_to_settle=632,
)
PAIR = CascadePair(
    cheap="small",
    strong="large",
    signal="label_margin",
    cheap_estimate=0.6,
    strong_estimate=0.82,
    thresholds=30,
    tested=0,
    certified=0,
    certified_from=None,
    best=POINT,
    stopped=None,
)
SIGNALS = (SignalFinding("small", "label_margin", 1.0, "useless"),)
HINDSIGHT = (
    "the best in hindsight, small that escalates 25.0 % to large where label_margin is below "
    "0.26, passes 167 of 200, 83.5 %, lower bound 77.2 %, bar 80.0 %"
)


def why(*pairs: CascadePair) -> list[str]:
    return why_no_cascade(Cascades(1, None, SIGNALS, 60, 4, pairs), BAR)


def test_where_no_dearer_model_is_certified_no_threshold_was_tested() -> None:
    other = replace(PAIR, strong="medium", strong_estimate=0.7)
    assert why(other, PAIR)[0] == (
        "no cascade of 60 thresholds is certified: the thresholds of a pair are tested once its "
        "dearer model alone is certified, and none is; the best of these, large, has 82.0 %, bar "
        "80.0 %"
    )


def test_the_threshold_that_stopped_the_test_is_named_with_its_bound() -> None:
    stopped = replace(POINT, escalated=0.95, passed=170, estimate=0.85, lower_bound=0.79)
    assert why(replace(PAIR, tested=1, stopped=stopped))[0].endswith(
        "the first to be tested, small that escalates 95.0 % to large, passes 170 of 200, 85.0 %, "
        "lower bound 79.0 %, bar 80.0 %"
    )


def test_certified_thresholds_that_a_veto_rules_out_are_named() -> None:
    pair = replace(PAIR, tested=3, certified=2, certified_from=0.9, stopped=POINT)
    assert why(pair)[0].endswith(
        "where small escalates 90.0 % or more to large, quality is enough, but a critical case "
        "or the latency target is missed"
    )


def test_how_many_more_cases_the_best_would_need_is_told() -> None:
    assert why(PAIR)[1] == (
        f"{HINDSIGHT}: 432 more cases at this rate would certify it, if large were certified as "
        "well"
    )


def test_below_the_bar_more_cases_do_not_help() -> None:
    low = replace(POINT, passed=150, estimate=0.75, lower_bound=0.68, cases_to_settle=None)
    assert why(replace(PAIR, best=low))[1].endswith(
        "it misses the bar on these cases, so more like them would not certify it"
    )


def test_a_best_that_was_not_reached_is_no_promise() -> None:
    enough = replace(POINT, cases_to_settle=150)
    assert why(replace(PAIR, best=enough))[1] == (
        f"{HINDSIGHT}: enough for one threshold named beforehand, but the test ended before it"
    )


def test_where_the_bar_has_other_parts_nothing_is_promised_of_more_cases() -> None:
    assert why(replace(PAIR, best=replace(POINT, cases_to_settle=None)))[1] == HINDSIGHT


def test_graded_scores_are_told_by_their_mean() -> None:
    graded = replace(POINT, passed=None, lower_bound=None, cases_to_settle=None)
    assert "has a mean of 83.5 % over 200 cases, bar 80.0 %" in why(replace(PAIR, best=graded))[1]


def test_without_pairs_the_count_is_all_there_is() -> None:
    assert why() == ["no cascade of 60 thresholds is certified"]


def test_a_signal_that_parts_nothing_and_models_that_are_down_are_told_apart() -> None:
    assert why_no_cascade(Cascades(1, None, SIGNALS, 0, 1), BAR) == [
        "no cascade: it takes a signal that parts the cases, and no model has one"
    ]
    assert why_no_cascade(Cascades(1, None, (), 0, 0), BAR) == [
        "no cascade: it takes the baseline and another model, and calls to one of them failed too "
        "often"
    ]
