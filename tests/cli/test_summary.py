"""What a run prints of a workflow: each number with what it is compared with, in 80 columns."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from answered import record, write_cases
from numbers_shown import is_shown, numbers_in, values_in

from calibrate.cli import main

ROOT = Path(__file__).parent.parent.parent
CASES = 60
RUN = ("run", "--offline")


@pytest.fixture
def measured(project: Any) -> Any:
    """`small` fails, `medium` passes, `large` is the baseline and right throughout."""
    write_cases(project, CASES)
    project.edit("evals/triage.yaml", "{pass_rate: 0.5,", "{pass_rate: 0.8, latency_p95_s: 2,")
    record(project, {"small": range(0, CASES, 2), "medium": range(2), "large": ()})
    return project


def rows_of(stdout: str) -> dict[str, list[str]]:
    """Return the cells of the table's rows, by the first of each."""
    lines = stdout.partition("\n\n")[0].splitlines()
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
    return {row[0]: row[1:] for row in rows}


def test_the_first_row_is_what_each_column_is_compared_with(calibrate: Any, measured: Any) -> None:
    stdout = calibrate(*RUN).stdout
    rows = rows_of(stdout)
    assert rows["model"] == ["tier", "passed", "bound", "$ per 1k", "p95", "verdict"]
    # 20 x $10/M + 8 x $20/M: never asked, so about the most that a request can cost
    assert rows["bar, baseline"][:2] == ["≥ 80.0 %", "> 80.0 %"]
    assert rows["bar, baseline"][2].startswith("~$")
    assert rows["bar, baseline"][3] == "≤ 2.0 s"
    assert rows["medium"][0] == "balanced"
    assert rows["medium"][-1] == "certified"
    assert rows["large"][-1] == "not needed"
    assert "instead of $" in stdout
    assert "for the baseline large (estimated)" in " ".join(stdout.split())


def test_a_graded_bar_is_compared_with_a_score_and_its_tolerance(
    calibrate: Any, measured: Any
) -> None:
    measured.edit(
        "evals/triage.yaml",
        "{pass_rate: 0.8, latency_p95_s: 2,",
        "{mean_score: 0.8, tolerance: 0.05,",
    )
    rows = rows_of(calibrate(*RUN).stdout)
    assert rows["model"][1] == "score"
    assert rows["bar, baseline"][:2] == ["≥ 80.0 %", "> 75.0 %"]
    assert rows["bar, baseline"][-1] == "–"  # no target


def test_where_nothing_is_certified_it_says_to_keep_the_baseline(
    calibrate: Any, measured: Any
) -> None:
    measured.edit("evals/triage.yaml", "{pass_rate: 0.8,", "{pass_rate: 0.97,")
    stdout = " ".join(calibrate(*RUN).stdout.split())
    assert "nothing is certified at 97.0 % yet; keep the baseline large (frontier)." in stdout
    assert "No saving: keep the baseline, $" in stdout


def test_where_only_the_baseline_is_certified_it_says_to_keep_it(
    calibrate: Any, measured: Any
) -> None:
    (measured.root / "datasets/recordings/triage.jsonl.gz").unlink()
    wrong = range(0, CASES, 2)
    record(measured, {"small": wrong, "medium": wrong, "large": ()})
    stdout = calibrate(*RUN).stdout
    assert "triage goes to large (frontier): certified" in stdout
    assert "No saving: keep the baseline, $" in stdout


def test_a_baseline_that_failed_is_not_to_be_kept(calibrate: Any, measured: Any) -> None:
    (measured.root / "datasets/recordings/triage.jsonl.gz").unlink()
    record(measured, dict.fromkeys(("small", "medium"), range(CASES)) | {"large": range(55)})
    stdout = calibrate(*RUN).stdout
    assert "no model meets 80.0 %; large (frontier) comes nearest." in stdout
    assert "No saving: this is the baseline, $" in stdout


def test_a_further_attempt_says_what_it_may_spend(calibrate: Any, measured: Any) -> None:
    assert calibrate(*RUN).status == 0
    write_cases(measured, CASES + 1)
    record(measured, {"small": range(0, CASES + 1, 2), "medium": range(2)})
    found = calibrate(*RUN, "--json")
    alphas = {v["model"]: v["alpha"] for v in json.loads(found.stdout)["workflows"][0]["verdicts"]}
    write_cases(measured, CASES + 2)
    record(measured, {"small": range(0, CASES + 2, 2), "medium": range(2)})
    stdout = calibrate(*RUN).stdout
    share = f"{alphas['small'] / 2:.2g}"
    assert f"small: attempt 3 at this bar, so its share of the error is {share}" in stdout
    assert "medium: attempt" not in stdout  # one that certifies costs nothing


def test_a_model_that_is_no_candidate_is_named_with_the_reason(
    calibrate: Any, measured: Any
) -> None:
    measured.edit(
        "evals/tiers.yaml",
        "  medium:\n",
        "  near:\n    endpoint: local\n    name: near-1\n    method: nearest_example\n"
        "    price: {input_usd_per_mtok: 0.01}\n  medium:\n",
    )
    measured.edit("evals/tiers.yaml", "cheap: [small]", "cheap: [near, small]")
    stdout = calibrate(*RUN).stdout
    assert "near is no candidate: nearest_example needs a workflow with `labels`" in stdout


