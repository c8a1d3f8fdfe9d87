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


@pytest.fixture
def cascade(table):
    """A table of one task: `small` is sure, but of what it fails; `large` fails other items."""
    lines = [
        f"i{at:03d},sort,small,{int(at >= 40)},0.001,{0.3 if at < 38 else 0.9},0.5\n"
        f"i{at:03d},sort,large,{int(at < 196)},0.010,,2\n"
        for at in range(200)
    ]
    table.write_text(HEADER[:-1] + ",confidence,latency_s\n" + "".join(lines), encoding="utf-8")
    return table


def test_a_cascade_is_a_route(calibrate, cascade) -> None:
    status, stdout, stderr = calibrate("replay", "t.csv", "--of-baseline", "0.95", "--cascades")
    informative = "informative, AUROC 0.97 (0.93 to 0.99)"
    assert (status, stderr) == (0, "")
    assert [line.rstrip() for line in stdout.splitlines()] == [
        "sort: 200 items, bar 95.0 % of the best model",
        "model   score  bound ≥        p  $ per 1k  verdict    confidence",
        f"small  80.0 %   74.8 %        1     $1.00  failed     {informative}",
        "large  98.0 %   95.5 %  1.1e-06    $10.00  certified  none",
        "escalates 19.0 % of requests: 71.0 % cheaper than sending all to large; "
        "breaks even at 90.0 %",
        "goes to small, with confidence below 0.9 on the table's own scale to large: certified; "
        "29.0 % of the cost of large",
        "",
        "1 task: 1 certified, 0 uncertified, 0 unmet",
    ]


def test_json_has_the_cascade_and_its_evidence(calibrate, cascade) -> None:
    status, stdout, _ = calibrate(
        "replay", "t.csv", "--of-baseline", "0.95", "--cascades", "--json"
    )
    (task,) = json.loads(stdout)["tasks"]
    assert (status, task["status"], task["model"]) == (0, "certified", "small")
    assert task["route"] == {
        "model": "small",
        "escalation": {"signal": "confidence", "below": 0.9, "to": "large"},
    }
    assert (task["cost_usd_per_item"], task["relative_cost"]) == (0.0029, 0.29)
    evidence = task["evidence"]
    assert (evidence["test"], evidence["passed"], evidence["estimate"]) == ("exact", 198, 0.99)
    assert (evidence["latency_p95_s"], evidence["saving"]) == (2.5, 0.71)
    assert evidence["signature"] == (
        "sort|model:small,confidence<0.9,large|n:200|bar:of_baseline=0.95,baseline=best"
        "|alpha:0.05/2|test:exact-full-cascades"
    )
    assert [row["model"] for row in evidence["rejected"]] == ["small", "large"]
    cascades = evidence["cascades"]
    (signal,) = cascades.pop("signals")
    assert cascades == {
        "sentence": "escalates 19.0 % of requests: 71.0 % cheaper than sending all to large; "
        "breaks even at 90.0 %",
        "escalation_rate": 0.19,
        "break_even_rate": 0.9,
        "grid": [0.9],
        "scale": "the table's own, as in its `confidence`",
        "thresholds": 1,
        "tested": 4,
        "lacking": None,
    }
    assert (signal["model"], signal["signal"], signal["known"]) == ("small", "confidence", 1)
    assert (signal["worth"], signal["auroc"], signal["auroc_confidence"]) == (
        *("informative", 0.975, 0.95),
    )
    assert signal["auroc_low"] < 0.975 < signal["auroc_high"]
    # Its mean is .3 x 38 / 200 + .9 x 162 / 200 = .786, and it is right in .8.
    assert signal["over_confidence"] == pytest.approx(-0.014)


def test_without_the_option_a_table_with_signals_is_decided_as_before(calibrate, cascade) -> None:
    _, stdout, _ = calibrate("replay", "t.csv", "--of-baseline", "0.95", "--json")
    (task,) = json.loads(stdout)["tasks"]
    assert task["route"] == {"model": "large", "escalation": None}
    assert "cascades" not in task["evidence"]
    cascade.write_text(
        HEADER[:-1] + ",confidence\ni1,t,m,1,1,very\ni2,t,m,1,1,\n", encoding="utf-8"
    )
    assert calibrate("replay", "t.csv", "--pass-rate", "0.5")[0] == 0
    status, _, stderr = calibrate("replay", "t.csv", "--pass-rate", "0.5", "--cascades")
    assert (status, stderr) == (
        *(2, "error: t.csv: row 1: `confidence` must be a finite number, got 'very'\n"),
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",confidence", ",trust", "no cascades: the table has no `confidence` for this task"),
        (",cost_usd", ",price", "no cascades: the table has no `cost_usd` for this task"),
        (",0.3,", ",0.9,", "no cascades: no model's `confidence` parts the items"),
        (",0.3,", ",0.95,", "no cascade is certified that costs less"),
    ],
    ids=["signals", "costs", "constant", "harmful"],
)
def test_why_there_is_no_cascade_is_said(calibrate, cascade, old, new, told) -> None:
    cascade.write_text(cascade.read_text("utf-8").replace(old, new), encoding="utf-8")
    status, stdout, _ = calibrate("replay", "t.csv", "--of-baseline", "0.95", "--cascades")
    lines = stdout.splitlines()
    assert (status, lines[4]) == (0, told)
    assert lines[5].startswith("goes to large: certified")
    _, stdout, _ = calibrate("replay", "t.csv", "--of-baseline", "0.95", "--cascades", "--json")
    (task,) = json.loads(stdout)["tasks"]
    assert task["evidence"]["cascades"]["sentence"] == told


def test_a_signal_of_a_model_without_faults_is_of_unknown_worth(calibrate, cascade) -> None:
    text = cascade.read_text("utf-8").replace(",small,0,", ",small,1,")
    cascade.write_text(text, encoding="utf-8")
    _, stdout, _ = calibrate("replay", "t.csv", "--of-baseline", "0.95", "--cascades")
    assert "certified  unknown" in stdout
    _, stdout, _ = calibrate("replay", "t.csv", "--of-baseline", "0.95", "--cascades", "--json")
    (signal,) = json.loads(stdout)["tasks"][0]["evidence"]["cascades"]["signals"]
    assert (signal["worth"], signal["auroc"], signal["auroc_low"]) == ("unknown", None, None)


def test_a_certified_route_that_costs_more_than_the_best_is_not_taken(calibrate, table) -> None:
    table.write_text(
        HEADER
        + "".join(f"i{at},t,large,0.8,10\n" for at in range(40))
        + "".join(f"i{at},t,small,{1 if at % 5 else 0.1},1\n" for at in range(40)),
        encoding="utf-8",
    )
    status, stdout, _ = calibrate("replay", "t.csv", "--pass-rate", "0.7", "--cascades")
    assert (status, stdout.splitlines()[5]) == (
        *(0, "what is certified costs more; keep small; 100.0 % of the cost of small"),
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
