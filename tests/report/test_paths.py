from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from calibrate.completion import Failure
from calibrate.dataset import Case
from calibrate.gate import Outcome, Reason, SliceVerdict, pair_scores
from calibrate.judged import gate_of, prefix_of
from calibrate.report.chart import Chart
from calibrate.report.paths import paths_of
from calibrate.stats.plan import Plan

Make = Callable[..., Any]


def points(chart: Chart, colour: str, kind: str = "line") -> list[tuple[float, float]]:
    """Return the points of the line of this colour."""
    (found,) = [
        layer["data"]["values"]
        for layer in chart.spec["layer"]
        if (layer["mark"]["type"], layer["mark"].get("color")) == (kind, colour)
    ]
    return [(point["x"], point["y"]) for point in found]


def scale(chart: Chart, axis: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = chart.spec["layer"][0]["encoding"][axis]["scale"]
    return found


def cases(n: int, **more: Any) -> list[Case]:
    return [Case(f"c-{i}", {"ticket": "t"}, "billing", **more) for i in range(n)]


def test_each_verdict_has_its_way_to_where_it_fell(certified: Any) -> None:
    small, medium = paths_of(certified.calibration)
    assert (small.model, small.chosen, small.badge.text) == ("small", False, "failed")
    assert (medium.model, medium.chosen, medium.badge.text) == ("medium", True, "certified")
    # small passes only its second case of six, medium fails its first and its 31st of 43
    assert points(small.charts[0], "var(--ink)")[-1] == (6, 5)
    assert points(medium.charts[0], "var(--ink)") == [(0, 0), (1, 1), (31, 2), (43, 2)]
    assert points(medium.charts[0], "var(--ink)", "point") == [(43, 2)]
    assert medium.spent == "attempt 1, α = 0.015"


def test_the_lines_are_those_that_the_verdict_was_judged_by(certified: Any) -> None:
    verdict = certified.calibration.verdicts[1]
    gate = gate_of(certified.calibration, verdict)
    assert gate.alpha == verdict.alpha
    plan = gate.lines
    assert isinstance(plan, Plan)
    chart = paths_of(certified.calibration)[1].charts[0]
    for colour, line in (("var(--good)", plan.accept), ("var(--bad)", plan.reject)):
        assert all(line[int(t)] == failures for t, failures in points(chart, colour))
    assert plan.accept[43] == 2
    assert plan.accept[42] == 1
    assert (43, 2) in points(chart, "var(--good)")
    assert chart.title.startswith(
        "2 failures in 43 of at most 60 cases. After so many, certified: 2 or fewer; failed: "
    )


def test_a_line_is_only_drawn_where_a_sample_could_cross_it(certified: Any) -> None:
    chart = paths_of(certified.calibration)[0].charts[0]
    accepted, rejected = points(chart, "var(--good)"), points(chart, "var(--bad)")
    assert all(failures >= 0 for _, failures in accepted)
    assert all(failures <= t for t, failures in rejected)
    assert chart.title.endswith("certified: not yet; failed: 5 or more.")


def test_what_cannot_be_failed_yet_is_said(calibrated: Make) -> None:
    made = calibrated({"small": 0}, asked=2).calibration
    opened = replace(made.verdicts[0], cases_used=2, estimate=1.0)
    (path,) = paths_of(replace(made, verdicts=(opened, *made.verdicts[1:])))
    assert path.charts[0].title.endswith("certified: not yet; failed: not yet.")


def test_another_attempt_has_its_own_lines(calibrated: Make) -> None:
    made = calibrated({"small": 0}).calibration
    first = made.verdicts[0]
    second = replace(first, attempt=2, alpha=0.05 / 3 * 0.05)
    gate = gate_of(made, second)
    assert gate.alpha == pytest.approx(second.alpha)
    assert gate.attempt == 2
    # In a family of workflows the level is not the bar's own.
    assert gate_of(made, replace(first, alpha=0.01)).alpha == pytest.approx(0.01)


def test_a_verdict_at_the_critical_cases_has_no_line_to_cross(calibrated: Make) -> None:
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    made = calibrated({"small": "other"}, cases=cases(7, critical=True), bar=bar)
    (path,) = paths_of(made.calibration)
    assert path.charts == ()


def test_the_slice_that_decided_has_a_chart_of_its_own(calibrated: Make) -> None:
    bar = {"pass_rate": 0.7, "slices": {"language": 0.9}}
    made = calibrated({"small": 4}, bar=bar)  # every fourth case is German
    path = paths_of(made.calibration)[0]
    assert len(path.charts) == 2
    # three German cases of the nine were seen, all failed
    assert points(path.charts[1], "var(--ink)")[-1] == (3, 3)
    assert "3 failures in 3 of at most 15 cases of language = de." in path.charts[1].title


def test_graded_scores_are_wealth_against_what_it_has_to_reach(calibrated: Make) -> None:
    bar = {"mean_score": 0.7}
    made = calibrated({"small": 0}, bar=bar)
    verdict = made.calibration.verdicts[0]
    assert (verdict.test, verdict.outcome) == ("betting", Outcome.CERTIFIED)
    (chart,) = paths_of(made.calibration)[0].charts
    for_it = points(chart, "var(--good)")
    goal = 1 / verdict.alpha
    # The first observation that takes the wealth to the goal is the last one used.
    assert for_it[0] == (0, 1)
    assert for_it[-1][0] == verdict.cases_used
    assert for_it[-1][1] >= goal > for_it[-2][1]
    assert f"each of {goal:,.3g} needed; of those on futility" in chart.title
    assert scale(chart, "y")["type"] == "log"


def test_a_share_of_the_baseline_is_bet_on_in_pairs(calibrated: Make) -> None:
    made = calibrated({"small": 2, "large": 0}, bar={"pass_rate": 0.3, "of_baseline": 0.9})
    verdict = made.calibration.verdicts[0]
    assert verdict.reason is Reason.BASELINE
    path = paths_of(made.calibration)[0]
    assert len(path.charts) == 2
    used = f"In {verdict.cases_used} observations compared with the baseline"
    assert path.charts[1].title.startswith(used)
    # Half of what the baseline passes is far below 90 % of it.
    assert (
        points(path.charts[1], "var(--bad)")[-1][1] > points(path.charts[1], "var(--good)")[-1][1]
    )


def test_a_call_to_the_baseline_that_failed_counts_as_a_pass(
    calibrated: Make, outage: Failure
) -> None:
    made = calibrated({"small": 0, "large": [outage, *["other"] * 9]}, cases=cases(10))
    gate = gate_of(made.calibration, made.calibration.verdicts[0])
    pairs = pair_scores(
        replace(gate, bar=gate.bar.model_copy(update={"of_baseline": 0.5})),
        made.calibration.trials["small"],
        made.calibration.trials["large"],
    )
    # (1 - 0.5 x 1 + 0.5) / 1.5, and then (1 - 0 + 0.5) / 1.5
    assert pairs == [pytest.approx(2 / 3), *[1.0] * 9]


def test_a_long_path_is_thinned_and_keeps_its_ends(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=cases(1_000), bar={"mean_score": 0.995})
    verdict = made.calibration.verdicts[0]
    (chart,) = paths_of(made.calibration)[0].charts
    line = points(chart, "var(--good)")
    assert verdict.cases_used > 400
    assert len(line) <= 301
    assert (line[0][0], line[-1][0]) == (0, verdict.cases_used)


def test_of_very_many_models_the_first_and_the_route_are_drawn(
    calibrated: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrate.report.paths.MOST_DRAWN", 2)
    made = calibrated({"small": 1, "medium": 1, "large": 0})
    paths = paths_of(made.calibration)
    assert [(p.model, len(p.charts)) for p in paths] == [("small", 1), ("medium", 0), ("large", 1)]


def test_of_answers_with_a_gap_the_prefix_counts(calibrated: Make) -> None:
    made = calibrated({"small": 0}).calibration
    trials = made.trials["small"]
    made.trials["small"] = (*trials[:5], *trials[6:])
    assert len(prefix_of(made, "small")) == 5
    assert prefix_of(made, "large") == ()


def test_a_case_that_lacks_a_repeat_ends_the_prefix_before_it(calibrated: Make) -> None:
    made = calibrated({"small": 0}).calibration
    workflow = made.task.workflow.model_copy(update={"repeats": 2})
    twice = [trial for trial in made.trials["small"] for _ in range(2)]
    trials = {"small": (*twice[:5], *twice[6:]), "medium": tuple(twice), "large": tuple(twice[:3])}
    repeated = replace(made, task=replace(made.task, workflow=workflow), trials=trials)
    lengths = {model: len(prefix_of(repeated, model)) for model in trials}
    assert lengths == {"small": 4, "medium": len(twice), "large": 2}


def test_a_slice_of_which_no_case_was_seen_has_no_chart(calibrated: Make) -> None:
    seen = cases(30, tags={"language": "en"})
    last = [Case("last", {"ticket": "t"}, "billing", tags={"language": "fr"})]
    bar = {"pass_rate": 0.5, "slices": {"language": 0.5}}
    made = calibrated({"small": 0}, cases=[*seen, *last], bar=bar, asked=30).calibration
    missing = SliceVerdict("language", "fr", 0.5, 0, 0, Outcome.UNDECIDED)
    verdict = replace(
        made.verdicts[0],
        reason=Reason.SLICE,
        outcome=Outcome.UNDECIDED,
        cases_used=30,
        estimate=1.0,
        slices=(missing,),
    )
    (path, *_) = paths_of(replace(made, verdicts=(verdict, *made.verdicts[1:])))
    assert len(path.charts) == 1


def test_labels_at_the_ends_of_lines_do_not_lie_on_each_other(calibrated: Make) -> None:
    (chart,) = paths_of(calibrated({"small": 0}, bar={"mean_score": 0.7}).calibration)[0].charts
    low, high = scale(chart, "y")["domain"]
    heights = []
    for layer in chart.spec["layer"]:
        if layer["mark"].get("align") == "right":
            end = layer["data"]["values"][0]["y"]
            share = math.log(end / low) / math.log(high / low)
            heights.append(190 * share - layer["mark"]["dy"])
    heights.sort()
    assert len(heights) == 3
    assert all(b - a >= 12.9 for a, b in pairwise(heights))


def test_groups_of_cases_are_bet_on_as_groups(calibrated: Make) -> None:
    grouped = [replace(c, group=f"g-{i // 3}") for i, c in enumerate(cases(60))]
    made = calibrated({"small": 0}, cases=grouped, bar={"pass_rate": 0.5})
    (chart,) = paths_of(made.calibration)[0].charts
    titles = {
        layer["encoding"]["x"]["axis"]["title"]
        for layer in chart.spec["layer"]
        if "axis" in layer["encoding"].get("x", {})
    }
    assert titles == {"Groups of cases, in the seeded order"}
