from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from calibrations import tickets

from calibrate.candidates import Candidate
from calibrate.dataset import Case
from calibrate.decide import Status
from calibrate.gate import Outcome, Reason, judge
from calibrate.judged import gate_of, prefix_of
from calibrate.pricing import HourlyPrice
from calibrate.report.sensitivity import what_would_change

Make = Callable[..., Any]


def lines(sample: Any) -> tuple[str, ...]:
    return what_would_change(sample.calibration)


def outcome_at(sample: Any, model: str, least: float) -> Outcome:
    """Return what the gate itself says of a model's answers at another bar."""
    (verdict,) = [v for v in sample.calibration.verdicts if v.model == model]
    gate = gate_of(sample.calibration, verdict, least)
    trials = prefix_of(sample.calibration, model)
    return judge(gate, model, verdict.tier, trials).outcome


def test_the_bars_that_are_named_are_where_the_gate_changes_its_mind(certified: Any) -> None:
    assert lines(certified)[0] == (
        "With a bar of up to 85.5 % these answers would still certify medium."
    )
    assert outcome_at(certified, "medium", 0.855) is Outcome.CERTIFIED
    assert outcome_at(certified, "medium", 0.86) is not Outcome.CERTIFIED


def test_a_lower_bar_would_make_a_cheaper_model_the_route(calibrated: Make) -> None:
    made = calibrated({"small": 4, "medium": 0})
    assert lines(made)[0] == (
        "With a bar of 57.5 % or less these answers would certify small and make it the route, at "
        "$0.01 per 1,000 requests."
    )
    assert outcome_at(made, "small", 0.575) is Outcome.CERTIFIED
    assert outcome_at(made, "small", 0.58) is not Outcome.CERTIFIED


def test_the_price_at_which_the_route_saves_nothing(certified: Any) -> None:
    calibration = certified.calibration
    decision = calibration.decision
    cheap = replace(decision.verdict, cost_usd_per_request=0.00001)
    changed = replace(calibration, decision=replace(decision, verdict=cheap))
    ratio = float(calibration.task.field.baseline.estimated_usd) / 0.00001
    assert what_would_change(changed)[-1].endswith(f"{ratio:,.3g} times its cost today.")


def test_a_route_that_is_dearer_than_the_baseline_is_told(certified: Any) -> None:
    calibration = certified.calibration
    decision = calibration.decision
    dear = replace(decision.verdict, cost_usd_per_request=1.0)
    changed = replace(calibration, decision=replace(decision, verdict=dear))
    assert what_would_change(changed)[-1] == "medium is no cheaper than the baseline large."


def test_more_cases_would_settle_what_the_cases_ran_out_on(calibrated: Make) -> None:
    cases = [Case(f"c-{i}", {"ticket": "t"}, "billing") for i in range(12)]
    made = calibrated({"small": 0}, cases=cases)
    verdict = made.calibration.verdicts[0]
    assert verdict.cases_to_settle is not None
    used = verdict.cases_used
    assert lines(made)[0] == (
        f"About {verdict.cases_to_settle - used} more cases like these would certify small and "
        f"make it the route, at $0.01 per 1,000 requests, if it did on them as on the {used} used."
    )


def test_a_dearer_model_has_to_beat_those_tried_before(calibrated: Make) -> None:
    made = calibrated({"small": 8, "medium": 2, "large": 2})
    found = [line for line in lines(made) if line.startswith("With a bar of")]
    # at the lower bar of medium and large small would be certified, too
    assert len(found) == 1
    assert "certify small" in found[0]


def test_no_bar_helps_a_model_that_failed_a_critical_case(calibrated: Make) -> None:
    cases = [Case(f"c-{i}", {"ticket": "t"}, "billing", critical=True) for i in range(7)]
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    made = calibrated({"small": "other", "medium": "other"}, cases=cases, bar=bar)
    assert lines(made) == ("No other bar would certify small, medium: critical cases were failed.",)


