from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calibrate.completion import Failure
from calibrate.dataset import Case
from calibrate.errors import OutputError
from calibrate.report import write_reports
from calibrate.report.cases import CasePage, case_pages
from calibrate.report.index import case_file

Make = Callable[..., Any]
PAGES = {"FIRST_PAGE": 4, "OTHER_PAGES": 3}


def pages_of(sample: Any) -> tuple[CasePage, ...]:
    return case_pages(sample.calibration)


def ids(page: CasePage) -> list[str]:
    return [case.id for group in page.groups for case in group.cases]


def case(identifier: str, ticket: str = "t", **more: Any) -> Case:
    return Case(identifier, {"ticket": ticket}, "billing", **more)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in PAGES.items():
        monkeypatch.setattr(f"calibrate.report.cases.{name}", size)


@pytest.mark.usefixtures("short_pages")
def test_cases_without_room_on_the_first_page_are_on_others(calibrated: Make) -> None:
    made = calibrated({"small": frozenset({2})}, cases=[case(f"c-{i}") for i in range(9)])
    pages = pages_of(made)
    assert [(p.number, p.pages, p.shown, p.of) for p in pages] == [
        (1, 3, "4 cases", "9"),
        (2, 3, "3 cases", "9"),
        (3, 3, "2 cases", "9"),
    ]
    assert ids(pages[0]) == ["c-2", "c-0", "c-1", "c-3"]
    assert [c for page in pages[1:] for c in ids(page)] == ["c-4", "c-5", "c-6", "c-7", "c-8"]
    passed = pages[0].groups[1]
    assert (passed.title, passed.count, passed.note) == (
        "Passed",
        "8 cases",
        "3 of them are on this page.",
    )


def test_a_page_that_has_all_cases_speaks_of_no_others(calibrated: Make) -> None:
    (page,) = pages_of(calibrated({"small": 2}))
    assert (page.pages, page.of, page.left_out) == (1, "", "")
    assert [group.note for group in page.groups] == ["", ""]


