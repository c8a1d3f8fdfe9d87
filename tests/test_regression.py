"""Is a certified route worse than before? What is said of pairs, and which cases make a pair."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from answered import record, write_cases

from calibrate.cli.session import open_client
from calibrate.dataset import Case
from calibrate.errors import ConfigError, ProviderError, UsageError
from calibrate.policy import Escalation, InputScore
from calibrate.pricing import Budget
from calibrate.project import load_project
from calibrate.regression import Found, Pairs, Served, compare, in_words, paired_scores
from calibrate.task import Task, load_task


def pairs(
    both: int,
    lost: int,
    won: int,
    *,
    workflow: str = "sort",
    unanswered: int = 0,
    group_size: int = 1,
    low: float = 0.0,
) -> Pairs:
    """Pairs whose lost and won cases are spread over the order."""
    scores = [(1.0, low)] * lost + [(low, 1.0)] * won + [(1.0, 1.0)] * both
    random.Random(1).shuffle(scores)  # noqa: S311 - an order, no secret
    cases = tuple(
        Case(f"c-{at}", "x", "y", group=f"g-{at // group_size}" if group_size > 1 else None)
        for at in range(len(scores) + unanswered)
    )
    return Pairs(workflow, "old", "new", cases, tuple(scores))


def only(found: Pairs, **options: float) -> Any:
    (regression,) = compare([found], **options)
    return regression


@pytest.mark.parametrize(
    ("found", "says", "words"),
    [
        (
            pairs(176, 18, 6),
            Found.WORSE,
            "worse by 6 points: 18 of 200 cases score lower, 6 higher (p = 0.0072)",
        ),
        (
            pairs(196, 2, 2),
            Found.NOT_WORSE,
            "not worse: 2 of 200 cases score lower, 2 higher; a drop of 5 points is ruled out",
        ),
        (
            pairs(30, 1, 1),
            Found.TOO_FEW,
            "too few cases to see a drop of 5 points: 1 of 32 cases score lower, 1 higher",
        ),
        (
            Pairs("sort", "old", "new", (Case("a", "x", "y"),), ()),
            Found.TOO_FEW,
            "too few cases to see a drop of 5 points: of 1 common cases none is answered on both "
            "sides",
        ),
    ],
)
def test_what_is_said_of_pairs(found, says, words) -> None:
    regression = only(found)
    assert (regression.found, in_words(regression)) == (says, words)


def test_a_tolerance_takes_more_to_be_passed() -> None:
    found = pairs(140, 50, 10)
    assert only(found).found is Found.WORSE
    assert only(found, tolerance=0.15, least_drop=0.22).found is Found.TOO_FEW
    regression = only(found, tolerance=0.1, least_drop=0.3)
    assert in_words(regression).startswith(
        "worse by 20 points, more than the 10 points tolerated: 50 of 200 cases score lower"
    )


def test_one_point_is_one_point() -> None:
    regression = only(pairs(9_990, 5, 5), least_drop=0.01)
    assert in_words(regression).endswith("a drop of 1 point is ruled out")


def test_among_many_workflows_it_takes_more() -> None:
    """p = .0072 is evidence in one workflow and in two; Holm asks for .05 / 9 of nine."""
    bad = pairs(176, 18, 6, workflow="bad")
    others = [pairs(198, 1, 1, workflow=f"w-{n}") for n in range(8)]
    assert compare([bad, *others[:1]])[0].found is Found.WORSE
    found = compare([bad, *others])
    assert found[0].found is Found.TOO_FEW
    assert found[0].p_worse == pytest.approx(9 * only(bad).p_worse)
    assert {each.found for each in found[1:]} == {Found.NOT_WORSE}


def test_the_first_cases_of_more_have_no_test_for_a_fixed_number() -> None:
    """The same pairs, but a run stopped there: bets hold at any length, and take more."""
    whole, part = pairs(70, 20, 10), pairs(70, 20, 10, unanswered=20)
    assert only(whole).p_worse < only(part).p_worse
    assert only(pairs(60, 40, 0, unanswered=100)).found is Found.WORSE


def test_groups_count_as_one_each() -> None:
    """Forty losses in ten groups are ten observations, and one case a group are forty."""
    assert only(pairs(0, 40, 0)).found is Found.WORSE
    grouped = only(pairs(0, 40, 0, group_size=20))
    assert grouped.found is Found.TOO_FEW
    incomplete = pairs(0, 30, 0, group_size=20, unanswered=10)
    assert only(incomplete).p_worse > grouped.p_worse  # half a group is nothing yet


def test_graded_scores_are_compared_by_their_mean() -> None:
    found = pairs(100, 100, 0, low=0.5)
    assert found.drop == 0.25
    assert only(found).found is Found.WORSE
    slight = pairs(0, 200, 0, low=0.99)
    assert only(slight).found is not Found.TOO_FEW


@pytest.mark.parametrize(("tolerance", "least"), [(0.05, 0.05), (-0.1, 0.05), (0.0, 1.0)])
def test_a_drop_to_be_seen_is_above_the_tolerance(tolerance, least) -> None:
    with pytest.raises(UsageError, match="must be above the tolerance"):
        compare([], tolerance=tolerance, least_drop=least)


@pytest.fixture
def task(project: Any) -> Task:
    write_cases(project, 40)
    return load_task(load_project(project.root), "triage")


def scored(project: Any, before: Served, now: Served) -> Pairs:
    found = load_project(project.root)

    async def ask() -> Pairs:
        with open_client(found, "triage", Budget(None), offline=True) as opened:
            async with opened as client:
                return await paired_scores((before, client), (now, client))

    return asyncio.run(ask())


def test_two_models_of_one_task_are_paired_by_case(project, task) -> None:
    record(project, {"small": range(5), "large": range(3, 7)})
    found = scored(project, Served(task, "large"), Served(task, "small"))
    assert (found.before, found.now, len(found.scores)) == ("large", "small", 40)
    assert set(found.lost) == {"m-0", "m-1", "m-2"}
    assert set(found.won) == {"m-5", "m-6"}
    assert found.drop == pytest.approx(1 / 40)


def test_pairs_end_in_front_of_the_first_case_without_an_answer(project, task) -> None:
    record(project, {"large": range(3)})
    record(project, {"small": range(5)}, first=17)
    found = scored(project, Served(task, "large"), Served(task, "small"))
    assert (len(found.scores), len(found.common)) == (17, 40)
    nothing = scored(project, Served(task, "large"), Served(task, "medium"))
    assert (nothing.scores, nothing.drop) == ((), None)


def test_a_case_is_the_same_where_its_input_and_its_golden_answer_are(project, task) -> None:
    record(project, {"large": ()})
    first, second, third, *others = task.cases
    other = (replace(first, input="another"), replace(second, expected="normal"), *others)
    changed = replace(task, cases=(*other, replace(third, id="new")))
    found = scored(project, Served(task, "large"), Served(changed, "large"))
    assert [case.id for case in found.common] == [case.id for case in others]


@pytest.mark.parametrize(
    ("signal", "below", "lost"),
    [
        ("finished", 0.5, 37),  # every answer has 1: none is handed on
        ("finished", 1.5, 0),
        ("answer_logprob", -100.0, 0),  # none was recorded, so that all are handed on
    ],
)
def test_a_cascade_hands_on_where_the_signal_is_low_or_missing(
    project, task, signal, below, lost
) -> None:
    record(project, {"small": range(40), "large": range(3)})
    cascade = Served(task, "small", Escalation(signal, below, "large"))
    found = scored(project, Served(task, "large"), cascade)
    assert (found.now, len(found.lost), found.won) == ("small → large", lost, ())


def test_a_cascade_by_the_request_hands_on_by_the_weights_of_its_policy(project, task) -> None:
    """No answer has the signal: the ten messages with one digit alone are the simple ones."""
    record(project, {"small": range(40), "large": range(10)})
    score = InputScore(intercept=1.0, weights={"digits": 1.0})
    escalation = Escalation("input_simplicity", 0.895, "large", score=score)
    found = scored(project, Served(task, "large"), Served(task, "small", escalation))
    assert (len(found.lost), found.won) == (0, ())  # large fails these as well
    escalation = replace(escalation, below=0.5)
    found = scored(project, Served(task, "large"), Served(task, "small", escalation))
    assert (len(found.lost), found.won) == (30, ())


def test_a_call_of_a_cascade_that_failed_is_handed_on(project, task) -> None:
    record(project, {"large": range(3)})
    record(project, {"small": range(3)}, failed=range(1))
    cascade = Served(task, "small", Escalation("finished", 0.5, "large"))
    found = scored(project, Served(task, "large"), cascade)
    assert (found.lost, found.won) == ((), ())


def test_many_failed_calls_are_an_outage_and_no_drop(project, task) -> None:
    record(project, {"large": ()})
    record(project, {"small": ()}, failed=range(3))
    with pytest.raises(ProviderError, match="3 of 40 calls to small failed"):
        scored(project, Served(task, "large"), Served(task, "small"))


def test_a_model_that_is_no_candidate_is_named(project, task) -> None:
    with pytest.raises(ConfigError, match="'gone' of the policy is no candidate of it"):
        scored(project, Served(task, "gone"), Served(task, "large"))
