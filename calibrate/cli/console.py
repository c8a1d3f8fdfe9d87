"""Where tables are printed: as wide as the terminal, and never cut in a pipe."""

from __future__ import annotations

import os

from rich.console import Console

__all__ = ["data_console", "printable"]

_PIPE_WIDTH = 160  # a file has no edge at which a table would have to be cut


def data_console() -> Console:
    """Return the console for stdout; `COLUMNS` and `NO_COLOR` are honoured."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    return console


def printable(text: str) -> str:
    """Return a text without what a terminal would obey, or that would turn its line around."""
    return "".join(character if character.isprintable() else "?" for character in text)
