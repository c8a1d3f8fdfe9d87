"""The live report in a browser: it follows a run by itself, may be held, and asks nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from answered import record, write_cases
from axe_playwright_python.sync_playwright import Axe
from served import Served, served

from calibrate.cli.live import EVERY_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PATIENCE_MS = 4000 * EVERY_S


@dataclass
class Followed:
    """A server, and a page of it that is open, with what it did besides being shown."""

    server: Served
    page: Any
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@pytest.fixture
def followed(browser: Browser, project: Any) -> Iterator[Followed]:
    write_cases(project, 40)
    project.edit("evals/triage.yaml", "{pass_rate: 0.5,", "{pass_rate: 0.9,")
    record(project, {"small": {3}}, first=9)
    with served(project.root) as server:
        context = browser.new_context(viewport={"width": 390, "height": 900})
        found = Followed(server, context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda message: found.messages.append(message.text))
        found.page.on("pageerror", lambda error: found.messages.append(str(error)))
        found.page.goto(server.url)
        yield found
        context.close()


def test_a_page_follows_the_answers_by_itself_until_the_decision(
    followed: Followed, project: Any
) -> None:
    page = followed.page
    assert "9 of at most 120 answers stored" in page.locator("aside").inner_text()
    page.get_by_role("link", name="triage", exact=True).click()
    assert page.locator(".status").inner_text() == "Not decided yet"
    assert "small has answered the first 9 of 40 cases" in page.locator(".lead").inner_text()
    record(project, {"small": ()})
    page.get_by_text("triage goes to small").wait_for(timeout=PATIENCE_MS)
    assert page.locator(".status").inner_text() == "Certified"
    assert followed.messages == []
    assert all(url.startswith(followed.server.url) for url in followed.requests)
    assert len(followed.requests) >= 3


def test_a_page_that_is_held_stays_until_it_is_followed_again(
    followed: Followed, project: Any
) -> None:
    page = followed.page
    page.goto(f"{followed.server.url}triage.html")
    page.get_by_role("link", name="hold it").click()
    asked = len(followed.requests)
    record(project, {"small": ()})
    page.wait_for_timeout(1500 * EVERY_S)
    assert len(followed.requests) == asked
    assert page.locator(".status").inner_text() == "Not decided yet"
    page.get_by_role("link", name="follow it again").click()
    assert page.locator(".status").inner_text() == "Certified"
    assert followed.messages == []


@pytest.mark.parametrize("file", ["index.html", "triage.html"])
def test_a_live_page_is_accessible_and_stays_within_itself(followed: Followed, file: str) -> None:
    page = followed.page
    page.goto(f"{followed.server.url}{file}?hold")
    violations = Axe().run(page).response["violations"]
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in serious] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
