"""What a route gives while a model of it is down."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from calibrations import Sample, sample, tickets

from calibrate.certificate import fallback_evidence, policy_entry, rounded
from calibrate.completion import Failure, FailureReason
from calibrate.decide import Calibration, EscalatedRoute, Status, choose_route
from calibrate.fallbacks import FallbackOutcome, Standing, fallback_outcomes
from calibrate.gate import Outcome
from calibrate.methods import SignalCost
from calibrate.policy import FallbackEvidence, edits, sealed
from calibrate.stats.exact import clopper_pearson
from calibrate.trial import AnyTrial, Trial

DOWN = Failure(FailureReason.SERVER_ERROR, "the server said 500", status=500)
CASES = 120


def made(answers: dict[str, Any], **changes: Any) -> Sample:
    """Return a calibration on 120 cases; every model of `answers` that is needed was asked."""
    changes.setdefault("cases", tickets(CASES))
    return sample(answers, **changes)


def outcome(found: Sample, alias: str) -> FallbackOutcome:
    (one,) = [o for o in fallback_outcomes(found.calibration) if o.answering.alias == alias]
    return one


def test_a_fallback_that_was_not_needed_is_not_measured() -> None:
    found = made({"small": 0}, stops=True)
    assert found.calibration.decision.chosen.alias == "small"
    medium, large = (
        float(1000 * candidate.estimated_usd)
        for candidate in found.calibration.task.field.candidates[1:]
    )
    assert fallback_evidence(found.calibration) == (
        FallbackEvidence("medium", ("small",), "not_measured", 0, rounded(medium), "estimated"),
        FallbackEvidence(
            "large", ("small", "medium"), "not_measured", 0, rounded(large), "estimated"
        ),
    )


def test_a_fallback_that_answered_every_case_is_measured_on_all_of_them() -> None:
    # large fails every fourth of 120 cases: 90 pass, and the bar is 0.8
    found = made({"small": 0, "medium": 30, "large": 4})
    verdict = found.calibration.verdicts[-1]
    assert verdict.cases_used == 0  # no verdict needed it
    large = outcome(found, "large")
    bound = clopper_pearson(90, CASES, alpha=verdict.alpha)
    assert (large.cases, large.estimate, large.lower_bound) == (CASES, 0.75, bound.low)
    assert (large.standing, large.misses) == (Standing.MISSED, ("quality",))
    # 100 tokens in at $5 and 2 out at $10 a million
    assert large.cost_usd_per_request == pytest.approx(0.00052)
    assert large.latency_p95_s == 0.25
    medium = outcome(found, "medium")
    assert (medium.standing, medium.misses, medium.estimate) == (
        Standing.UNDECIDED,
        (),
        116 / 120,
    )


def test_what_is_exactly_at_the_floor_does_not_miss_it() -> None:
    assert outcome(made({"small": 0, "large": 5}), "large").standing is Standing.UNDECIDED


def test_a_fallback_that_was_judged_has_the_figures_of_its_verdict() -> None:
    # All three are right on three of four: undecided at 0.8, so the baseline is the route.
    found = made(dict.fromkeys(("small", "medium", "large"), 4), stops=True)
    decision = found.calibration.decision
    assert (decision.chosen.alias, decision.status) == ("large", Status.UNCERTIFIED)
    for verdict, alias in zip(found.calibration.verdicts, ("small", "medium"), strict=False):
        one = outcome(found, alias)
        assert 0 < verdict.cases_used < CASES
        assert (one.cases, one.estimate) == (verdict.cases_used, verdict.estimate)
        assert one.lower_bound == verdict.lower_bound
        assert (one.standing, one.misses) == (Standing.MISSED, ("quality",))


def test_how_far_beyond_its_verdict_a_model_was_asked_changes_nothing() -> None:
    answers = dict.fromkeys(("small", "medium", "large"), 4)
    stopped = fallback_evidence(made(answers, stops=True).calibration)
    asked_on = made(answers, asked=110)
    used = asked_on.calibration.verdicts[0].cases_used
    assert used < len(asked_on.calibration.trials["small"]) < CASES
    assert fallback_evidence(asked_on.calibration) == stopped


def test_each_model_before_a_fallback_is_down() -> None:
    answers = dict.fromkeys(("small", "medium", "large"), 4)
    found = fallback_outcomes(made(answers).calibration)
    assert [(o.answering.alias, [c.alias for c in o.down]) for o in found] == [
        ("medium", ["large"]),
        ("small", ["large", "medium"]),
    ]


def test_a_slice_below_its_floor_is_missed() -> None:
    german = frozenset(range(0, CASES, 8))  # half of the German cases, an eighth of all
    found = made({"small": 0, "large": german}, bar={"pass_rate": 0.8, "slices": {"language": 0.7}})
    assert outcome(found, "large").misses == ("slice",)


def test_a_critical_case_that_is_failed_is_missed() -> None:
    cases = tuple(replace(c, critical=i in (3, 50)) for i, c in enumerate(tickets(CASES)))
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    found = made({"small": 0, "large": frozenset({50})}, cases=cases, bar=bar)
    assert outcome(found, "large").misses == ("critical",)
    noted = made({"small": 0, "large": frozenset({50})}, cases=cases, bar={"pass_rate": 0.8})
    assert outcome(noted, "large").misses == ()


def test_a_critical_case_without_an_answer_is_no_miss() -> None:
    cases = tuple(replace(c, critical=i == 3) for i, c in enumerate(tickets(CASES)))
    answers = ["billing" if c.expected == "billing" else str(c.expected) for c in cases]
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    found = made({"small": 0, "large": [*answers[:3], DOWN, *answers[4:]]}, cases=cases, bar=bar)
    assert (outcome(found, "large").misses, outcome(found, "large").failed_calls) == ((), 1)


def test_a_share_of_the_baseline_is_compared_on_the_same_cases() -> None:
    # medium passes 90 of 120, the baseline all: 0.75 is short of 0.9 of it, but not of the bar.
    bar = {"pass_rate": 0.7, "of_baseline": 0.9}
    found = made({"small": 0, "medium": 4, "large": 0}, bar=bar)
    assert found.calibration.decision.chosen.alias == "small"
    assert outcome(found, "medium").misses == ("baseline",)
    assert outcome(found, "large").misses == ()


def test_a_late_answer_is_a_miss_where_the_bar_has_a_target() -> None:
    late = replace_latency(made({"small": 0, "large": 0}, bar=WITH_TARGET), "large", 3.0)
    assert outcome(late, "large").misses == ("latency",)
    assert outcome(late, "large").latency_p95_s == 3.0
    quick = replace_latency(made({"small": 0, "large": 0}, bar=WITH_TARGET), "large", 0.9)
    assert outcome(quick, "large").misses == ()


WITH_TARGET = {"pass_rate": 0.8, "latency_p95_s": 1.0}


def replace_latency(found: Sample, alias: str, latency_s: float) -> Sample:
    trials = dict(found.calibration.trials)
    trials[alias] = tuple(replace(trial, latency_s=latency_s) for trial in trials[alias])
    return replace(found, calibration=replace(found.calibration, trials=trials))


def test_calls_that_failed_say_nothing_of_the_quality() -> None:
    answers = [DOWN if i % 2 else str(c.expected) for i, c in enumerate(tickets(CASES))]
    large = outcome(made({"small": 0, "large": answers}), "large")
    assert (large.standing, large.misses) == (Standing.UNDECIDED, ())
    assert (large.failed_calls, large.estimate) == (60, 0.5)


def test_a_verdict_that_fell_at_critical_cases_gives_no_figures() -> None:
    cases = tuple(replace(c, critical=i < 5) for i, c in enumerate(tickets(CASES)))
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    found = made(
        {"small": DOWN, "medium": 0, "large": 0}, cases=cases, bar=bar, asked=5, stops=True
    )
    assert found.calibration.verdicts[0].cases_used == 5
    assert found.calibration.verdicts[0].estimate is None
    assert outcome(found, "small").standing is Standing.NOT_MEASURED


def test_mean_scores_have_the_bound_of_the_bets() -> None:
    large = outcome(made({"small": 0, "large": 4}, bar={"mean_score": 0.7}), "large")
    exact = clopper_pearson(90, CASES, alpha=0.05 / 3)
    assert (large.estimate, large.misses) == (0.75, ())
    assert large.lower_bound is not None
    assert 0.5 < large.lower_bound < exact.low  # bets assume less


def test_repeats_count_by_their_mean() -> None:
    found = made({"small": 0, "large": 4})
    trials = {
        alias: tuple(replace(t, repeat=r) for t in all_of for r in range(2))
        for alias, all_of in found.calibration.trials.items()
    }
    workflow = found.calibration.task.workflow.model_copy(update={"repeats": 2})
    task = replace(found.calibration.task, workflow=workflow)
    twice = replace(found, calibration=replace(found.calibration, task=task, trials=trials))
    large = outcome(twice, "large")
    assert (large.cases, large.estimate) == (CASES, 0.75)


def escalating(**options: Any) -> Calibration:
    """Return a route that begins with `small` and escalates to `large`, which is certified.

    `small` is right on half of the cases, `medium` on three of four, `large` on all.
    """
    found = made({"small": 2, "medium": 4, "large": 0}, **options).calibration
    small, _, large = found.task.field.candidates
    route = EscalatedRoute(
        cheap=small,
        strong=large,
        signal="agreement",
        below=0.5,
        escalated=0.25,
        break_even=0.9,
        alpha=0.02,
        cases=CASES,
        estimate=0.9,
        passed=108,
        lower_bound=0.85,
        cost_usd_per_request=0.0001,
        latency_p95_s=0.5,
        failed_calls=0,
    )
    return replace(found, decision=choose_route(found.task.field, found.verdicts, route))


def with_signal_costs(found: Calibration, wait_s: float | None) -> Calibration:
    """Return the calibration with what `agreement` took on each answer of `small`."""
    costs = {"agreement": SignalCost(2, Decimal("0.001"), wait_s)}

    def paid(trial: AnyTrial) -> AnyTrial:
        return replace(trial, signal_costs=costs) if isinstance(trial, Trial) else trial

    return replace(found, trials={**found.trials, "small": tuple(map(paid, found.trials["small"]))})


def test_either_model_of_a_cascade_answers_alone_while_the_other_is_down() -> None:
    found = escalating()
    assert [v.outcome for v in found.verdicts] == [
        Outcome.FAILED,
        Outcome.UNDECIDED,
        Outcome.CERTIFIED,
    ]
    told = [
        (o.answering.alias, [c.alias for c in o.down], o.standing.value, o.estimate)
        for o in fallback_outcomes(found)
    ]
    assert told == [
        ("large", ["small"], "certified", 1.0),
        ("small", ["large"], "missed", 0.5),
        ("medium", ["small", "large"], "missed", 0.75),
    ]


def test_an_answer_that_is_kept_still_had_its_signal_computed() -> None:
    free = next(o for o in fallback_outcomes(escalating()) if o.answering.alias == "small")
    paid = fallback_outcomes(with_signal_costs(escalating(), 0.5))
    small = next(o for o in paid if o.answering.alias == "small")
    assert free.cost_usd_per_request is not None
    assert small.cost_usd_per_request == pytest.approx(free.cost_usd_per_request + 0.001)
    assert (free.latency_p95_s, small.latency_p95_s) == (0.25, 0.75)
    assert (small.estimate, small.misses) == (free.estimate, free.misses)
    unknown = fallback_outcomes(with_signal_costs(escalating(), None))
    assert next(o for o in unknown if o.answering.alias == "small").latency_p95_s is None


def test_a_call_that_failed_has_no_signal_to_pay_for() -> None:
    found = escalating()
    (first, *rest), small = found.trials["small"], found.trials["small"]
    failed = sample({"small": DOWN}, cases=[first.case]).calibration.trials["small"]
    found = replace(found, trials={**found.trials, "small": (*failed, *rest)})
    one = next(o for o in fallback_outcomes(found) if o.answering.alias == "small")
    assert (one.cases, one.failed_calls, len(small)) == (CASES, 1, CASES)


def test_what_failed_before_is_missed_whatever_later_answers_look_like() -> None:
    found = escalating()
    # Up to its verdict small failed; on all cases it would look as if it passed.
    trials = {**found.trials, "small": made({"small": 0}).calibration.trials["small"]}
    one = fallback_outcomes(replace(found, trials=trials))[1]
    assert (one.answering.alias, one.estimate, one.misses) == ("small", 1.0, ("quality",))


def test_the_policy_has_the_evidence_of_each_fallback_and_its_seal() -> None:
    found = made({"small": 0, "medium": 30, "large": 4})
    entry = policy_entry(found.calibration, found.project)
    assert [e.model for e in entry.evidence.when_down] == list(entry.fallbacks)
    large = entry.evidence.when_down[-1]
    assert (large.down, large.meets_bar, large.misses) == (
        ("small", "medium"),
        "missed",
        ("quality",),
    )
    assert (large.cost_usd_per_1k_requests, large.cost_basis) == (0.52, "measured")
    models = found.policy.models
    assert list(edits("tickets", sealed("tickets", entry, models), models)) == []


def test_without_a_fallback_there_is_nothing_to_tell() -> None:
    found = made({"small": 2, "medium": 2, "large": 0})
    assert found.calibration.decision.fallbacks == ()
    assert fallback_outcomes(found.calibration) == ()