@pytest.mark.parametrize("bar", [{"pass_rate": 0.8, "tolerance": 0.1}, {"mean_score": 0.8}])
def test_tolerances_and_mean_scores_are_judged_by_their_own_rules(
    bar: dict[str, float], calibrated: Make
) -> None:
    made = calibrated({"small": 2}, bar=bar)
    (line,) = [line for line in lines(made) if line.startswith("With a bar of")]
    least = float(line.split(" % ")[0].rpartition(" ")[2]) / 100
    assert outcome_at(made, "small", least) is Outcome.CERTIFIED
    assert outcome_at(made, "small", least + 0.005) is not Outcome.CERTIFIED


def test_a_share_of_the_baseline_stays_part_of_the_bar(calibrated: Make) -> None:
    bar = {"pass_rate": 0.5, "of_baseline": 0.5}
    made = calibrated({"small": 0, "large": 0}, bar=bar)
    assert "With a bar of up to" in lines(made)[0]


def test_an_hourly_baseline_that_was_never_timed_has_no_price_to_compare(calibrated: Make) -> None:
    made = calibrated({"small": 0})
    field = made.calibration.task.field

    def hourly(candidate: Candidate) -> Candidate:
        return replace(candidate, price=HourlyPrice(candidate.estimated_usd, 1))

    large = hourly(field.baseline)
    changed = replace(field, candidates=(*field.candidates[:-1], large), baseline=large)
    task = replace(made.calibration.task, field=changed)
    found = what_would_change(replace(made.calibration, task=task))
    assert not any("per 1,000 requests" in line for line in found)


def test_the_baseline_as_the_route_has_no_price_to_beat(calibrated: Make) -> None:
    made = calibrated({"large": 0}, tiers=["frontier"])
    assert not any(line.startswith("At $") for line in lines(made))


def test_a_bar_that_the_tolerance_takes_whole_is_met_by_anything(calibrated: Make) -> None:
    made = calibrated({"small": 1}, bar={"pass_rate": 0.8, "tolerance": 0.3})
    assert lines(made)[0].startswith("With a bar of 30.0 % or less these answers would certify")


@pytest.mark.parametrize(
    ("wrong", "bar"),
    [
        (range(0, 120, 9), {"pass_rate": 0.95}),
        (range(0, 120, 30), {"pass_rate": 0.8, "tolerance": 0.05}),
        (range(60, 75), {"pass_rate": 0.9}),
    ],
)
def test_no_higher_bar_would_do(wrong: range, bar: dict[str, float], calibrated: Make) -> None:
    """Every bar is tried, also those that are ruled out without a plan."""
    made = calibrated({"small": frozenset(wrong)}, cases=tickets(120), bar=bar)
    found = [line for line in lines(made) if line.startswith("With a bar of") and "small" in line]
    told = float(found[0].partition(" %")[0].rpartition(" ")[2])
    certified = [
        step
        for step in range(200)
        if step / 200 <= bar.get("tolerance", 0)
        or outcome_at(made, "small", step / 200) is Outcome.CERTIFIED
    ]
    assert told == max(certified) / 2


def test_where_a_slice_is_missed_no_bar_of_the_whole_is_near(calibrated: Make) -> None:
    german = frozenset(range(0, 200, 4))
    bar = {"pass_rate": 0.97, "slices": {"language": 0.6}}
    made = calibrated({"small": german, "large": 0}, cases=tickets(200), bar=bar)
    assert not any("certify small" in line for line in lines(made))


def test_a_verdict_that_only_the_family_took_back_says_nothing_of_its_bar(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=tickets(120))
    verdict, *others = made.calibration.verdicts
    taken = replace(verdict, outcome=Outcome.UNDECIDED, reason=Reason.FAMILY)
    decision = replace(made.calibration.decision, verdict=taken, status=Status.UNCERTIFIED)
    changed = replace(made.calibration, verdicts=(taken, *others), decision=decision)
    # these answers reach more than the bar, so that no lower one is named
    assert not any(line.startswith("With a bar of") for line in what_would_change(changed))
