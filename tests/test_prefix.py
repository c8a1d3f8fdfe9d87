"""A candidate followed case by case: it is settled where the gate says so, and not asked on."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.client import Source
from calibrate.completion import Usage
from calibrate.config import Bar
from calibrate.criteria import GatePlan, plan_gate
from calibrate.dataset import Case
from calibrate.gate import Verdict, judge
from calibrate.graders.base import Grade
from calibrate.prefix import Prefix, nothing_seen
from calibrate.trial import AnyTrial, Trial

BARS = {
    "passes": Bar(pass_rate=0.8),
    "scores": Bar(mean_score=0.8),
    "slices": Bar(pass_rate=0.7, slices={"language": 0.6}),
    "scores of slices": Bar(mean_score=0.7, slices={"language": 0.6}),
    "of baseline": Bar(mean_score=0.6, of_baseline=0.9),
}


def case(index: int, group: str | None = None) -> Case:
    return Case(f"c-{index}", "in", "out", {"language": "de" if index % 3 else "en"}, group=group)


ALONE = [case(index) for index in range(120)]
IN_GROUPS = [case(index, f"g-{index * 7 % 50}") for index in range(120)]


def trial(of: Case, score: float, repeat: int = 0) -> Trial:
    return Trial(
        case=of,
        model="small",
        repeat=repeat,
        asked="in",
        answer="out",
        finish="stop",
        grade=Grade(score, "because"),
        signals={},
        usage=Usage(10, 1),
        cost_usd=Decimal("0.001"),
        latency_s=0.5,
        served_model="small-1",
        source=Source.ASKED,
    )


def answers(cases: Sequence[Case], mean: float, seed: int, repeats: int = 1) -> list[AnyTrial]:
    rng = np.random.default_rng(seed)
    return [
        trial(of, float(rng.beta(2 * mean, 2 - 2 * mean)), repeat)
        for of in cases
        for repeat in range(repeats)
    ]


def judged(plan: GatePlan, own: Sequence[AnyTrial], other: Sequence[AnyTrial]) -> Verdict:
    return judge(plan, "small", "cheap", own, baseline=other)


@given(
    bar=st.sampled_from(list(BARS)),
    cases=st.sampled_from([ALONE, IN_GROUPS]),
    repeats=st.integers(1, 2),
    mean=st.sampled_from([0.5, 0.7, 0.8, 0.95]),
    seed=st.integers(0, 10_000),
    step=st.integers(4, 60),
)
@settings(max_examples=50, deadline=None)
def test_it_is_open_as_long_as_the_gate_says_so(
    bar: str, cases: list[Case], repeats: int, mean: float, seed: int, step: int
) -> None:
    plan = plan_gate(BARS[bar], 2, cases, repeats=repeats)
    own = answers(cases, mean, seed, repeats)
    other = answers(cases, 0.9, seed + 1, repeats)
    prefix, seen = nothing_seen(plan), 0
    while prefix.is_open:
        last = seen + step
        assert seen < prefix.next_look <= len(cases)
        new = slice(seen * repeats, last * repeats)
        prefix, seen = prefix.after(own[new], other[new]), last
        verdict = judged(plan, own[: last * repeats], other[: last * repeats])
        assert verdict.is_settled is not prefix.is_open
    assert len(prefix.scores) == min(seen, len(cases))


def looks(plan: GatePlan, own: Sequence[AnyTrial]) -> list[int]:
    """Return after how many cases each look is, if none is before something could be crossed."""
    prefix, found = nothing_seen(plan), []
    while prefix.is_open:
        found.append(prefix.next_look)
        prefix = prefix.after(own[len(prefix.scores) : found[-1]])
    return found


@pytest.mark.parametrize("bar", ["passes", "scores"])
def test_the_last_look_is_where_the_verdict_falls(bar: str) -> None:
    plan = plan_gate(BARS[bar], 2, ALONE)
    for seed in range(20):
        own = answers(ALONE, 0.9, seed)
        assert looks(plan, own)[-1] == judged(plan, own, ()).cases_used


def test_a_part_that_is_settled_asks_for_no_look() -> None:
    """All German cases come last: until one of them is seen no verdict can fall for the model."""
    cases = [
        Case(f"c-{index}", "in", "out", {"language": "de"} if index >= 100 else {})
        for index in range(120)
    ]
    plan = plan_gate(Bar(mean_score=0.7, slices={"language": 0.6}), 1, cases)
    quality, _ = plan.criteria
    own = [trial(of, 1.0) for of in cases]
    crossing = quality.crossing([1.0] * 120)
    assert crossing is not None
    found = looks(plan, own)
    assert [look for look in found if crossing.index < look <= 100] == []
    assert found[-1] == judged(plan, own, ()).cases_used > 100


def test_new_answers_leave_what_was_known_as_it_is() -> None:
    plan = plan_gate(BARS["scores"], 1, ALONE)
    early: Prefix = nothing_seen(plan).after(answers(ALONE[:5], 0.9, 1))
    scores, parts = early.scores, early.parts
    wealth = parts[0].course.wagers.aimed.tolist()  # type: ignore[union-attr]
    later = early.after(answers(ALONE[5:9], 0.1, 2))
    assert (early.scores, early.parts) == (scores, parts)
    assert parts[0].course.wagers.aimed.tolist() == wealth  # type: ignore[union-attr]
    assert len(later.scores) == 9
