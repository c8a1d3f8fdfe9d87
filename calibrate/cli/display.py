"""How progress is shown: a table that moves on a terminal, a line every so often elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from calibrate.cli.pace import Pace
from calibrate.cli.tally import Tally
from calibrate.pricing import Budget
from calibrate.words import money

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

__all__ = ["Display", "Lines", "Screen", "View", "display_for"]

REDRAW_S = 0.25
LINE_S = 10.0
ALL = ("done", "stored", "failed", "open", "req/s", "$", "so far", "verdict")
NARROW, FEW = 72, ("done", "failed", "$", "verdict")  # columns of the terminal, and of the table
AROUND_LINES = 3  # titles, budget, cursor


@dataclass(frozen=True, slots=True)
class View:
    """What there is to show: all models in the order of asking, and the pace of those asked now."""

    tallies: Sequence[Tally]
    paces: Mapping[str, Pace]  # by model, the latest one last
    budget: Budget


class Display(Protocol):
    """A way to show how far a run is."""

    @property
    def every_s(self) -> float:
        """How often to show it."""

    def open(self) -> None: ...

    def show(self, view: View) -> None: ...

    def settled(self, tally: Tally) -> None:
        """Tell that a model has got a verdict."""

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


def display_for(stream: TextIO, workflow: str) -> Display:
    """Return the display that suits a stream; colour is rich's matter, which heeds `NO_COLOR`."""
    if stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        from rich.console import Console

        return Screen(workflow, Console(file=stream, force_terminal=True))
    return Lines(workflow, stream)


class Lines:
    """Plain lines. A workflow that takes less than the first pause says nothing at all."""

    def __init__(self, workflow: str, stream: TextIO, every_s: float = LINE_S) -> None:
        self.every_s = every_s
        self._workflow = workflow
        self._stream = stream
        self._has_begun = False

    def open(self) -> None:
        pass

    def show(self, view: View) -> None:
        self._has_begun = True
        for tally in view.tallies:
            if tally.model in view.paces:
                self._show(tally, view.paces[tally.model], view.budget)

    def _show(self, tally: Tally, pace: Pace, budget: Budget) -> None:
        parts = [f"{tally.done:,} of at most {tally.total:,} done", *_counts(tally)]
        parts.append(f"{tally.in_flight:,} in flight")
        if pace.requests_per_s is not None:
            parts.append(f"{pace.requests_per_s:.1f} requests/s")
        parts.append(money(float(tally.usd)))
        parts += [tally.quality] if tally.quality else []
        if tally.verdict is not None:
            parts.append(tally.verdict.outcome.value)
        if pace.left_s is not None:
            parts.append(f"at most {_clock(pace.left_s)} left")
        if budget.limit_usd is not None:
            parts.append(_spent(budget))
        self.say(f"{self._workflow}: {_printable(tally.model)}: {', '.join(parts)}")

    def settled(self, tally: Tally) -> None:
        if self._has_begun and tally.verdict is not None:
            parts = [tally.verdict.outcome.value, *([tally.quality] if tally.quality else [])]
            parts += [f"{tally.done:,} done", *_counts(tally), money(float(tally.usd))]
            self.say(f"{self._workflow}: {_printable(tally.model)}: {', '.join(parts)}")

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        pass


class Screen:
    """A table with a line for each model, drawn over itself and wiped away at the end."""

    every_s = REDRAW_S

    def __init__(self, workflow: str, console: Console) -> None:
        from rich.live import Live

        self._workflow = workflow
        self._console = console
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False
        )

    def open(self) -> None:
        self._live.start()

    def show(self, view: View) -> None:
        from rich.console import Group
        from rich.text import Text

        size = self._console.size
        drawn: list[RenderableType] = [_table(self._workflow, view, size.width, size.height)]
        if view.budget.limit_usd is not None:
            drawn.append(Text(_spent(view.budget), "dim"))
        self._live.update(Group(*drawn), refresh=True)

    def settled(self, tally: Tally) -> None:
        """Nothing: the next drawing shows it."""

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()


def _table(workflow: str, view: View, width: int, height: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    titles = ALL if width >= NARROW else FEW
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    # The name gives way where a line is too long, so that figures are not cut.
    table.add_column(Text(workflow, no_wrap=True, overflow="ellipsis"))
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for tally in _around(view, height - AROUND_LINES):
        pace = view.paces.get(tally.model)
        name = Text(_printable(tally.model), no_wrap=True, overflow="ellipsis")
        cells = _cells(tally, pace)
        table.add_row(name, *map(cells.get, titles), style="bold" if pace else "")
    return table


def _around(view: View, room: int) -> Sequence[Tally]:
    """Return so many models at most, the latest that is asked now among them."""
    latest = max(at for at, tally in enumerate(view.tallies) if tally.model in view.paces)
    first = max(0, latest + 1 - max(1, room))
    return view.tallies[first : first + max(1, room)]


def _cells(tally: Tally, pace: Pace | None) -> dict[str, str]:
    """Return a model's cells by their titles; one that is asked now, and has a pace, has more."""
    is_asked, pace = pace is not None, pace or Pace()
    left = "" if pace.left_s is None else f"{_clock(pace.left_s)} left"
    return {
        "done": f"{tally.done}/{max(tally.done, tally.total)}",
        "stored": str(tally.stored),
        "failed": str(tally.failed),
        "open": str(tally.in_flight) if is_asked else "",
        "req/s": "" if pace.requests_per_s is None else f"{pace.requests_per_s:.1f}",
        "$": money(float(tally.usd)).removeprefix("$"),
        "so far": tally.quality,
        "verdict": left if tally.verdict is None else tally.verdict.outcome.value,
    }


def _counts(tally: Tally) -> list[str]:
    """Return what is told only where there is some."""
    counts = ((tally.stored, "stored"), (tally.failed, "failed"))
    return [f"{count:,} {word}" for count, word in counts if count]


def _spent(budget: Budget) -> str:
    return f"${budget.spent_usd:.4f} of ${budget.limit_usd} spent"


def _clock(duration_s: float) -> str:
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _printable(name: str) -> str:
    """Return a name without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in name)
