"""What a terminal, a pipe and a file get of a command's tables."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from answered import record, write_cases
from rich.console import Console
from rich.table import Table
from rich.text import Text

from calibrate.cli.console import data_console, print_line, print_table

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3\d|9\d)(?:;\d+)*m")


def printed(width: int, *rows: tuple[str | Text, ...]) -> list[str]:
    """Return a table of a few columns as it is printed in so many."""
    table = Table(box=None, pad_edge=False)
    for title, no_wrap in (("model", False), ("passed", True), ("", True), ("verdict", False)):
        table.add_column(title, no_wrap=no_wrap)
    for row in rows:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=width)
    print_table(console, table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


SMALL = ("small", "76.0 %", "≥ 90.0 %", "[bold]not needed[/]")


def test_a_table_is_printed_where_it_fits() -> None:
    assert printed(37, SMALL) == [
        "model  passed            verdict",
        "small  76.0 %  ≥ 90.0 %  not needed",
    ]


def test_what_has_several_words_is_wrapped_between_them() -> None:
    assert printed(32, SMALL) == [
        "model  passed            verdict",
        "small  76.0 %  ≥ 90.0 %  not",
        "                         needed",
    ]


def test_where_a_word_would_be_broken_there_is_a_list() -> None:
    assert printed(31, SMALL, ("mid", "", "", "[red]x[/]")) == [
        "small",
        "  passed 76.0 %, ≥ 90.0 %,",
        "  verdict not needed",
        "mid",
        "  verdict x",
    ]


def test_a_long_word_keeps_its_column_beside_one_that_can_be_wrapped() -> None:
    long = "a-tier-with-a-long-name"
    rows = printed(57, ("model and another one", "1", long, "open, and no line is crossed"))
    assert long in rows[1]
    assert max(map(len, rows)) <= 57


def test_only_what_no_line_can_hold_is_broken() -> None:
    assert printed(12, ("n" * 20, "1", "", Text("[red]"))) == [
        "n" * 12,
        "n" * 8,
        "  passed 1,",
        "  verdict",
        "  [red]",
    ]


def on_terminal(monkeypatch: pytest.MonkeyPatch, use: Callable[[], object]) -> str:
    """Return what is written to a terminal of forty columns."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("COLUMNS", "40")
        use()
        terminal.flush()
        shown = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    return shown


def say_certified() -> None:
    data_console().print("[bold]mid[/] [green]certified[/]")


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_knows_no_escapes_gets_none(
    term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    assert on_terminal(monkeypatch, say_certified) == "mid certified\n"


def test_no_color_takes_the_colours_and_leaves_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert COLOUR.search(on_terminal(monkeypatch, say_certified))
    monkeypatch.setenv("NO_COLOR", "1")
    shown = on_terminal(monkeypatch, say_certified)
    assert not COLOUR.search(shown)
    assert "\x1b[1m" in shown


def test_a_pipe_is_not_narrow_though_it_is_asked_to_have_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    assert data_console().width == 160


def test_a_sentence_is_broken_between_words_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "[a] model whose true rate is 90.0 % is certified\x1b"
    monkeypatch.setenv("TERM", "dumb")
    print_line(sentence)
    assert capsys.readouterr().out == f"{sentence}\n"
    shown = on_terminal(monkeypatch, lambda: print_line(sentence))
    assert [line.rstrip() for line in shown.splitlines()] == [
        "[a] model whose true rate is 90.0 % is",
        "certified?",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_run_and_a_plan_break_no_word_of_their_tables(
    width: int, calibrate: Any, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cases(project, 40)
    record(project, {"small": range(40), "medium": ()})
    monkeypatch.setenv("COLUMNS", str(width))
    run = calibrate("run", "--offline").stdout
    table, plan = run.partition("\n\n")[0], calibrate("plan").stdout.partition("\na run ")[0]
    for whole in ("bar, baseline", "small", "balanced", "frontier", "certified", "not needed"):
        assert whole in table
    for whole in ("medium", "balanced", "$0.0000", "requests", "at most"):
        assert whole in plan
    assert max(map(len, f"{table}\n{plan}".splitlines())) <= width