LONG = "n" * 200
RTL = "نموذج-صغير"
HOSTILE = "a\u202eb [red]c[/] :smile:"


@pytest.mark.parametrize("name", [LONG, RTL, HOSTILE], ids=["long", "rtl", "hostile"])
def test_80_columns_are_enough_for_any_name(
    name: str, calibrate: Any, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cases(project, CASES)
    project.edit("evals/tiers.yaml", "  small:\n", f"  {json.dumps(name)}:\n")
    tiers = f"  {json.dumps(name)}: [{json.dumps(name)}]"
    project.edit("evals/tiers.yaml", "  cheap: [small]", tiers)
    record(project, {name: ()})
    monkeypatch.setenv("COLUMNS", "80")
    found = calibrate(*RUN)
    assert (found.status, found.stderr) == (0, "")
    printed = [line for line in found.stdout.splitlines() if not line.startswith("report ")]
    assert max(map(len, printed)) <= 80
    shown = name.replace("\u202e", "?")
    assert shown in "".join(found.stdout.replace("\n", "")) or shown in " ".join(
        found.stdout.split()
    )
    assert "\u202e" not in found.stdout
    assert "certified" in found.stdout


def test_no_color_is_honoured(
    calibrate: Any, measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])m")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = calibrate(*RUN).stdout
    assert colour.search(coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = calibrate(*RUN).stdout
    assert not colour.search(plain)
    for word in ("certified", "failed", "not needed"):  # a colour never says anything alone
        assert word in plain


def strangers(stdout: str, document: Any) -> list[tuple[str, float]]:
    """Return the numbers that were printed and that the document does not have."""
    values = list(values_in(document))
    return [
        (line, number)
        for line in stdout.splitlines()
        for number, digits in numbers_in(line)
        if not any(is_shown(number, digits, value) for value in values)
    ]


class Shipped(NamedTuple):
    """What a run with cascades printed, in 80 columns and as JSON, and its pages."""

    text: str
    document: dict[str, Any]
    reports: Path


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    """Two shipped workflows; one's route is made a cascade, and one's cascades all fail."""
    root = tmp_path_factory.mktemp("shipped")
    for folder in ("evals", "datasets"):
        shutil.copytree(ROOT / folder, root / folder)
    for name, old, new in (
        ("review-sentiment", "pass_rate: 0.80", "pass_rate: 0.70\n  cascades: true"),
        ("support-simple", "confidence: 0.95", "confidence: 0.95\n  cascades: true"),
    ):
        file = root / "evals" / f"{name}.yaml"
        text = file.read_text("utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), "utf-8")

    def printed(*arguments: str) -> str:
        given = [*RUN, "review-sentiment", "support-simple", "--project", str(root)]
        out = io.StringIO()
        with redirect_stdout(out):
            assert main([*given, *arguments]) == 0
        return out.getvalue()

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("COLUMNS", "80")
        yield Shipped(printed(), json.loads(printed("--json")), root / "reports")


def test_every_number_that_is_printed_is_in_the_json(shipped: Shipped) -> None:
    assert len(numbers_in(shipped.text)) > 100
    assert strangers(shipped.text, shipped.document) == []
    assert strangers("spent $0.1357", shipped.document) == [("spent $0.1357", 0.1357)]


def test_80_columns_are_enough_for_the_shipped_workflows(shipped: Shipped) -> None:
    assert max(map(len, shipped.text.splitlines())) <= 80
    assert "…" not in shipped.text  # folded, and nothing is cut


def test_a_cascade_has_a_row_and_its_break_even(shipped: Shipped) -> None:
    found = shipped.document["workflows"][0]
    rate = re.escape(f"{100 * found['escalation']['estimate']:.1f} %")
    assert re.search(rf"^minilm, then +cheap +{rate} .* certified *$", shipped.text, re.MULTILINE)
    said = " ".join(shipped.text.split())
    assert re.search(r"minilm escalates \d+ % of requests: .+ \(break-even at 100 %\)", said)


def test_where_no_cascade_is_certified_terminal_json_and_page_say_why(shipped: Shipped) -> None:
    cascades = shipped.document["workflows"][1]["cascades"]
    assert cascades["cheapest"] is None
    best = cascades["pairs"][0]
    assert (best["cheap"], best["strong"]) == ("minilm", "qwen2.5-coder-0.5b")
    *_, why, hindsight = cascades["notes"]
    assert why.endswith(
        "the thresholds of a pair are tested once its dearer model alone is certified, and none "
        "is; the best of these, qwen2.5-coder-0.5b, has 73.7 %, bar 90.0 %"
    )
    assert hindsight.endswith(
        "passes 250 of 300, 83.3 %, lower bound 78.3 %, bar 90.0 %: it misses the bar on these "
        "cases, so more like them would not certify it"
    )
    said = " ".join(shipped.text.split())
    page = (shipped.reports / "support-simple.html").read_text("utf-8")
    for note in cascades["notes"]:
        assert note in said
    for note in (why, hindsight):
        assert f"{note[0].upper()}{note[1:]}." in page.replace("\u00a0", " ")
