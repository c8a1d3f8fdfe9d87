"""Every page, in both themes, on a phone and on a desk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from .conftest import HOSTILE, LONG_NAME, RIGHT_TO_LEFT

Open = Callable[..., Any]
PAGES = [
    "index.html",
    "tickets.html",
    "hostile.html",
    "orders.html",
    "escalated.html",
    f"{LONG_NAME}.html",
    "many.html",
    "_many.cases-2.html",
]


@pytest.fixture(params=PAGES, ids=[name[:20] for name in PAGES])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def open_everything(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_is_accessible_and_stays_within_itself(
    name: str, theme: str, width: int, opened: Open, folder: Path
) -> None:
    found = opened(name, width=width, color_scheme=theme)
    if name != "many.html":  # five hundred cases alike: closed they will do
        open_everything(found.page)
    violations = Axe().run(found.page).response["violations"]
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in serious] == []
    assert found.messages == []
    assert found.requests == [(folder / name).as_uri()]
    assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_each_theme_has_its_own_colours(opened: Open) -> None:
    colour = "getComputedStyle(document.querySelector('.chart text')).fill"
    paper = "getComputedStyle(document.body).backgroundColor"
    pages = [opened("tickets.html", color_scheme=theme).page for theme in ("light", "dark")]
    assert pages[0].evaluate(paper) == "rgb(255, 255, 255)"
    assert pages[0].evaluate(paper) != pages[1].evaluate(paper)
    assert pages[0].evaluate(colour) != pages[1].evaluate(colour)


def test_charts_fit_and_can_be_read_on_a_phone(opened: Open) -> None:
    page = opened("tickets.html", width=390).page
    for chart in page.locator(".chart").all():
        box = chart.locator("svg").bounding_box()
        if box is not None:  # in an open group
            assert box["x"] > 0
            assert box["x"] + box["width"] <= 390
    heights = page.evaluate(
        "[...document.querySelectorAll('figure > .chart text')]"
        ".map((one) => one.getBoundingClientRect()).filter((box) => box.width)"
        ".map((box) => Math.max(box.width, box.height))"
    )
    assert min(heights) >= 6


def test_hostile_text_is_text(opened: Open) -> None:
    found = opened("hostile.html")
    open_everything(found.page)
    page = found.page
    assert page.evaluate("window.hacked") is None
    assert page.locator("script").count() == 1
    assert page.locator("main img, main iframe, main a").count() == 0
    shown = page.locator(".answers li").first.text_content()
    assert "</script></style></details><script>window.hacked = 1</script>" in shown
    assert "{{ 7 * 7 }} ⟨U+202E⟩evil ␛[31mred␛[0m ␀␇" in shown
    assert "\u202e" not in page.content()
    page.locator("main").hover()
    assert page.evaluate("window.hacked") is None
    assert HOSTILE[:20] in page.locator("h2#about + p").inner_text()


def test_a_megabyte_and_invalid_text_are_shown_in_part(opened: Open) -> None:
    page = opened("hostile.html").page
    open_everything(page)
    long = page.locator(".case", has_text="long").locator(".answers li").first.text_content()
    assert "the first 2,000 of 1,050,000 characters" in long
    invalid = page.locator(".case", has=page.get_by_text("invalid", exact=True))
    assert "� broken �" in invalid.locator(".answers li").first.text_content()


def test_right_to_left_text_runs_from_right_to_left(opened: Open) -> None:
    page = opened("hostile.html").page
    open_everything(page)
    answer = page.locator(".answers .text", has_text=RIGHT_TO_LEFT)
    assert answer.evaluate("(one) => getComputedStyle(one).direction") == "rtl"
    assert page.evaluate("getComputedStyle(document.body).direction") == "ltr"


def test_a_script_that_got_in_all_the_same_could_not_run(opened: Open) -> None:
    found = opened("tickets.html")
    found.page.evaluate(
        "() => { const one = document.createElement('script');"
        " one.textContent = 'window.hacked = 1'; document.body.append(one);"
        " document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked=2\">');"
        " fetch('https://example.com').catch(() => {}); }"
    )
    found.page.wait_for_timeout(100)
    assert found.page.evaluate("window.hacked") is None
    assert len(found.messages) >= 3
    assert all("Content Security Policy" in message for message in found.messages)


def test_print_leaves_out_what_cannot_be_used_on_paper(opened: Open) -> None:
    page = opened("tickets.html").page
    assert page.locator("#filters").is_visible()
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible()
    assert page.locator(".candidates").is_visible()
