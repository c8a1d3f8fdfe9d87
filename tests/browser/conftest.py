"""Pages in a real Chromium: what it shows, runs and loads. `make test-browser` sets it up."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from calibrations import Sample, sample

from calibrate.completion import Failure, FailureReason
from calibrate.dataset import Case
from calibrate.decide import Cascades, EscalatedRoute, SignalFinding, Status
from calibrate.policy import Policy
from calibrate.report import write_reports
from calibrate.trial import Trial

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Elsewhere than in its own environment there is no browser to drive.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HOSTILE = (
    "</script></style></details><script>window.hacked = 1</script>"
    "<img src=x onerror='window.hacked = 2'><svg onload='window.hacked = 3'>"
    "\" onmouseover='window.hacked = 4' {{ 7 * 7 }} \u202eevil \x1b[31mred\x1b[0m \x00\x07"
)
INVALID = "\ud800 broken \udfff"  # what is left of bytes that are no UTF-8
LONG_NAME = "a-name-of-two-hundred-characters-" + "x" * 167
RIGHT_TO_LEFT = "שלום, ההזמנה שלי לא הגיעה"


@dataclass
class Opened:
    """A page that is open, with what it did besides being shown."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def tickets() -> Sample:
    cases = [
        Case(
            f"t-{i:03}",
            {"ticket": f"Ticket {i}: {'my parcel is late' if i % 2 else 'my card was charged'}"},
            ["billing", "shipping", "other"][i % 3],
            critical=i % 10 == 0,
            tags={"language": "en" if i % 4 else "de", "shop": f"shop-{i % 3}"},
        )
        for i in range(60)
    ]
    outage = Failure(FailureReason.SERVER_ERROR, "the server said 500", status=500)
    small = [str(c.expected) if i % 7 else outage for i, c in enumerate(cases)]
    answers = {"small": small, "medium": 30, "large": 0}
    return sample(answers, cases=cases, bar={"pass_rate": 0.8, "latency_p95_s": 0.2})


def hostile() -> Sample:
    bad = HOSTILE
    cases = [Case(f"{bad}{i}", {bad: bad}, "billing", tags={bad: bad}) for i in range(3)]
    cases.append(Case("right-to-left", {"ticket": RIGHT_TO_LEFT}, "billing"))
    cases.append(Case("long", {"ticket": "t"}, "billing"))
    cases.append(Case("invalid", {"ticket": "t"}, "billing"))
    small = [bad, bad, "billing", RIGHT_TO_LEFT, "<b>" * 350_000, INVALID]
    return sample(
        {"small": small, "medium": [bad, *["billing"] * 5]},
        cases=cases,
        description=bad,
        name="hostile",
        prompt=[{"role": "user", "content": f"{{% raw %}}{bad}{{% endraw %}}"}],
    )


def orders() -> Sample:
    expected = {"number": "A-1", "total": 12.5}
    cases = [Case(f"o-{i}", {"email": f"e-mail {i}"}, expected) for i in range(40)]
    return sample(
        {"small": '{"number": "A-1"}', "medium": json.dumps(expected)},
        cases=cases,
        name="orders",
        labels=None,
        graders=[{"json_fields": {"fields": {"total": "number"}}}],
        prompt=[{"role": "user", "content": "Read: {{ input.email }}"}],
        bar={"mean_score": 0.7},
        traffic=None,
    )


def escalated() -> Sample:
    """A cheap model that knows when it is wrong, mostly, and a dear one that is right."""
    cases = [Case(f"e-{i:03}", {"ticket": f"ticket {i}"}, "billing") for i in range(100)]
    small = ["other" if i % 4 == 0 else "billing" for i in range(100)]
    made = sample({"small": small, "large": 0}, cases=cases, name="escalated")
    calibration = made.calibration
    sure = [-1.2 + (i % 10) / 20 if i % 4 == 0 else -0.8 + (i % 17) / 20 for i in range(100)]
    trials = tuple(
        replace(trial, signals={"answer_logprob": round(signal, 3)})
        for trial, signal in zip(calibration.trials["small"], sure, strict=True)
        if isinstance(trial, Trial)
    )
    first, _, last = calibration.task.field.candidates
    route = EscalatedRoute(
        first, last, "answer_logprob", -0.7, 0.3, 0.98, 0.01, 100, 0.97, 97, 0.9, 0.00017, 0.5, 0
    )
    signals = (SignalFinding("small", "answer_logprob", 1.0, "informative", 0.94, 0.9, 0.98),)
    decision = replace(calibration.decision, chosen=first, escalation=route, fallbacks=(last,))
    found = replace(
        calibration,
        trials={**calibration.trials, "small": trials},
        cascades=Cascades(1, route, signals, 20, 5),
        decision=replace(decision, status=Status.CERTIFIED, verdict=calibration.verdicts[0]),
    )
    return replace(made, calibration=found)


def nothing() -> Sample:
    return sample({}, name=LONG_NAME)


def many() -> Sample:
    cases = [Case(f"m-{i:04}", {"ticket": f"ticket {i}"}, "billing") for i in range(620)]
    return sample({"small": frozenset({600}), "medium": 0}, cases=cases, name="many")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of all samples, with an index that has something to compare with."""
    samples = [tickets(), hostile(), orders(), escalated(), nothing(), many()]
    calibrations = [one.calibration for one in samples]
    workflows = {c.task.name: c.task.workflow for c in calibrations}
    entries = {name: entry for one in samples for name, entry in one.policy.workflows.items()}
    project = replace(samples[0].project, workflows={**workflows, "never-run": workflows["many"]})
    policy = Policy(1, "calibrate", {}, entries)
    moved = replace(entries["tickets"], model="large", tier="frontier", status="uncertified")
    previous = Policy(1, "calibrate", {}, {"tickets": moved, "gone": moved})
    path = tmp_path_factory.mktemp("pages")
    write_reports(calibrations, project, policy, path, previous=previous)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, f"no browser: install one of {', '.join(BROWSERS)}, or name it in CHROMIUM"
    with sync_playwright() as playwright:
        # Where the tests run as root, as in a container, Chromium has no sandbox of its own.
        is_root = os.geteuid() == 0
        options = ["--no-sandbox"] if is_root else []
        started = playwright.chromium.launch(executable_path=found, args=options)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Callable[..., Opened]]:
    """`opened("tickets.html", width=390, color_scheme="dark")` opens a page and watches it."""
    contexts = []

    def open_page(name: str, *, width: int = 1280, **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        result = Opened(context.new_page())
        result.page.on("request", lambda request: result.requests.append(request.url))
        result.page.on("console", lambda message: result.messages.append(message.text))
        result.page.on("pageerror", lambda error: result.messages.append(str(error)))
        result.page.on("dialog", lambda dialog: result.messages.append(dialog.message))
        result.page.goto((folder / name).as_uri())
        return result

    yield open_page
    for context in contexts:
        context.close()
