"""A route while a model of it is down, on a page and in the terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from calibrations import sample, tickets

from calibrate.certificate import fallback_evidence
from calibrate.completion import Failure
from calibrate.decide import Calibration
from calibrate.report.badges import Badge
from calibrate.report.fallbacks import FallbackRow, fallback_notes, fallback_rows
from calibrate.report.render import render_page
from calibrate.report.view import build_page

TABLE = '<h2 id="fallbacks">When a model is down</h2>'


def calibration(answers: dict[str, Any], **changes: Any) -> Calibration:
    return sample(answers, cases=tickets(120), **changes).calibration


def rows(found: Calibration) -> tuple[FallbackRow, ...]:
    return fallback_rows(fallback_evidence(found), found.task)


def test_a_row_says_who_answers_how_well() -> None:
    (medium, large) = rows(calibration({"small": 0, "medium": 30, "large": 4}))
    assert medium.badge == Badge("open", "not certified")
    assert (medium.down, medium.answers, medium.why) == (("small",), "medium", "")
    assert large == FallbackRow(
        down=("small", "medium"),
        answers="large",
        badge=Badge("bad", "misses"),
        why="the bar of 80.0 %",
        cases="120",
        estimate="75.0 %",
        lower=large.lower,
        cost="$0.52",
        cost_basis="measured",
        latency="250 ms",
    )
    assert 60 < float(large.lower.removesuffix(" %")) < 75


def test_a_row_that_is_not_measured_says_how_to_measure_it() -> None:
    row = rows(calibration({"small": 0}, stops=True))[0]
    assert row.badge == Badge("open", "not measured")
    assert row.why == "`calibrate run tickets --cases all` asks them"
    assert (row.cases, row.estimate, row.lower, row.latency) == ("–", "–", "–", "–")
    assert row.cost_basis == "estimated"


def test_calls_that_failed_are_told(outage: Failure) -> None:
    answers = [outage if i % 2 else str(c.expected) for i, c in enumerate(tickets(120))]
    row = rows(calibration({"small": 0, "medium": answers}))[0]
    assert (row.badge.text, row.why) == ("not certified", "60 of its calls failed")


def test_the_terminal_has_a_sentence_for_each_that_misses_the_bar() -> None:
    found = calibration({"small": 0, "medium": 4, "large": 4})
    assert fallback_notes(found) == [
        "if small is down: medium, 75.0 % of 120 cases, misses the bar of 80.0 %",
        "if small and medium are down: large, 75.0 % of 120 cases, misses the bar of 80.0 %",
    ]


def test_the_terminal_has_one_sentence_for_all_that_are_not_measured() -> None:
    assert fallback_notes(calibration({"small": 0}, stops=True)) == [
        "fallbacks not measured on these cases: medium, large; "
        "`calibrate run tickets --cases all` asks them"
    ]


def test_fallbacks_that_miss_nothing_need_no_sentence() -> None:
    assert fallback_notes(calibration({"small": 0, "medium": 30, "large": 0})) == []


def test_every_part_of_the_bar_has_its_words() -> None:
    cases = tuple(replace(c, critical=i == 8) for i, c in enumerate(tickets(120)))
    bar = {
        "pass_rate": 0.8,
        "critical": "must_pass",
        "of_baseline": 0.9,
        "slices": {"language": 0.6},
        "latency_p95_s": 1.0,
    }
    made = sample({"small": 0, "medium": 4, "large": 0}, cases=cases, bar=bar).calibration
    late = tuple(replace(trial, latency_s=3.0) for trial in made.trials["medium"])
    (note,) = fallback_notes(replace(made, trials={**made.trials, "medium": late}))
    assert note == (
        "if small is down: medium, 75.0 % of 120 cases, misses the bar of 80.0 %, the bar of a "
        "slice, 90.0 % of the baseline's quality, critical cases, the p95 of 1.0 s"
    )


def test_a_page_has_the_table_where_the_route_has_fallbacks(certified: Any) -> None:
    text = render_page(build_page(certified.calibration, certified.project))
    assert text.count(TABLE) == 1
    assert "Only what is called certified is promised" in text
    alone = sample({"small": 2, "medium": 2, "large": 0}, cases=tickets(120))
    assert TABLE not in render_page(build_page(alone.calibration, alone.project))
