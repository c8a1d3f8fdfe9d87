"""Every number on a page is the one that `run --json` gives."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from calibrate.cli import main

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = ["support-simple", "order-extract"]


class Tables(HTMLParser):
    """The rows of every table, by the name of the region that it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: dict[str, list[list[str]]] = {}
        self._region = ""
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._region = dict(attrs).get("aria-label") or self._region
        if tag == "tr":
            self.rows.setdefault(self._region, []).append([])
        if tag in ("td", "th"):
            self._cell = []

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.rows[self._region][-1].append(" ".join("".join(self._cell).split()))
            self._cell = None


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ran")


@pytest.fixture
def found(ran: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the JSON of a run whose pages lie in a folder of the test."""
    given = ["run", *WORKFLOWS, "--project", str(ROOT), "--offline", "--json"]
    assert main([*given, "--report", str(ran / "pages"), "--policy", str(ran / "p.yaml")]) < 2
    workflows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["workflows"]
    return workflows


def assert_shows(text: str, value: float | None, factor: float = 1) -> None:
    """Check that a text is a number rounded to the digits that it shows; a dash is none."""
    if value is None:
        assert text.startswith("–")
        return
    (number,) = re.findall(r"\$?([\d,]+(?:\.\d+)?)", text)[:1]
    digits = len(number.partition(".")[2])
    assert abs(float(number.replace(",", "")) - factor * value) <= 0.5001 * 10**-digits, text


def test_the_candidates_of_a_page_are_the_verdicts_of_the_json(
    ran: Path, found: list[dict[str, Any]]
) -> None:
    assert [workflow["workflow"] for workflow in found] == WORKFLOWS
    for workflow in found:
        text = (ran / "pages" / f"{workflow['workflow']}.html").read_text("utf-8")
        rows = Tables(text).rows["Candidates"][1:]
        assert len(rows) == len(workflow["verdicts"])
        for row, verdict in zip(rows, workflow["verdicts"], strict=True):
            model, said, used, passed, rate, low, high, cost, latency, failed = row
            assert verdict["model"] in model
            assert verdict["tier"] in model
            assert said.startswith(verdict["verdict"])
            assert verdict["why"].replace("\u00a0", " ") in said
            assert used.startswith(f"{verdict['cases_used']} of {verdict['cases']}")
            assert passed == f"{verdict['passed']}/{verdict['cases_used']}"
            for shown, name in ((rate, "estimate"), (low, "lower_bound"), (high, "upper_bound")):
                assert_shows(shown, verdict[name], 100)
            assert_shows(cost, verdict["cost_usd_per_1k_requests"])
            assert cost.endswith(verdict["cost_basis"])
            is_few = verdict["cases_used"] < 20
            in_ms = latency.endswith("ms")
            assert_shows(
                latency, None if is_few else verdict["latency_p95_s"], 1000 if in_ms else 1
            )
            assert_shows(failed, verdict["failed_calls"])


def test_the_costs_of_a_page_add_up_to_those_of_the_json(
    ran: Path, found: list[dict[str, Any]]
) -> None:
    for workflow in found:
        text = (ran / "pages" / f"{workflow['workflow']}.html").read_text("utf-8")
        header, *rows = Tables(text).rows["Cost by part"]
        totals = {row[0]: row[header.index("Total")] for row in rows}
        costs = {v["model"]: v["cost_usd_per_1k_requests"] for v in workflow["verdicts"]}
        assert set(totals) == {v["model"] for v in workflow["verdicts"] if v["cases_used"]}
        for model, total in totals.items():
            assert_shows(total, costs[model])


def test_the_index_has_the_same_numbers(ran: Path, found: list[dict[str, Any]]) -> None:
    rows = Tables((ran / "pages" / "index.html").read_text("utf-8")).rows["Workflows"][1:]
    by_name = {row[0]: row for row in rows}
    for workflow in found:
        _, _, route, rate, _, _, cost, *_ = by_name[workflow["workflow"]]
        (verdict,) = [v for v in workflow["verdicts"] if v["model"] == workflow["model"]]
        assert route == f"{workflow['model']}{workflow['tier']}"
        assert_shows(rate, verdict["estimate"], 100)
        assert f"{verdict['cases_used']} of {verdict['cases']} cases used" in rate
        assert_shows(cost, verdict["cost_usd_per_1k_requests"])
