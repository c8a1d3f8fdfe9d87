"""Every number on a page is one that `run --json` gives.

Two walks: each table cell is held against the very field that it shows, and every number of the
decision, the tables and the lists has to be one of the document's, rounded as it is shown.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from numbers_shown import is_shown, numbers_in, values_in

from calibrate.cli import main

ROOT = Path(__file__).parent.parent.parent
CASCADING = "review-sentiment"  # whose bar is lowered, so that a cascade is its route
FEW = 20  # calls, of which no p95 is shown

Row = dict[str, Any]


class Page(HTMLParser):
    """The tables of a page by the region that they stand in, and the texts that have numbers."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: dict[str, list[list[str]]] = {}
        self.figures: list[tuple[str, str]] = []  # a name, and its value with the note
        self.texts: list[tuple[str, str]] = []  # a place, and what stands there
        self._region = self._section = ""
        self._open: list[tuple[str, list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._section = given.get("aria-labelledby") or self._section
        self._region = given.get("aria-label") or self._region
        if tag == "br":
            self.handle_data(" ")
        if tag == "tr":
            self.rows.setdefault(self._region, []).append([])
        if tag in ("td", "th", "dt", "dd", "li", "summary") or given.get("class") in (
            "lead",
            "saving",
        ):
            self._open.append((tag, []))

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            return
        text = " ".join("".join(self._open.pop()[1]).split())
        if tag in ("td", "th"):
            self.rows[self._region][-1].append(text)
            place = self._region
        else:
            place = f"{self._section or 'header'}"
        if tag == "dt":
            self.figures.append((text, ""))
        if tag == "dd" and self.figures:
            self.figures[-1] = (self.figures[-1][0], text)
        self.texts.append((place, text))


class Found(NamedTuple):
    """A run's document with its pages."""

    document: Row
    pages: dict[str, Page]
    overview: Page

    @property
    def workflows(self) -> Iterator[tuple[Row, Page]]:
        for workflow in self.document["workflows"]:
            yield workflow, self.pages[workflow["workflow"]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Run the shipped project, one of its workflows with a cascade as its route."""
    root = tmp_path_factory.mktemp("ran")
    for folder in ("evals", "datasets"):
        shutil.copytree(ROOT / folder, root / folder)
    file = root / "evals" / f"{CASCADING}.yaml"
    text = file.read_text("utf-8").replace("pass_rate: 0.80", "pass_rate: 0.70\n  cascades: true")
    file.write_text(text, "utf-8")
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["run", "--project", str(root), "--offline", "--json"]) < 2
    document = json.loads(printed.getvalue())
    pages = {path.stem: Page(path.read_text("utf-8")) for path in (root / "reports").glob("*.html")}
    return Found(document, pages, pages.pop("index"))


def assert_shows(text: str, value: float | None, factor: float = 1) -> None:
    """Check that a text begins with a number rounded to its digits; a dash is none."""
    if value is None:
        assert text.startswith("–")
        return
    ((number, digits), *_) = numbers_in(text)
    assert abs(number - factor * value) <= 0.5001 * 10**-digits, text


def assert_seconds(text: str, value: float | None, calls: int = FEW) -> None:
    assert_shows(text, value if calls >= FEW else None, 1000 if text.endswith("ms") else 1)


def strangers(page: Page, document: Any) -> list[tuple[str, str, float]]:
    """Return the numbers of a page that the document does not have, with where they stand."""
    values = list(values_in(document))
    return [
        (place, text, number)
        for place, text in page.texts
        if place not in ("Filter the cases", "cases", "prompt", "provenance", "about", "origin")
        for number, digits in numbers_in(text)
        if not any(is_shown(number, digits, value) for value in values)
    ]


def by_model(rows: list[Row]) -> dict[str, Row]:
    return {row["model"]: row for row in rows}


def test_no_number_of_a_page_is_a_stranger_to_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        assert len(page.texts) > 60
        assert strangers(page, workflow) == []


def test_no_number_of_the_index_is_a_stranger_to_the_json(found: Found) -> None:
    assert strangers(found.overview, found.document) == []


def test_a_number_that_is_not_in_the_json_is_found(found: Found) -> None:
    workflow, page = next(iter(found.workflows))
    page.texts.append(("Candidates", "77.7713 %"))
    try:
        assert strangers(page, workflow) == [("Candidates", "77.7713 %", 77.7713)]
    finally:
        page.texts.pop()


def test_the_candidates_of_a_page_are_the_verdicts_of_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        rows = page.rows["Candidates"][1:]
        assert len(rows) == len(workflow["verdicts"])
        for row, verdict in zip(rows, workflow["verdicts"], strict=True):
            model, said, used, passed, rate, low, high, cost, latency, failed = row
            assert verdict["model"] in model
            assert verdict["tier"] in model
            is_needed = verdict["reason"] != "not_asked"
            assert (
                said.startswith(verdict["verdict"] if is_needed else "Not needed") or not is_needed
            )
            assert used.startswith(f"{verdict['cases_used']} of {verdict['cases']}")
            if verdict["cases_used"]:
                assert verdict["why"].replace("\u00a0", " ") in said
                assert passed == f"{verdict['passed']}/{verdict['cases_used']}"
                assert_shows(failed, verdict["failed_calls"])
            for shown, name in ((rate, "estimate"), (low, "lower_bound"), (high, "upper_bound")):
                assert_shows(shown, verdict[name], 100)
            assert_shows(cost, verdict["cost_usd_per_1k_requests"])
            assert cost.endswith(verdict["cost_basis"])
            assert_seconds(latency, verdict["latency_p95_s"], verdict["cases_used"])


def test_the_decision_is_that_of_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        said = {text for place, text in page.texts if place == "header"}
        assert {workflow["headline"], workflow["saving_in_words"]} <= {
            text.replace("\u00a0", " ") for text in said
        }
        figures = dict(page.figures)
        whole = workflow["escalation"] or next(
            v for v in workflow["verdicts"] if v["model"] == workflow["model"]
        )
        assert_shows(figures["Pass rate"], whole["estimate"], 100)
        money = workflow["money"]
        assert_shows(figures["Cost per 1,000 requests"], money["cost_usd_per_1k_requests"])
        assert figures["Cost per 1,000 requests"].endswith(money["cost_basis"])
        calls = whole.get("cases_used", whole["cases"])
        shown = figures["Latency, p95"].split(" ")
        assert_seconds(" ".join(shown[:2]), whole["latency_p95_s"], calls)


def test_the_costs_of_a_page_are_those_of_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        header, *rows = page.rows["Cost by part"]
        costs = by_model(workflow["details"]["costs"])
        assert [row[0] for row in rows] == list(costs)
        verdicts = by_model(workflow["verdicts"])
        for row in rows:
            cost, cells = costs[row[0]], dict(zip(header, row, strict=True))
            for part in header[2 : header.index("Total")]:
                assert_shows(cells[part], cost["parts"].get(part, 0))
            assert_shows(cells["Total"], cost["total"])
            assert cells["Rests on"] == f"{cost['answers']} answers"
            assert cells["Tokens a request"] == (
                f"{cost['input_tokens']:,} in, {cost['output_tokens']:,} out"
            )
            assert cells["Failed calls, in all"] == "none"
            if verdicts[row[0]]["cases_used"]:
                assert_shows(cells["Total"], verdicts[row[0]]["cost_usd_per_1k_requests"])


def test_the_parts_of_a_cascades_cost_add_up_to_that_of_the_route(found: Found) -> None:
    for workflow, page in found.workflows:
        cost = workflow["details"]["route_cost"]
        if workflow["workflow"] != CASCADING:
            assert (cost, "Cost of the route" in page.rows) == (None, False)
            continue
        rows = page.rows["Cost of the route"][1:]
        for row, name in zip(rows, ("first", "signal", "escalated", "total"), strict=True):
            assert_shows(row[-1], cost[name])
        route = workflow["escalation"]
        assert cost["total"] == pytest.approx(route["cost_usd_per_1k_requests"], rel=1e-4)
        assert cost["share"] == pytest.approx(route["escalated"])
        assert cost["total"] == pytest.approx(cost["first"] + cost["signal"] + cost["escalated"])


def test_the_latencies_of_a_page_are_those_of_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        details = by_model(workflow["details"]["latency"])
        has_target = workflow["bar"]["latency_p95_s"] is not None
        rows = page.rows["Latency"][1:]
        assert [row[0] for row in rows] == list(details)
        for model, calls, p50, p95, longest, *late in rows:
            one = details[model]
            assert calls == f"{one['calls']} calls"
            assert_seconds(p50, one["p50_s"])
            assert_seconds(p95, one["p95_s"], one["calls"])
            assert_seconds(longest, one["longest_s"])
            assert late == ([f"{one['late']} of {one['calls']}"] if has_target else [])


def test_the_slices_of_a_page_are_those_of_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        counts = {
            (one["tag"], one["value"], one["model"]): one for one in workflow["details"]["tags"]
        }
        asked = by_model(workflow["details"]["answers"])
        regions = [name for name in page.rows if name.startswith("Pass rate by ")]
        assert regions
        seen = 0
        for region in regions:
            (_, *models), *rows = page.rows[region]
            names = [next(name for name in asked if shown.startswith(name)) for shown in models]
            for value, *cells in rows:
                for name, cell in zip(names, cells, strict=True):
                    count = counts[region.removeprefix("Pass rate by "), value, name]
                    rate = count["passed"] / count["cases"] if count["cases"] else None
                    assert_shows(cell, rate, 100)
                    if count["cases"]:
                        assert f"{count['passed']}/{count['cases']}" in cell
                    seen += 1
        assert seen == len(counts)


def test_the_confusion_of_a_page_is_that_of_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        counts = {
            (one["model"], one["expected"], one["answered"]): one["cases"]
            for one in workflow["details"]["labels"]
        }
        totals = {
            (one["model"], one["expected"]): one["cases"]
            for one in workflow["details"]["label_totals"]
        }
        regions = [name for name in page.rows if name.startswith("Labels answered by ")]
        assert bool(regions) == bool(counts) == (workflow["workflow"] != "order-extract")
        total = 0
        for region in regions:
            (_, *labels, _), *rows = page.rows[region]
            model = region.removeprefix("Labels answered by ")
            for expected, *cells, cases in rows:
                found_here = [counts.get((model, expected, label), 0) for label in labels]
                assert cells == [str(count) for count in found_here]
                assert cases == str(sum(found_here)) == str(totals.get((model, expected), 0))
                total += sum(found_here)
        assert total == sum(counts.values())


def test_the_fields_of_a_page_are_those_of_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        counts = {(one["field"], one["model"]): one for one in workflow["details"]["fields"]}
        models = list(dict.fromkeys(one["model"] for one in workflow["details"]["fields"]))
        rows = page.rows.get("Accuracy by field", [[]])[1:]
        assert bool(rows) == bool(counts) == (workflow["workflow"] == "order-extract")
        for field, *cells in rows:
            for model, cell in zip(models, cells, strict=True):
                one = counts[field, model]
                assert_shows(cell, one["right"] / one["compared"], 100)
                assert cell.endswith(f"{one['right']}/{one['compared']}")


def test_signals_and_pairs_of_a_page_are_those_of_the_json(found: Found) -> None:
    for workflow, page in found.workflows:
        cascades = workflow["cascades"]
        assert (cascades is not None) == (workflow["workflow"] == CASCADING)
        if cascades is None:
            continue
        for row, one in zip(page.rows["Signals"][1:], cascades["signals"], strict=True):
            assert (row[0], row[1]) == (one["model"], one["signal"])
            assert_shows(row[3], one["auroc"])
        pairs = page.rows["Pairs"][1:]
        for row, one in zip(pairs, cascades["pairs"], strict=True):
            first, to, where, escalated, quality, low, cost, needed, thresholds = row
            best = one["best"]
            assert (first, to) == (one["cheap"], one["strong"])
            assert thresholds == (
                f"{one['certified']} of {one['thresholds']} {one['tested']} tested"
            )
            assert where.startswith(f"{one['signal']} below ")
            assert quality.endswith(f"{best['passed']}/{best['cases']}")
            assert_shows(escalated, best["escalated"], 100)
            assert_shows(quality, best["estimate"], 100)
            assert_shows(low, best["lower_bound"], 100)
            assert_shows(cost, best["cost_usd_per_request"], 1000)
            assert_shows(needed, best["cases_to_settle"])


def test_the_fallbacks_of_a_page_are_those_of_the_json(found: Found) -> None:
    seen = 0
    for workflow, page in found.workflows:
        rows = page.rows.get("Fallbacks", [[]])[1:]
        for row, one in zip(rows, workflow["when_down"], strict=True):
            text = " ".join(row)
            assert one["model"] in text
            assert all(model in text for model in one["down"])
            shown = {round(number, digits) for number, digits in numbers_in(text)}
            if one["estimate"] is not None:
                assert round(100 * one["estimate"], 1) in shown
                assert one["cases"] in shown
            seen += 1
    assert seen


def test_what_would_change_is_said_in_the_same_words(found: Found) -> None:
    for workflow, page in found.workflows:
        said = [text.replace("\u00a0", " ") for place, text in page.texts if place == "changes"]
        assert said == workflow["details"]["what_would_change"]


def test_the_index_has_the_same_numbers(found: Found) -> None:
    by_name = {row[0]: row for row in found.overview.rows["Workflows"][1:]}
    for workflow, _ in found.workflows:
        _, _, route, rate, bar, latency, cost, saving, month = by_name[workflow["workflow"]]
        (verdict,) = [v for v in workflow["verdicts"] if v["model"] == workflow["model"]]
        whole = workflow["escalation"] or verdict
        calls = whole.get("cases_used", whole["cases"])
        money = workflow["money"]
        assert route.startswith(f"{workflow['model']} {workflow['tier']}")
        assert_shows(rate, whole["estimate"], 100)
        assert f"{calls} of {verdict['cases']} cases used" in rate
        assert_shows(bar, workflow["bar"]["floor"], 100)
        assert_seconds(latency, whole["latency_p95_s"], calls)
        assert_shows(cost, money["cost_usd_per_1k_requests"])
        assert_shows(month, money["usd_per_month"])
        if workflow["model"] == money["baseline"]:
            assert saving == "– this is the baseline"
        elif not saving.startswith("over 99 %"):
            assert_shows(saving, money["saving"], 100)


def test_the_totals_of_the_index_are_those_of_the_json(found: Found) -> None:
    totals = found.document["totals"]
    figures = dict(found.overview.figures)
    assert_shows(figures["A day"], totals["usd_per_day"])
    assert_shows(figures["A month of 30 days"], totals["usd_per_month"])
    money = [workflow["money"] for workflow, _ in found.workflows]
    assert totals["workflows"] == len(money)
    for name in ("usd_per_month", "baseline_usd_per_month"):
        assert totals[name] == pytest.approx(sum(one[name] for one in money), rel=1e-4)
