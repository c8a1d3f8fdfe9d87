"""What a candidate is held against, and which test goes with which evidence."""

from __future__ import annotations

import pytest

from calibrate.config import Bar
from calibrate.criteria import Part, as_pair, design_rate, plan_gate
from calibrate.dataset import Case
from calibrate.stats.plan import Crossing, Kind, plan_for


def case(index: int, group: str | None = None, **tags: str) -> Case:
    return Case(f"c-{index}", "in", "out", tags, group=group)


CASES = [case(index) for index in range(100)]
PAIRS = [case(index, f"g-{index // 2}") for index in range(100)]
BAR = Bar(pass_rate=0.8)


def test_independent_passes_have_the_exact_test() -> None:
    plan = plan_gate(BAR, 2, CASES)
    assert plan.test == "exact"
    assert plan.lines == plan_for(100, 0.8, 0.9, alpha=0.9 * 0.05 / 2)


@pytest.mark.parametrize(
    ("bar", "cases", "repeats"),
    [
        (Bar(mean_score=0.8), CASES, 1),
        (BAR, CASES, 3),
        (BAR, PAIRS, 1),
    ],
)
def test_scores_repeats_and_groups_are_bet_on(bar: Bar, cases: list[Case], repeats: int) -> None:
    plan = plan_gate(bar, 2, cases, repeats=repeats)
    assert plan.test == "betting"
    assert (plan.lines.floor, plan.lines.alpha) == (0.8, plan.alpha)


def test_groups_of_one_are_independent() -> None:
    assert plan_gate(BAR, 1, [case(i, f"g-{i}") for i in range(100)]).test == "exact"


def test_a_group_counts_once_all_of_its_cases_are_answered() -> None:
    cases = [case(0, "g"), case(1), case(2, "g"), case(3, "g")]
    (quality,) = plan_gate(BAR, 1, cases).criteria
    assert quality.units == ((1,), (0, 2, 3))  # in the order of their last case
    assert quality.evidence([1, 0, 1]) == [[0]]
    assert quality.evidence([1, 0, 1, 1]) == [[0], [1, 1, 1]]


def test_a_crossing_is_told_in_cases() -> None:
    (quality,) = plan_gate(BAR, 1, PAIRS).criteria
    found = quality.crossing([0.0] * 100)
    assert found is not None
    assert (found.kind, found.index % 2) == (Kind.REJECTED, 0)
    assert quality.crossing([0.0] * (found.index - 1)) is None


def test_evidence_that_ran_out_is_open() -> None:
    (quality,) = plan_gate(Bar(mean_score=0.8), 1, CASES[:6]).criteria
    assert quality.crossing([1.0] * 5) is None
    assert quality.crossing([1.0] * 6) == Crossing(Kind.OPEN, 6)


def test_a_slice_has_the_cases_of_its_value_and_lines_of_its_own() -> None:
    cases = [case(i, language="de" if i % 4 == 0 else "en") for i in range(100)]
    plan = plan_gate(Bar(pass_rate=0.8, slices={"language": 0.7}), 1, cases)
    german, english = plan.criteria[1:]
    assert [(c.part, c.tag, c.value, c.size) for c in (german, english)] == [
        (Part.SLICE, "language", "de", 25),
        (Part.SLICE, "language", "en", 75),
    ]
    assert german.lines == plan_for(25, 0.7, 0.85, alpha=plan.alpha)
    assert german.units[1] == (4,)


def test_the_baseline_is_not_compared_with_itself() -> None:
    bar = Bar(pass_rate=0.8, of_baseline=0.95)
    assert [c.part for c in plan_gate(bar, 2, CASES).criteria] == [Part.QUALITY, Part.BASELINE]
    assert [c.part for c in plan_gate(bar, 2, CASES, is_baseline=True).criteria] == [Part.QUALITY]


def test_a_pair_is_above_its_floor_where_the_share_is_kept() -> None:
    floor = as_pair(0.95, 0, 0)
    assert as_pair(0.95, 0.95, 1.0) == pytest.approx(floor)
    assert as_pair(0.95, 0.96, 1.0) > floor > as_pair(0.95, 0.94, 1.0)
    assert (as_pair(0.95, 0, 1), as_pair(0.95, 1, 0)) == (0, 1)


def test_a_later_attempt_has_less_error_and_says_what_the_next_would_have() -> None:
    first, second = (plan_gate(BAR, 2, CASES, attempt=attempt) for attempt in (1, 2))
    assert (first.alpha, second.alpha) == pytest.approx((0.0225, 0.00125))
    assert first.next_alpha == second.alpha
    assert second.next_alpha == pytest.approx(second.alpha / 2)


def test_a_workflow_may_be_decided_at_another_error_than_its_own() -> None:
    assert plan_gate(BAR, 2, CASES, level=0.01).alpha == pytest.approx(0.0045)


def test_the_most_cases_are_those_of_the_part_that_takes_longest() -> None:
    plain = plan_gate(Bar(pass_rate=0.5), 1, CASES)
    assert plain.most_cases == plain.lines.n < 100
    late = [case(i, language="de" if i >= 95 else "en") for i in range(100)]
    assert plan_gate(Bar(pass_rate=0.5, slices={"language": 0.3}), 1, late).most_cases == 100


def test_the_design_rate_is_the_bar_itself_where_there_is_a_tolerance() -> None:
    assert design_rate(Bar(pass_rate=0.9, tolerance=0.05)) == 0.9
    assert design_rate(Bar(mean_score=0.9)) == pytest.approx(0.95)
