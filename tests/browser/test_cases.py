"""Filters, the keyboard, and the same page without a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[..., Any]


@pytest.fixture
def page(opened: Open) -> Any:
    return opened("tickets.html").page


def ids(page: Any) -> list[str]:
    """Return the cases that can be seen."""
    found: list[str] = page.locator(".case:visible .id").all_inner_texts()
    return found


def shown(page: Any) -> str:
    return str(page.locator("#shown").inner_text())


def test_the_boxes_are_combined(page: Any) -> None:
    assert shown(page) == "60 cases"
    assert ids(page) == []  # the groups are closed
    page.get_by_label("A call failed").check()
    assert ids(page) == [f"t-{i:03}" for i in (0, 30, *range(0, 60, 7)[1:]) if i % 7 == 0]
    assert shown(page) == "9 of 60 cases"
    page.get_by_label("Critical", exact=True).check()
    assert ids(page) == ["t-000"]
    assert shown(page) == "1 of 60 cases"


def test_a_slice_and_a_text_narrow_what_is_shown(page: Any) -> None:
    page.get_by_label("Slice").select_option("language = de")
    assert shown(page) == "15 of 60 cases"
    page.get_by_label("Text").fill("TICKET 12:")
    assert ids(page) == ["t-012"]
    page.get_by_label("Text").fill("no such text")
    assert ids(page) == []
    assert shown(page) == "0 of 60 cases"
    assert page.locator("details.cases:visible").count() == 0


def test_text_is_looked_for_in_answers_and_reasons_too(page: Any) -> None:
    page.get_by_label("Text").fill("the server said 500")
    assert shown(page) == "9 of 60 cases"


def test_clear_shows_everything_again(page: Any) -> None:
    page.get_by_label("Text").fill("ticket 12:")
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function("document.getElementById('shown').textContent === '60 cases'")
    assert page.locator(".case[hidden]").count() == 0
    assert page.get_by_label("Text").input_value() == ""


def test_enter_in_the_text_leaves_the_page_where_it_is(page: Any) -> None:
    url = page.url
    page.get_by_label("Text").fill("ticket 12:")
    page.keyboard.press("Enter")
    assert page.url == url
    assert ids(page) == ["t-012"]


def test_everything_can_be_done_from_the_keyboard(page: Any) -> None:
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.inner_text() == "Skip to the content"
    assert focused.bounding_box()["x"] >= 0  # seen, now that it has the focus
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "critical":
            break
    page.keyboard.press("Space")
    assert shown(page) == "6 of 60 cases"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.case > summary')"):
            break
    page.keyboard.press("Enter")
    assert page.locator(".case[open]").count() == 1
    assert page.locator(".case[open] .answers").is_visible()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_without_a_script_every_case_is_there(opened: Open) -> None:
    page = opened("tickets.html", java_script_enabled=False).page
    assert not page.locator("#filters").is_visible()
    assert page.locator(".case").count() == 60
    page.locator("details.cases > summary").first.click()
    page.locator(".case:visible > summary").first.click()
    assert page.locator(".case[open] .answers").first.is_visible()


def test_pages_of_cases_lead_to_each_other(opened: Open) -> None:
    page = opened("many.html").page
    assert page.locator(".case").count() == 500
    assert ids(page) == []
    page.get_by_role("navigation", name="Pages of cases").get_by_role("link", name="2").click()
    assert page.locator(".case").count() == 120
    page.get_by_label("Text").fill("ticket 619")
    assert ids(page) == ["m-0619"]
    page.get_by_role("link", name="many").click()
    assert page.locator("h1").inner_text() == "many"


def test_the_index_leads_to_every_page(opened: Open) -> None:
    page = opened("index.html").page
    page.get_by_role("link", name="tickets", exact=True).click()
    assert page.locator("h1").inner_text() == "tickets"
    page.get_by_role("link", name="All workflows").click()
    assert page.locator("h1").inner_text() == "Routing policy"
