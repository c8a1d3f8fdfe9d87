"""A table of outcomes: what is read, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibrate.errors import DatasetError
from calibrate.outcome_tables import load_outcomes

TABLE = """\
item_id,task,model,score,cost_usd,group,note
b,sort,small,1,0.01,x,free text
a,sort,small,0,0.03,x,
a,sort,large,1,0.5,x,
b,sort,large,1,0.7,x,
1,sum,NA,0.25,,,
01,sum,NA,0.5,,,
"""


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def problems(folder: Path, text: str, name: str = "t.csv") -> list[str]:
    path = written(folder, text, name)
    with pytest.raises(DatasetError) as caught:
        load_outcomes(path)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_a_table_is_one_matrix_a_task(tmp_path, name) -> None:
    path = written(tmp_path, TABLE, name.replace("parquet", "csv"))
    if name == "t.parquet":
        frame = pd.read_csv(path, dtype={"item_id": str, "model": str}, keep_default_na=False)
        frame["cost_usd"] = pd.to_numeric(frame["cost_usd"])
        frame["group"] = frame["group"].where(frame["group"] != "", None)
        path = tmp_path / name
        frame.to_parquet(path)
    sort, total = load_outcomes(path)
    assert (sort.task, sort.models, sort.items) == ("sort", ("large", "small"), ("a", "b"))
    assert sort.scores.tolist() == [[1, 1], [0, 1]]
    assert sort.costs_usd is not None
    assert sort.costs_usd.tolist() == [[0.5, 0.7], [0.03, 0.01]]
    assert sort.groups is not None
    assert sort.groups.tolist() == [0, 0]
    # Texts stay what they are: `NA` is a model, and `1` and `01` are two items.
    assert (total.task, total.models, total.items) == ("sum", ("NA",), ("01", "1"))
    assert (total.costs_usd, total.groups, total.left_out) == (None, None, 0)
    assert (sort.is_binary, total.is_binary) == (True, False)


def test_only_common_items_count_and_the_others_are_counted(tmp_path) -> None:
    text = "item_id,task,model,score\na,t,m,1\nb,t,m,0\nb,t,n,1\nc,t,n,1\n"
    (task,) = load_outcomes(written(tmp_path, text))
    assert (task.items, task.scores.tolist(), task.left_out) == (("b",), [[0], [1]], 2)


def test_items_without_a_group_are_alone(tmp_path) -> None:
    text = "item_id,task,model,score,group\na,t,m,1,g\nb,t,m,0,g\nc,t,m,1,\nd,t,m,1,\n"
    (task,) = load_outcomes(written(tmp_path, text))
    assert task.groups is not None
    assert task.groups.tolist() == [0, 0, 1, 2]
    (task,) = load_outcomes(written(tmp_path, text.replace("b,t,m,0,g", "b,t,m,0,h")))
    assert task.groups is None


def test_a_draw_is_fixed_by_seed_and_ids(tmp_path) -> None:
    rows = "".join(f"i{i},t,m,{i % 2},{i}\n" for i in range(20))
    (task,) = load_outcomes(written(tmp_path, "item_id,task,model,score,cost_usd\n" + rows))
    whole, part, other = task.drawn(7), task.drawn(7, 5), task.drawn(8, 5)
    assert sorted(whole.items) == sorted(task.items)
    assert part.items == whole.items[:5] != other.items
    # sha256("7:i0") and so on, in order
    assert part.items == ("i17", "i15", "i10", "i1", "i14")
    assert part.scores.tolist() == [[1, 1, 0, 1, 0]]
    assert part.costs_usd is not None
    assert part.costs_usd.tolist() == [[17, 15, 10, 1, 14]]
    assert task.drawn(7, 99).items == whole.items


def test_every_bad_cell_is_named(tmp_path) -> None:
    text = (
        "item_id,task,model,score,cost_usd\n"
        "a,t,m,1.5,0\nb,t,m,,0\nc,t,m,nan,0\n,t,m,1,0\nd,,m,1,0\ne,t,,1,0\n"
        "f,t,m,-0.1,0\ng,t,m,good,-1\nh,t,m,1,inf\ni,t,m,1,1\ni,t,m,0,1\n"
    )
    assert problems(tmp_path, text) == [
        "row 4: `item_id` is empty",
        "row 5: `task` is empty",
        "row 6: `model` is empty",
        "row 1: `score` must be a number in [0, 1], got '1.5'",
        "row 2: `score` must be a number in [0, 1], but it is empty",
        "row 3: `score` must be a number in [0, 1], got 'nan'",
        "row 7: `score` must be a number in [0, 1], got '-0.1'",
        "row 8: `score` must be a number in [0, 1], got 'good'",
        "row 8: `cost_usd` must be an amount of dollars, got '-1.0'",
        "row 9: `cost_usd` must be an amount of dollars, got 'inf'",
        "row 11: item 'i' of task 't' has a score of model 'm' at row 10 already",
    ]


SERVED = """\
item_id,task,model,score,confidence,latency_s
a,sort,small,0,0.25,1.5
b,sort,small,1,,2
a,sort,large,1,nan,3
b,sort,large,1,-7.5,4
a,sum,small,1,,
"""


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_signals_and_latencies_are_read_where_they_are_asked_for(tmp_path, name) -> None:
    path = written(tmp_path, SERVED, "t.csv")
    if name == "t.parquet":
        frame = pd.read_csv(path)
        path = tmp_path / name
        frame.to_parquet(path)
    (sort, total), plain = load_outcomes(path, with_signals=True), load_outcomes(path)
    assert sort.signals is not None
    assert sort.latencies_s is not None
    # large, small; an empty cell and `nan` are no signal
    assert np.nan_to_num(sort.signals, nan=99).tolist() == [[99, -7.5], [0.25, 99]]
    assert sort.latencies_s.tolist() == [[3, 4], [1.5, 2]]
    assert (total.signals, total.latencies_s) == (None, None)
    assert all(task.signals is None and task.latencies_s is None for task in plain)
    drawn = sort.drawn(1, 1)
    assert drawn.signals is not None
    assert drawn.latencies_s is not None
    at = sort.items.index(drawn.items[0])
    assert drawn.latencies_s.tolist() == sort.latencies_s[:, [at]].tolist()
    assert (np.isnan(drawn.signals) == np.isnan(sort.signals[:, [at]])).all()


def test_a_bad_signal_is_named_where_signals_are_read(tmp_path) -> None:
    path = written(tmp_path, SERVED.replace("0.25,1.5", "sure,-1").replace("-7.5,4", "inf,inf"))
    assert len(load_outcomes(path)) == 2
    with pytest.raises(DatasetError) as caught:
        load_outcomes(path, with_signals=True)
    assert [problem.removeprefix(f"{path}: ") for problem in caught.value.problems] == [
        "row 1: `confidence` must be a finite number, got 'sure'",
        "row 4: `confidence` must be a finite number, got 'inf'",
        "row 1: `latency_s` must be a number of seconds, got '-1.0'",
        "row 4: `latency_s` must be a number of seconds, got 'inf'",
    ]


def test_many_bad_cells_are_not_all_told(tmp_path) -> None:
    rows = "".join(f"i{i},t,m,2\n" for i in range(50))
    found = problems(tmp_path, "item_id,task,model,score\n" + rows)
    assert (len(found), found[-1]) == (21, "and 30 more rows like that")


def test_an_item_is_in_one_group(tmp_path) -> None:
    text = "item_id,task,model,score,group\na,t,m,1,g\na,t,n,1,h\n"
    assert problems(tmp_path, text) == ["row 2: item 'a' is in another group at row 1"]


def test_models_without_a_common_item_cannot_be_compared(tmp_path) -> None:
    text = "item_id,task,model,score\na,t,m,1\nb,t,n,1\n"
    assert problems(tmp_path, text) == ["task 't': its models have no item in common"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("t.csv", "", ["empty; a header and rows are needed"]),
        ("t.csv", "item_id,task,model,score\n", ["no rows; one an item and model is needed"]),
        (
            *("t.csv", "item_id,tasks,model\na,t,m\n"),
            [
                "no column is called `task`; did you mean 'tasks'?",
                "no column is called `score`",
            ],
        ),
        (
            *("t.csv", "item_id,task,model,score,score\na,t,m,1,0\n"),
            ["column `score` was given twice"],
        ),
        ("t.json", "{}", ["unknown format; known: .csv, .csv.gz, .parquet"]),
    ],
    ids=["empty", "header only", "columns", "twice", "format"],
)
def test_what_is_no_such_table_is_refused(tmp_path, name, text, told) -> None:
    assert problems(tmp_path, text, name) == told


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv.gz", b"item_id,task,model,score\n", "cannot be read: Not a gzipped file"),
        ("t.csv", b"item_id,task,model,score\n\xff\xfe,t,m,1\n", "cannot be read: 'utf-8' codec"),
        ("t.csv", b"item_id,task,model,score\na,t,m,1,2,3\n", "not CSV: "),
        ("t.csv", b"item_id,task,model,score\na,t,m,1\nb,t,m,1,2\n", "in line 3, saw 5"),
        ("t.csv", b'item_id,task,model,score\n"a,t,m,1\n', "not CSV: "),
        ("t.parquet", b"item_id,task,model,score\n", "not usable Parquet: "),
    ],
    ids=["gzip", "encoding", "cells", "later cells", "quote", "parquet"],
)
def test_what_is_no_table_at_all_is_refused(tmp_path, name, content, told) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=told):
        load_outcomes(path)
    with pytest.raises(DatasetError, match=r"gone\.csv: no such file"):
        load_outcomes(tmp_path / "gone.csv")


def test_a_nested_column_is_refused(tmp_path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"item_id": ["a"], "task": ["t"], "model": ["m"], "score": [[1.0]]}).to_parquet(
        path
    )
    with pytest.raises(DatasetError, match="column `score` must hold plain values"):
        load_outcomes(path)
