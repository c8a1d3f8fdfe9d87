"""The gate: what a set of trials says of a candidate. Bounds are from scipy's own tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from calibrate.client import Source
from calibrate.completion import Failure, FailureReason, Usage
from calibrate.config import Bar
from calibrate.criteria import plan_gate
from calibrate.dataset import Case
from calibrate.gate import Outcome, Reason, Verdict, judge, not_asked
from calibrate.graders.base import Grade
from calibrate.stats.plan import Kind, settle_many
from calibrate.trial import AnyTrial, FailedTrial, Trial


def trial(
    index: int,
    passed: bool,
    *,
    critical: bool = False,
    latency_s: float = 0.5,
    tags: dict[str, str] | None = None,
) -> Trial:
    return Trial(
        case=Case(f"c-{index}", "in", "out", tags or {}, critical),
        model="small",
        repeat=0,
        asked="in",
        answer="out",
        finish="stop",
        grade=Grade(float(passed), "because"),
        signals={},
        usage=Usage(10, 1),
        cost_usd=Decimal("0.001"),
        latency_s=latency_s,
        served_model="small-1",
        source=Source.ASKED,
    )


def failed_call(index: int, *, critical: bool = False) -> FailedTrial:
    case = Case(f"c-{index}", "in", "out", {}, critical)
    failure = Failure(FailureReason.SERVER_ERROR, "HTTP 500")
    return FailedTrial(case, "small", 0, "in", failure, Decimal(0), 0.5, Source.ASKED)


def trials(passed: int, failed: int, **options: object) -> list[AnyTrial]:
    outcomes = [True] * passed + [False] * failed
    return [trial(index, outcome, **options) for index, outcome in enumerate(outcomes)]  # type: ignore[arg-type]


def judged(
    found: Sequence[AnyTrial],
    bar: Bar,
    candidates: int = 1,
    *,
    cases: int | None = None,
    critical: Sequence[AnyTrial] = (),
) -> Verdict:
    """Judge a prefix of a set of `cases`; the cases that are not asked yet have no tags."""
    later = [Case(f"later-{index}", "in", "out") for index in range((cases or 0) - len(found))]
    plan = plan_gate(bar, candidates, [*(t.case for t in found), *later])
    return judge(plan, "small", "cheap", found, critical)


def of(verdict: Verdict) -> tuple[Outcome, Reason, int]:
    return verdict.outcome, verdict.reason, verdict.cases_used


BAR = Bar(pass_rate=0.9)


def test_a_faultless_model_is_certified_where_chance_is_spent_and_no_later() -> None:
    # Of 100 cases; the first attempt has 0.045, and spends 0.045 (t/100)^0.7 up to t, as this is
    # too few for its power at 0.95: 0.9^36 = 0.0225 is more than 0.0220, 0.9^37 = 0.0203 is not.
    assert of(judged(trials(36, 0), BAR, cases=100)) == (Outcome.UNDECIDED, Reason.OPEN, 36)
    assert of(judged(trials(37, 0), BAR, cases=100)) == (Outcome.CERTIFIED, Reason.QUALITY, 37)


def test_what_arrives_after_the_crossing_changes_nothing() -> None:
    early = judged(trials(37, 0), BAR, cases=100)
    assert judged(trials(37, 63), BAR) == early
    assert judged(trials(100, 0), BAR) == early


def test_a_model_far_below_the_bar_is_shown_to_be_below_it() -> None:
    # 0.1^2 = 0.01 is over what may be spent by then, 0.045 (2/100)^0.7 = 0.0029; 0.1^3 is not
    assert of(judged(trials(0, 2), BAR, cases=100)) == (Outcome.UNDECIDED, Reason.OPEN, 2)
    assert of(judged(trials(0, 3), BAR, cases=100)) == (Outcome.FAILED, Reason.QUALITY, 3)


def test_a_share_of_alpha_asks_for_more_passes() -> None:
    assert judged(trials(45, 0), BAR, 3, cases=100).reason is Reason.OPEN
    assert of(judged(trials(46, 0), BAR, 3, cases=100)) == (
        Outcome.CERTIFIED,
        Reason.QUALITY,
        46,
    )


def test_a_model_that_would_hardly_be_certified_is_not_asked_on() -> None:
    found = [*trials(22, 0), *(trial(22 + i, False) for i in range(3)), trial(25, False)]
    verdict = judged(found, BAR, cases=100)
    assert of(verdict) == (Outcome.UNDECIDED, Reason.FUTILITY, 26)
    assert verdict.cases_to_settle is None  # 22 of 26 is below the bar


def test_the_observed_rate_alone_certifies_nothing() -> None:
    # The lines allow 0, 1, 2, 3 failures by 36, 60, 80, 89, and no more than 3 at 100.
    verdict = judged([trial(i, i not in {20, 50, 70, 88}) for i in range(100)], BAR)
    assert of(verdict) == (Outcome.UNDECIDED, Reason.FUTILITY, 89)
    assert verdict.estimate == 85 / 89


def test_a_perfect_score_on_too_few_cases_is_undecided() -> None:
    # 0.9^29 = 0.0471, 0.9^30 = 0.0424
    assert judged(trials(29, 0), BAR).outcome is Outcome.UNDECIDED
    assert judged(trials(30, 0), BAR).outcome is Outcome.CERTIFIED
    assert not plan_gate(BAR, 1, [t.case for t in trials(29, 0)]).can_certify
    assert plan_gate(BAR, 1, [t.case for t in trials(30, 0)]).can_certify


def test_a_tolerance_lowers_the_floor_that_is_tested() -> None:
    bar = Bar(pass_rate=0.9, tolerance=0.05)
    assert of(judged(trials(26, 0), bar, cases=100)) == (Outcome.CERTIFIED, Reason.QUALITY, 26)


def test_an_undecided_verdict_says_how_many_cases_would_settle_it() -> None:
    verdict = judged([trial(i, i % 16 != 15) for i in range(100)], BAR)
    assert (verdict.passed, verdict.cases_used, verdict.reason) == (60, 64, Reason.FUTILITY)
    # from here on, 93.75 % of n rounded down rejects 0.9 at 0.0025, the share of a second attempt
    assert verdict.cases_to_settle == 517


def test_one_missed_critical_case_fails_the_model_before_anything_else_is_asked() -> None:
    bar = Bar(pass_rate=0.9, critical="must_pass")
    critical = [trial(0, True, critical=True), trial(1, False, critical=True)]
    verdict = judged([], bar, cases=100, critical=critical)
    assert of(verdict) == (Outcome.FAILED, Reason.CRITICAL, 2)
    assert verdict.critical_missed == ("c-1",)
    assert judged([], BAR, cases=100, critical=critical).reason is Reason.OPEN


def test_a_critical_case_without_an_answer_is_undecided() -> None:
    bar = Bar(pass_rate=0.9, critical="must_pass")
    verdict = judged(trials(37, 0), bar, cases=100, critical=[failed_call(99, critical=True)])
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, Reason.OUTAGE)


def test_a_failed_call_counts_as_not_passed() -> None:
    # accept[60] = 1: one failure among the first 60 of 100
    found = [failed_call(0), *trials(59, 0)]
    verdict = judged(found, BAR, cases=100)
    assert (verdict.outcome, verdict.failed_calls) == (Outcome.CERTIFIED, 1)
    assert verdict.passed == verdict.cases_used - 1


def test_more_than_one_failed_call_in_twenty_is_an_outage_and_not_a_quality() -> None:
    verdict = judged([failed_call(index) for index in range(3)], BAR, cases=100)
    assert of(verdict) == (Outcome.UNDECIDED, Reason.OUTAGE, 3)


def test_a_slice_below_its_floor_takes_the_certification_away() -> None:
    bar = Bar(pass_rate=0.9, slices={"language": 0.8})
    found = [
        trial(i, i % 10 != 9 or i >= 60, tags={"language": "de" if i % 10 == 9 else "en"})
        for i in range(200)
    ]
    verdict = judged(found, bar)
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, Reason.SLICE)
    assert [(s.value, s.outcome) for s in verdict.slices if s.outcome is Outcome.FAILED] == [
        ("de", Outcome.FAILED)
    ]


def test_a_certified_model_is_asked_on_until_its_slices_are_certified() -> None:
    bar = Bar(pass_rate=0.9, slices={"language": 0.8})
    found = [trial(i, True, tags={"language": "de" if i % 4 == 3 else "en"}) for i in range(200)]
    verdict = judged(found, bar)
    assert verdict.outcome is Outcome.CERTIFIED
    german = next(part for part in verdict.slices if part.value == "de")
    # the slice of 50 needs more of its own cases than the whole set needs of all
    assert verdict.cases_used == 4 * german.cases > judged(found, BAR).cases_used


def test_of_several_crossings_the_first_is_the_verdict() -> None:
    bar = Bar(pass_rate=0.5, slices={"language": 0.8})
    french, german = range(1, 11, 2), range(21, 31, 2)
    tags = {**dict.fromkeys(french, "fr"), **dict.fromkeys(german, "de")}
    found = [trial(i, i not in tags, tags={"language": tags.get(i, "en")}) for i in range(40)]
    verdict = judged(found, bar)
    assert verdict.reason is Reason.SLICE
    assert verdict.cases_used <= 10  # the French ones; the German ones came later


def test_a_slice_too_small_to_certify_leaves_the_model_undecided() -> None:
    bar = Bar(pass_rate=0.9, slices={"language": 0.8})
    found = [trial(i, True, tags={"language": "de" if i < 2 else "en"}) for i in range(100)]
    verdict = judged(found, bar)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, Reason.SLICE)
    plan = plan_gate(bar, 1, [t.case for t in found])
    assert [(part.value, part.size) for part in plan.slices_too_small] == [("de", 2)]


def test_late_answers_fail_a_model_only_when_chance_cannot_explain_them() -> None:
    bar = Bar(pass_rate=0.9, latency_p95_s=1.0)
    # The verdict falls at 37: P(Bin(37, 0.05) >= 4) = 0.112, P(>= 5) = 0.036
    late = [trial(i, True, latency_s=2.0 if i < 4 else 0.5) for i in range(100)]
    assert judged(late, bar).outcome is Outcome.CERTIFIED
    later = [trial(i, True, latency_s=2.0 if i < 5 else 0.5) for i in range(100)]
    assert of(judged(later, bar)) == (Outcome.FAILED, Reason.LATENCY, 37)


RELATIVE = Bar(pass_rate=0.5, of_baseline=0.9)


def compared(own: Sequence[AnyTrial], baseline: Sequence[AnyTrial]) -> Verdict:
    plan = plan_gate(RELATIVE, 1, [t.case for t in own])
    return judge(plan, "small", "cheap", own, baseline=baseline)


def test_a_model_as_good_as_the_baseline_keeps_its_share() -> None:
    verdict = compared(trials(200, 0), trials(200, 0))
    assert (verdict.outcome, verdict.of_baseline) == (Outcome.CERTIFIED, 1.0)


def test_a_share_of_the_baseline_is_judged_on_the_cases_that_both_have_answered() -> None:
    assert compared(trials(200, 0), trials(3, 0)).reason is Reason.OPEN


def test_a_failed_call_to_the_baseline_gains_a_candidate_nothing() -> None:
    own = [trial(i, i % 40 != 0) for i in range(200)]
    answered = compared(own, trials(200, 0))
    failing = compared(own, [failed_call(i) if i % 40 == 0 else trial(i, True) for i in range(200)])
    assert (failing.outcome, failing.cases_used) == (answered.outcome, answered.cases_used)


def test_a_baseline_that_is_down_is_an_outage() -> None:
    verdict = compared(trials(200, 0), [failed_call(i) for i in range(200)])
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, Reason.OUTAGE)


def test_a_case_passes_when_every_repeat_does_and_scores_their_mean() -> None:
    found = [replace(trial(i // 2, i % 2 == 0), repeat=i % 2) for i in range(120)]
    plan = plan_gate(Bar(pass_rate=0.3), 1, [t.case for t in found[::2]], repeats=2)
    verdict = judge(plan, "small", "cheap", found)
    assert (verdict.outcome, verdict.estimate, verdict.passed) == (Outcome.CERTIFIED, 0.5, 0)
    assert judge(plan, "small", "cheap", found[:1]).reason is Reason.OPEN


def test_a_candidate_that_was_never_needed_has_no_figures() -> None:
    verdict = not_asked(plan_gate(BAR, 3, [t.case for t in trials(100, 0)]), "large", "frontier")
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, Reason.NOT_ASKED)
    assert (verdict.cases_used, verdict.estimate) == (0, None)


def test_a_model_at_the_floor_is_certified_no_more_often_than_promised() -> None:
    plan = plan_gate(BAR, 3, [Case(str(index), "in", "out") for index in range(120)])
    passed = np.random.default_rng(7).random((50_000, 120)) < 0.9
    share = (settle_many(plan.lines, passed).kinds == Kind.ACCEPTED).mean()
    assert share <= 0.05 / 3 + 3 * (0.0167 * 0.9833 / 50_000) ** 0.5
