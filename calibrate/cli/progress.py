"""Progress of a run on stderr: a bar for each model, nothing where it is not a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from calibrate.candidates import Candidate
from calibrate.trial import AnyTrial, passes

__all__ = ["Progress"]


class Progress:
    """Shows how far each model is; quiet unless stderr is a terminal."""

    def __init__(self, workflow: str) -> None:
        self._workflow = workflow
        self._bars: Any = None
        self._task: Any = None
        self._passed = 0
        self._done = 0

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def start(self, candidate: Candidate, cases: int) -> None:
        self._passed = self._done = 0
        if self._bars is not None:
            self._task = self._bars.add_task(
                f"{self._workflow} {candidate.alias}", total=cases, rate=""
            )

    def advance(self, trial: AnyTrial) -> None:
        self._done += 1
        self._passed += passes(trial)
        if self._bars is not None:
            self._bars.update(
                self._task, advance=1, rate=f"{100 * self._passed / self._done:.0f} % pass"
            )
