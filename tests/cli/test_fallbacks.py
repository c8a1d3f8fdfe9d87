"""What a run says of its fallbacks: in the terminal, as JSON, in the policy and to the gate."""

from __future__ import annotations

import json
from typing import Any

import pytest
from answered import commit, record, write_cases

from calibrate.policy import load_policy

WRONG = {"small": range(14), "medium": range(90), "large": range(4)}  # of 200 cases; the bar is 0.5


@pytest.fixture
def answered(project: Any) -> Any:
    """A project of 200 recorded cases whose cheapest model is certified."""
    write_cases(project, 200)
    record(project, WRONG)
    project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.6")
    return project


def when_down(calibrate: Any, *arguments: str) -> list[dict[str, Any]]:
    found = calibrate("run", "--offline", "--json", *arguments)
    assert (found.status, found.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(found.stdout)["workflows"][0]["when_down"]
    return rows


def test_what_was_not_needed_is_not_measured_and_says_how_to_do_it(
    calibrate: Any, answered: Any
) -> None:
    text = " ".join(calibrate("run", "--offline").stdout.split())
    assert (
        "fallbacks not measured on these cases: medium, large; "
        "`calibrate run triage --cases all` asks them"
    ) in text
    rows = when_down(calibrate)
    assert [(row["model"], row["meets_bar"], row["estimate"]) for row in rows] == [
        ("medium", "not_measured", None),
        ("large", "not_measured", None),
    ]


def test_every_case_of_every_model_measures_them(calibrate: Any, answered: Any) -> None:
    medium, large = when_down(calibrate, "--cases", "all")
    assert (medium["down"], medium["meets_bar"], medium["misses"]) == (
        ["small"],
        "missed",
        ["quality"],
    )
    assert (medium["cases"], medium["estimate"]) == (200, 0.55)
    assert medium["lower_bound"] < 0.55
    assert (large["down"], large["meets_bar"], large["estimate"]) == (
        ["small", "medium"],
        "undecided",
        0.98,
    )
    text = " ".join(calibrate("run", "--offline", "--cases", "all").stdout.split())
    assert "if small is down: medium, 55.0 % of 200 cases, misses the bar of 60.0 %" in text
    entry = load_policy("routing-policy.yaml", verify=True).workflows["triage"]
    assert [found.meets_bar for found in entry.evidence.when_down] == ["missed", "undecided"]


def test_measured_fallbacks_make_no_policy_stale(calibrate: Any, answered: Any) -> None:
    when_down(calibrate)
    commit(answered.root)
    when_down(calibrate, "--cases", "all")
    assert calibrate("check").status == 0
    found = calibrate("ci", "--base", "HEAD")
    assert (found.status, "stale" in found.stdout) == (0, False)


def test_the_page_shows_them(calibrate: Any, answered: Any) -> None:
    when_down(calibrate, "--cases", "all")
    page = (answered.root / "reports/triage.html").read_text("utf-8")
    assert "When a model is down" in page
    assert "the bar of 60.0 %" in page.replace("\u00a0", " ")