@pytest.mark.usefixtures("short_pages")
def test_where_there_are_too_many_answers_it_is_passes_that_are_left_out(
    calibrated: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrate.report.cases.MOST_ANSWERS", 5)
    made = calibrated({"small": frozenset({6, 8})}, cases=[case(f"c-{i}") for i in range(9)])
    first, second = pages_of(made)
    assert [*ids(first), *ids(second)] == ["c-6", "c-8", "c-0", "c-1", "c-2"]
    assert first.left_out == ("4 cases that every model passes are on no page: there are too many.")


def test_filters_know_what_is_true_of_a_case(calibrated: Make, outage: Failure) -> None:
    cases = [
        case("both-right"),
        case("small-wrong", tags={"shop": "b", "language": "de"}),
        case("large-wrong", critical=True),
        case("no-answer", tags={"shop": "a"}),
    ]
    made = calibrated(
        {
            "small": ["billing", "other", "billing", "billing"],
            "large": ["billing", "billing", "other", outage],
        },
        cases=cases,
    )
    assert made.calibration.decision.chosen.alias == "large"
    (page,) = pages_of(made)
    found = {c.id: (c.traits, c.slices) for group in page.groups for c in group.cases}
    assert page.slices == ("language = de", "shop = a", "shop = b")
    assert found == {
        "both-right": ("", ""),
        "small-wrong": ("differ", "2 0"),
        "large-wrong": ("differ missed critical", ""),
        "no-answer": ("differ missed unanswered", "1"),
    }
    assert page.traits == (
        ("differ", "Models differ"),
        ("missed", "The route fails"),
        ("unanswered", "A call failed"),
        ("critical", "Critical"),
    )


def test_of_repeats_the_worst_is_shown(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=[case("a"), case("b")]).calibration
    best, other = made.trials["small"]
    half = replace(best, repeat=1, answer="half", grade=replace(best.grade, score=0.5))
    none = replace(best, repeat=2, answer="none", grade=replace(best.grade, score=0.0))
    as_bad = replace(none, repeat=3, answer="as bad, and later")
    trials = {"small": (best, none, as_bad, half, other)}
    (page,) = case_pages(replace(made, trials=trials))
    shown = {c.id: c.answers[0].answer.text for group in page.groups for c in group.cases}
    assert shown == {"a": "as bad, and later", "b": other.answer}
    assert ids(page) == ["a", "b"]


def test_no_filter_is_offered_that_would_find_nothing(calibrated: Make) -> None:
    (page,) = pages_of(calibrated({"small": 0}, cases=[case("a")]))
    assert (page.traits, page.slices) == ((), ())


def test_slices_to_choose_from_are_the_frequent_ones(
    calibrated: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrate.report.filters.MOST_SLICES", 1)
    shops = ["a", "b", "b"]
    cases = [case(f"c-{i}", tags={"shop": shop}) for i, shop in enumerate(shops)]
    (page,) = pages_of(calibrated({"small": 0}, cases=cases))
    assert page.slices == ("shop = b",)
    assert [c.slices for c in page.groups[0].cases] == ["", "0", "0"]


def test_a_case_shows_the_messages_that_are_its_own(calibrated: Make) -> None:
    prompt = [
        {"role": "system", "content": "Answer with a queue."},
        {"role": "user", "content": "{{ input.ticket }}"},
        {"role": "user", "content": "Ticket: {{ input.ticket }}!"},
    ]
    cases = [case("a", "one"), case("b", "two")]
    (page,) = pages_of(calibrated({"small": 0}, cases=cases, prompt=prompt))
    shown = [[(m.name, m.text.text) for m in c.prompt] for c in page.groups[0].cases]
    assert shown == [[("user", "Ticket: one!")], [("user", "Ticket: two!")]]


def test_an_embedded_text_is_no_message_of_a_case(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=[case("a")])
    (trial,) = made.calibration.trials["small"]
    trials = {"small": (replace(trial, asked="about a"),)}
    (page,) = case_pages(replace(made.calibration, trials=trials))
    assert page.groups[0].cases[0].prompt == ()


def test_of_very_much_text_less_is_shown_of_each(
    calibrated: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [case(f"c-{i}", "x" * 5_000) for i in range(3)]
    made = calibrated({"small": 0}, cases=cases)
    assert shown_of(made) == (2_000, "the first 2,000 of 5,000 characters")
    monkeypatch.setattr("calibrate.report.cases.MOST_CHARACTERS", 3 * 507)
    assert shown_of(made) == (500, "the first 500 of 5,000 characters")
    monkeypatch.setattr("calibrate.report.cases.MOST_CHARACTERS", 0)
    assert shown_of(made) == (200, "the first 200 of 5,000 characters")


def shown_of(sample: Any) -> tuple[int, str]:
    text = pages_of(sample)[0].groups[0].cases[0].input[0].text
    return len(text.text), text.note


@pytest.mark.usefixtures("short_pages")
def test_further_pages_are_files_beside_that_lead_to_each_other(
    calibrated: Make, tmp_path: Path
) -> None:
    made = calibrated({"small": 0}, cases=[case(f"c-{i}") for i in range(9)])
    write_reports([made.calibration], made.project, made.policy, tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["_tickets.cases-2.html", "_tickets.cases-3.html", "index.html", "tickets.html"]
    own = (tmp_path / "tickets.html").read_text("utf-8")
    assert "4 cases of 9 are on this page, and filters look at these alone." in own
    assert '<span aria-current="page">1</span>' in own
    assert '<a href="_tickets.cases-2.html">2</a>' in own
    other = (tmp_path / "_tickets.cases-2.html").read_text("utf-8")
    assert '<a href="tickets.html">1</a>' in other
    assert '<bdi class="id">c-4</bdi>' in other
    assert '<bdi class="id">c-3</bdi>' not in other


@pytest.mark.usefixtures("short_pages")
def test_pages_that_an_earlier_run_had_more_of_are_removed(
    calibrated: Make, tmp_path: Path
) -> None:
    made = calibrated({"small": 0}, cases=[case(f"c-{i}") for i in range(9)])
    write_reports([made.calibration], made.project, made.policy, tmp_path)
    made = calibrated({"small": 0}, cases=[case(f"c-{i}") for i in range(5)])
    write_reports([made.calibration], made.project, made.policy, tmp_path)
    left = sorted(path.name for path in tmp_path.glob("_*"))
    assert left == ["_tickets.cases-2.html"]
    made = calibrated({})
    write_reports([made.calibration], made.project, made.policy, tmp_path)
    assert list(tmp_path.glob("_*")) == []


def test_a_page_that_cannot_be_removed_is_an_output_error(calibrated: Make, tmp_path: Path) -> None:
    (tmp_path / case_file("tickets", 2)).mkdir()
    made = calibrated({"small": 0})
    with pytest.raises(OutputError, match=r"cases-2\.html: cannot be removed"):
        write_reports([made.calibration], made.project, made.policy, tmp_path)
