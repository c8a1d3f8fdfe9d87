"""`calibrate replay`: decide from a table of outcomes that already exist."""

from __future__ import annotations

import json

import pytest

HEADER = "item_id,task,model,score,cost_usd\n"


def rows(task: str, model: str, passed: int, n: int, cost: str = "") -> str:
    return "".join(f"i{at},{task},{model},{int(at < passed)},{cost}\n" for at in range(n))


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of two tasks in the current folder, outside any project."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "t.csv"
    path.write_text(
        HEADER
        + rows("sort", "small", 70, 100, "0.001")
        + rows("sort", "[b]medium", 99, 100, "0.002")
        + rows("sort", "large", 101, 101, "0.004")
        + rows("sum", "only", 45, 50),
        encoding="utf-8",
    )
    return path


def test_each_task_is_a_table_and_a_decision(calibrate, table) -> None:
    status, stdout, stderr = calibrate("replay", "t.csv", "--pass-rate", "0.9")
    assert (status, stderr) == (0, "")
    assert [line.rstrip() for line in stdout.splitlines()] == [
        "sort: 100 items, bar 90.0 %, 1 left out that some model lacks",
        "model        score  bound ≥        p  $ per 1k  verdict",
        "small       70.0 %   61.6 %        1     $1.00  failed",
        "[b]medium   99.0 %   95.3 %  0.00017     $2.00  certified",
        "large      100.0 %   97.0 %    3e-05     $4.00  certified",
        "goes to [b]medium: certified; 50.0 % of the cost of large",
        "",
        "sum: 50 items, bar 90.0 %",
        "model   score  bound ≥  p  $ per 1k  verdict",
        "only   90.0 %   80.1 %  1         –  undecided",
        "nothing is certified; keep only; no costs: the first name stands for the cheapest",
        "",
        "2 tasks: 1 certified, 1 uncertified, 0 unmet",
    ]


def test_json_is_the_documented_document(calibrate, table) -> None:
    status, stdout, stderr = calibrate("replay", "t.csv", "--pass-rate", "0.9", "--json")
    assert (status, stderr) == (0, "")
    document = json.loads(stdout)
    assert (list(document), document["schema"]) == (["schema", "tasks"], 1)
    sort, total = document["tasks"]
    evidence, verdicts = sort.pop("evidence"), sort.pop("verdicts")
    assert sort == {
        "task": "sort",
        "status": "certified",
        "model": "[b]medium",
        "route": {"model": "[b]medium", "escalation": None},
        "baseline": "large",
        "cost_usd_per_item": 0.002,
        "baseline_cost_usd_per_item": 0.004,
        "relative_cost": 0.5,
    }
    assert evidence["bar"] == {"pass_rate": 0.9, "baseline": "best", "confidence": 0.95}
    assert (evidence["rule"], evidence["test"], evidence["order"]) == ("full", "exact", "cost")
    assert (evidence["items_left_out"], evidence["cases_used"], evidence["passed"]) == (1, 100, 99)
    assert (evidence["candidates"], evidence["alpha_spent"], evidence["saving"]) == (3, 0.05, 0.5)
    assert evidence["signature"] == (
        "sort|model:[b]medium|n:100|bar:pass_rate=0.9,baseline=best|alpha:0.05/3|test:exact-full"
    )
    assert [row["model"] for row in evidence["rejected"]] == ["small", "large"]
    assert [(row["model"], row["verdict"], row["reason"]) for row in verdicts] == [
        ("small", "failed", "quality"),
        ("[b]medium", "certified", "quality"),
        ("large", "certified", "quality"),
    ]
    assert (total["status"], total["relative_cost"], total["cost_usd_per_item"]) == (
        *("uncertified", None, None),
    )
    assert total["evidence"]["cost_basis"] is None


def test_a_task_that_no_model_meets_is_a_no(calibrate, table) -> None:
    table.write_text(HEADER + rows("t", "m", 10, 50), encoding="utf-8")
    status, stdout, stderr = calibrate("replay", "t.csv", "--pass-rate", "0.9")
    assert (status, stderr) == (1, "")
    assert "no model meets the bar; m comes nearest" in stdout
    assert stdout.endswith("1 task: 0 certified, 0 uncertified, 1 unmet\n")


def test_options_reach_the_decision(calibrate, table) -> None:
    arguments = ("--of-baseline", "0.8", "--baseline", "large", "--confidence", "0.9")
    table.write_text(
        HEADER + rows("t", "small", 40, 100, "1") + rows("t", "large", 90, 100, "2"),
        encoding="utf-8",
    )
    status, stdout, _ = calibrate(
        "replay", "t.csv", *arguments, "--cases", "60", "--seed", "3", "--json"
    )
    (task,) = json.loads(stdout)["tasks"]
    assert (status, task["baseline"], task["evidence"]["cases"]) == (0, "large", 60)
    assert task["evidence"]["bar"] == {
        "of_baseline": 0.8,
        "baseline": "large",
        "confidence": 0.9,
    }
    assert (task["evidence"]["test"], task["evidence"]["floor"]) == ("betting", None)
    _, stdout, _ = calibrate("replay", "t.csv", *arguments)
    assert stdout.startswith("t: 100 items, bar 80.0 % of large\n")


def test_many_tasks_are_counted(calibrate, table) -> None:
    table.write_text(
        HEADER + "".join(rows(f"t{at:02d}", "m", 30, 30) for at in range(42)), encoding="utf-8"
    )
    status, stdout, _ = calibrate("replay", "t.csv", "--pass-rate", "0.9")
    assert (status, "\nt39: " in stdout, "\nt40: " in stdout) == (0, True, False)
    assert stdout.endswith(
        "42 tasks: 42 certified, 0 uncertified, 0 unmet; the first 40 are shown, --json has all\n"
    )


def test_the_bar_must_be_given(calibrate, table) -> None:
    assert calibrate("replay", "t.csv") == (
        *(2, "", "error: give the bar: --pass-rate P, --of-baseline R, or both\n"),
    )


@pytest.mark.parametrize(
    ("option", "value", "low"),
    [
        ("--pass-rate", "0", 0),
        ("--pass-rate", "1", 0),
        ("--of-baseline", "1.2", 0),
        ("--of-baseline", "nan", 0),
        ("--confidence", "0.5", 0.5),
        ("--confidence", "1", 0.5),
        ("--confidence", "high", 0.5),
    ],
)
def test_a_rate_is_inside_its_range(calibrate, table, option, value, low) -> None:
    status, stdout, stderr = calibrate("replay", "t.csv", option, value)
    assert (status, stdout) == (2, "")
    assert f"argument {option}: {value!r} is not a number between {low:g} and 1" in stderr


def test_a_baseline_that_tasks_lack_is_named_for_each(calibrate, table) -> None:
    status, stdout, stderr = calibrate(
        "replay", "t.csv", "--pass-rate", "0.9", "--baseline", "huge"
    )
    assert (status, stdout) == (2, "")
    assert stderr == (
        "error: task 'sort' has no model called 'huge' (known: [b]medium, large, small)\n"
        "error: task 'sum' has no model called 'huge' (known: only)\n"
    )


def test_every_problem_of_the_table_is_one_line(calibrate, table) -> None:
    table.write_text(HEADER + "a,t,m,2,\nb,t,m,1,\nb,t,m,1,\n", encoding="utf-8")
    assert calibrate("replay", "t.csv", "--pass-rate", "0.9") == (
        2,
        "",
        "error: t.csv: row 1: `score` must be a number in [0, 1], got '2'\n"
        "error: t.csv: row 3: item 'b' of task 't' has a score of model 'm' at row 2 already\n",
    )
