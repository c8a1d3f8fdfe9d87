"""The gate: what a set of trials says of a candidate. Bounds are from scipy's own tables."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest

from calibrate.client import Source
from calibrate.completion import Failure, FailureReason, Usage
from calibrate.config import Bar
from calibrate.dataset import Case
from calibrate.gate import Outcome, Reason, judge, not_asked, plan_gate
from calibrate.graders.base import Grade
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


def verdict_of(found: Sequence[AnyTrial], bar: Bar, candidates: int = 1) -> tuple[Outcome, Reason]:
    verdict = judge(plan_gate(bar, candidates, len(found)), "small", "cheap", found)
    return verdict.outcome, verdict.reason


BAR = Bar(pass_rate=0.9)


@pytest.mark.parametrize(
    ("passed", "failed", "outcome"),
    [
        # P(Bin(100, 0.9) >= 96) = 0.0237 and P(>= 95) = 0.0576
        (96, 4, Outcome.CERTIFIED),
        (95, 5, Outcome.UNDECIDED),
        # P(Bin(100, 0.9) <= 84) = 0.0399 and P(<= 85) = 0.0726
        (85, 15, Outcome.UNDECIDED),
        (84, 16, Outcome.FAILED),
    ],
)
def test_a_verdict_turns_where_the_exact_binomial_tail_passes_alpha(
    passed: int, failed: int, outcome: Outcome
) -> None:
    assert verdict_of(trials(passed, failed), BAR)[0] is outcome


def test_a_share_of_alpha_asks_for_more_passes() -> None:
    # P(Bin(100, 0.9) >= 96) = 0.0237 > 0.05 / 3; P(>= 97) = 0.0078
    assert verdict_of(trials(96, 4), BAR, candidates=3)[0] is Outcome.UNDECIDED
    assert verdict_of(trials(97, 3), BAR, candidates=3)[0] is Outcome.CERTIFIED


def test_the_observed_rate_alone_certifies_nothing() -> None:
    assert verdict_of(trials(46, 4), BAR) == (Outcome.UNDECIDED, Reason.EXHAUSTED)


def test_a_perfect_score_on_too_few_cases_is_undecided() -> None:
    # 0.9^28 = 0.0523, 0.9^29 = 0.0471
    assert verdict_of(trials(28, 0), BAR)[0] is Outcome.UNDECIDED
    assert verdict_of(trials(29, 0), BAR)[0] is Outcome.CERTIFIED


def test_a_tolerance_lowers_the_floor_that_is_tested() -> None:
    assert verdict_of(trials(92, 8), Bar(pass_rate=0.9, tolerance=0.05))[0] is Outcome.CERTIFIED


def test_an_undecided_verdict_says_how_many_cases_would_settle_it() -> None:
    verdict = judge(plan_gate(BAR, 1, 100), "small", "cheap", trials(94, 6))
    # from here on, 94 % of n rounded down rejects 0.9 at 0.05
    assert verdict.cases_to_settle == 203
    assert judge(plan_gate(BAR, 1, 100), "small", "cheap", trials(90, 10)).cases_to_settle is None


def test_one_missed_critical_case_fails_the_model() -> None:
    bar = Bar(pass_rate=0.9, critical="must_pass")
    found = [*trials(99, 0), trial(99, False, critical=True)]
    verdict = judge(plan_gate(bar, 1, 100), "small", "cheap", found)
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, Reason.CRITICAL)
    assert verdict.critical_missed == ("c-99",)
    assert verdict_of(found, BAR)[0] is Outcome.CERTIFIED


def test_a_critical_case_without_an_answer_is_undecided() -> None:
    bar = Bar(pass_rate=0.9, critical="must_pass")
    found = [*trials(99, 0), failed_call(99, critical=True)]
    assert verdict_of(found, bar) == (Outcome.UNDECIDED, Reason.OUTAGE)


def test_a_failed_call_counts_as_not_passed() -> None:
    found = [*trials(96, 0), *(failed_call(96 + index) for index in range(4))]
    verdict = judge(plan_gate(BAR, 1, 100), "small", "cheap", found)
    assert (verdict.passed, verdict.failed_calls, verdict.estimate) == (96, 4, 0.96)


def test_more_than_one_failed_call_in_twenty_is_an_outage_and_not_a_quality() -> None:
    five = [*trials(95, 0), *(failed_call(95 + index) for index in range(5))]
    six = [*trials(94, 0), *(failed_call(94 + index) for index in range(6))]
    assert verdict_of(five, BAR)[1] is not Reason.OUTAGE
    assert verdict_of(six, BAR) == (Outcome.UNDECIDED, Reason.OUTAGE)


def test_a_slice_below_its_floor_takes_the_certification_away() -> None:
    bar = Bar(pass_rate=0.9, slices={"language": 0.8})
    english = [trial(i, True, tags={"language": "en"}) for i in range(180)]
    german = [trial(180 + i, i >= 10, tags={"language": "de"}) for i in range(20)]
    verdict = judge(plan_gate(bar, 1, 200), "small", "cheap", [*english, *german])
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, Reason.SLICE)
    assert [(s.value, s.outcome) for s in verdict.slices] == [
        ("de", Outcome.FAILED),
        ("en", Outcome.CERTIFIED),
    ]


def test_a_slice_too_small_to_certify_leaves_the_model_undecided() -> None:
    bar = Bar(pass_rate=0.9, slices={"language": 0.8})
    found = [trial(i, True, tags={"language": "de" if i < 2 else "en"}) for i in range(100)]
    assert verdict_of(found, bar) == (Outcome.UNDECIDED, Reason.SLICE)


def test_late_answers_fail_a_model_only_when_chance_cannot_explain_them() -> None:
    bar = Bar(pass_rate=0.8, latency_p95_s=1.0)
    late = [trial(i, True, latency_s=2.0 if i < 9 else 0.5) for i in range(100)]
    # P(Bin(100, 0.05) >= 9) = 0.0631, P(>= 10) = 0.0282
    assert verdict_of(late, bar)[0] is Outcome.CERTIFIED
    later = [trial(i, True, latency_s=2.0 if i < 10 else 0.5) for i in range(100)]
    assert verdict_of(later, bar) == (Outcome.FAILED, Reason.LATENCY)


def test_a_candidate_that_was_never_needed_has_no_figures() -> None:
    verdict = not_asked(plan_gate(BAR, 3, 100), "large", "frontier")
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, Reason.NOT_ASKED)
    assert (verdict.cases_used, verdict.estimate) == (0, None)


def test_a_model_at_the_floor_is_certified_no_more_often_than_promised() -> None:
    plan = plan_gate(BAR, 3, 120)
    needed = plan.fewest_passes
    assert needed is not None
    passes = np.random.default_rng(7).binomial(120, 0.9, size=200_000)
    share = (passes >= needed).mean()
    assert share <= 0.05 / 3 + 3 * (0.0167 * 0.9833 / 200_000) ** 0.5
