"""Where tables are printed: as wide as the terminal, as lists where they do not fit into it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from shutil import get_terminal_size
from typing import NoReturn

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["data_console", "print_line", "print_table", "printable"]

_PIPE_SIZE = 160, 24  # a file has no edge at which a table would have to be cut
_ANY_WIDTH = 10_000
_INDENT = 2


class _DataConsole(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Let a reader that went away be met like everywhere: rich would end Python here."""
        raise BrokenPipeError


def data_console() -> Console:
    """Return the console for stdout; `COLUMNS` is honoured.

    Nothing but a terminal that understands it gets anything but text, unless `FORCE_COLOR` asks for
    it; `NO_COLOR` takes the colours, and leaves bold.
    """
    width, height = _PIPE_SIZE
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        width, height = get_terminal_size()
    return _DataConsole(highlight=False, emoji=False, width=width, height=height)


def print_table(console: Console, table: Table) -> None:
    """Print a table, or a list of its rows where words or figures would have to be broken.

    A row is known by its first cell. In a list those that are empty are left out.
    """
    wide = console.options.update(width=_ANY_WIDTH)
    for column in table.columns:
        sizes = [Measurement.get(console, wide, cell) for cell in (column.header, *column.cells)]
        whole, word = max(size.maximum for size in sizes), max(size.minimum for size in sizes)
        column.min_width = max(column.min_width or 0, whole if column.no_wrap else word)
        column.no_wrap = column.min_width >= whole  # rich takes from what gives way alone
    if Measurement.get(console, wide, table).minimum <= console.width:
        console.print(table)
        return
    titles = [str(column.header) for column in table.columns]
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        name, *values = map(_text, cells)
        console.print(name)
        told = [
            Text.assemble(title, " ", value) if title else value
            for title, value in zip(titles[1:], values, strict=True)
            if value
        ]
        for line in _lines(told, console.width - _INDENT):
            console.print(Padding(line, (0, 0, 0, _INDENT), expand=False))


def print_line(text: str) -> None:
    """Print a sentence: one line, which on a terminal is broken between its words alone."""
    if sys.stdout.isatty():
        data_console().print(Text(printable(text)))
    else:
        print(text)


def _text(cell: RenderableType) -> Text:
    return cell if isinstance(cell, Text) else Text.from_markup(str(cell), emoji=False)


def _lines(parts: Iterable[Text], width: int) -> Iterator[Text]:
    """Yield the parts on as few lines as hold them, none of them broken that fits on one."""
    line = Text()
    for part in parts:
        if line and line.cell_len + len(", ") + part.cell_len + len(",") > width:
            yield line.append(",")
            line = Text()
        line = Text.assemble(line, ", ", part) if line else part
    if line:
        yield line


def printable(text: str) -> str:
    """Return a text without what a terminal would obey, or that would turn its line around."""
    return "".join(character if character.isprintable() else "?" for character in text)
