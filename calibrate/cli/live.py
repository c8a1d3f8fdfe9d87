"""The pages of a project's workflows as its stored answers have them by now; nothing is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from calibrate.cli.again import in_its_family, share_again
from calibrate.cli.options import chosen_names, policy_so_far
from calibrate.cli.session import CACHE_FILE, open_client, recordings_path
from calibrate.cli.so_far import SoFar, so_far
from calibrate.client import Client
from calibrate.errors import CalibrateError
from calibrate.methods import Ask
from calibrate.planning import asks_of
from calibrate.policy import DEFAULT_PATH, Policy
from calibrate.pricing import Budget
from calibrate.project import Project, load_project
from calibrate.report.index import INDEX_FILE, build_index, case_file, page_file
from calibrate.report.live import (
    Live,
    LiveWorkflow,
    Stored,
    answers_stored,
    not_to_be_had,
    undecided,
    workflow_now,
)
from calibrate.report.render import render_cases, render_index, render_page, render_problems
from calibrate.report.view import Page, build_page
from calibrate.task import Task, load_task

__all__ = ["LiveReports", "Shown"]

EVERY_S, DECIDED_EVERY_S = 5, 30  # a browser asks for a page again
PAUSE_S = 2.0  # between two looks at what has changed; more where making a page took longer

NOTHING = Stored(0, 0)

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A page, or one that says why there is none; `every_s`: when it is to be asked for again."""

    html: str
    every_s: int | None
    is_problem: bool = False


@dataclass(slots=True)
class _Workflow:
    """What is known of a workflow; all but the task and its requests goes when an answer comes."""

    task: Task
    asks: Sequence[Ask] = ()
    found: SoFar | None = None
    stored: Stored = NOTHING
    page: Page | None = None

    def forget(self) -> None:
        self.found = self.page = None


@dataclass(slots=True)
class _Read:
    """The project's files as they were read, and what has come of them."""

    project: Project
    policy: Policy
    names: Sequence[str]
    workflows: dict[str, _Workflow] = field(default_factory=dict)


class LiveReports:
    """Makes the pages that are asked for out of what is stored, anew only where that has changed.

    It asks no endpoint. Not for several threads at once, but for `stop`.
    """

    def __init__(
        self,
        root: Path,
        tiers_file: str,
        names: Sequence[str] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the project, of which `names` are shown, or all; raises what is wrong with it."""
        self._root = root
        self._tiers_file = tiers_file
        self._wanted = names
        self._clock = clock
        self._is_stopped = False
        self._seen: dict[str, Stamp] = {}
        self._now: _Read | None = None
        self._look()
        self._due = clock() + PAUSE_S

    def page(self, file: str, *, is_held: bool = False) -> Shown | None:
        """Return the page that a report has under a file's name; None where it has none.

        What keeps a page from being made, as a file that is being edited, stands on the page.
        One that is held is not to be asked for again.
        """
        began = self._clock()
        looks = self._now is None or began >= self._due
        try:
            if looks:
                self._look()
            return self._shown(file, is_held)
        except CalibrateError as error:
            live = self._live("what is stored cannot be shown", is_held, is_decided=False)
            return Shown(render_problems(error.problems, live), live.every_s, is_problem=True)
        finally:
            if looks:
                ended = self._clock()
                self._due = ended + max(PAUSE_S, ended - began)

    def stop(self) -> None:
        """Let the page that another thread makes just now be one that says it was stopped."""
        self._is_stopped = True

    def _look(self) -> None:
        """Forget what has changed since the last look, each stamp being older than what is read."""
        self._as_of = time.strftime("%H:%M:%S")
        if self._has_changed("settings", self._settings()) or self._now is None:
            self._now = None
            self._now = self._read()
        now = self._now
        if self._has_changed("data", _data(now)):
            now.workflows.clear()
        if self._has_changed("answers", _stores(now)):
            for workflow in now.workflows.values():
                workflow.forget()

    def _has_changed(self, what: str, paths: Iterable[Path]) -> bool:
        before, self._seen[what] = self._seen.get(what), _stamp(paths)
        return before != self._seen[what]

    def _settings(self) -> Iterator[Path]:
        yield self._root / self._tiers_file
        yield self._root / DEFAULT_PATH
        yield from sorted((self._root / "evals").glob("*.y*ml"))

    def _read(self) -> _Read:
        project = load_project(self._root, self._tiers_file)
        policy = policy_so_far(self._root / DEFAULT_PATH)
        return _Read(project, policy, chosen_names(project, self._wanted))

    def _shown(self, file: str, is_held: bool) -> Shown | None:
        if file in ("", INDEX_FILE):
            return self._index(is_held)
        for name in self._read_now().names:
            if file == page_file(name) or file.startswith(f"_{name}.cases-"):
                shown = self._shown_of(self._workflow(name), file, is_held)
                if shown is not None:
                    return shown
        return None

    def _shown_of(self, workflow: _Workflow, file: str, is_held: bool) -> Shown | None:
        page, is_decided = self._page(workflow), self._found(workflow).is_decided
        live = self._live(answers_stored(workflow.stored), is_held, is_decided)
        if file == page.file:
            return Shown(render_page(page, live), live.every_s)
        for cases in page.cases[1:]:
            if file == case_file(page.name, cases.number):
                return Shown(render_cases(page, cases, live), live.every_s)
        return None

    def _index(self, is_held: bool) -> Shown:
        now = self._read_now()
        rows = tuple(self._row(name) for name in now.names)
        found = list(now.workflows.values())
        stored = Stored(
            sum(one.stored.answers for one in found), sum(one.stored.most for one in found)
        )
        decided = [one.found is not None and one.found.is_decided for one in found]
        is_decided = len(decided) == len(now.names) and all(decided)
        live = self._live(answers_stored(stored), is_held, is_decided, rows)
        index = build_index(now.policy, now.project, now.names)
        return Shown(render_index(index, live), live.every_s)

    def _row(self, name: str) -> LiveWorkflow:
        try:
            workflow = self._workflow(name)
            found = self._found(workflow)
        except CalibrateError as error:  # of one workflow, which keeps no other from being listed
            return not_to_be_had(name, page_file(name), error.problems[0])
        status = found.calibration.decision.status.value if found.is_decided else None
        return workflow_now(name, page_file(name), status, workflow.stored)

    def _page(self, workflow: _Workflow) -> Page:
        if workflow.page is None:
            found, now = self._found(workflow), self._read_now()
            page = build_page(found.calibration, now.project)
            if not found.is_decided:
                entry = now.policy.workflows.get(page.name)
                page = undecided(page, found.calibration, workflow.stored, entry)
            workflow.page = page
        return workflow.page

    def _found(self, workflow: _Workflow) -> SoFar:
        if workflow.found is None:
            workflow.found = asyncio.run(self._replayed(workflow))
        return workflow.found

    async def _replayed(self, workflow: _Workflow) -> SoFar:
        now, task = self._read_now(), workflow.task
        share = share_again(task, now.project, now.policy)
        with open_client(now.project, task.name, Budget(None), offline=True) as opened:
            async with opened as client:
                self._check()
                workflow.asks = workflow.asks or asks_of(task, client, share=share)
                stored = sum(self._has(client, ask) for ask in workflow.asks)
                workflow.stored = Stored(stored, len(workflow.asks))
                found = await so_far(task, client, share, check=self._check)
        if not found.is_decided:
            return found
        return replace(found, calibration=in_its_family(found.calibration, now.policy))

    def _has(self, client: Client, ask: Ask) -> bool:
        self._check()
        return client.has(ask.endpoint, ask.request)

    def _check(self) -> None:
        if self._is_stopped:
            raise CalibrateError("stopped before the answers were read")

    def _workflow(self, name: str) -> _Workflow:
        now = self._read_now()
        if name not in now.workflows:
            now.workflows[name] = _Workflow(load_task(now.project, name))
        return now.workflows[name]

    def _read_now(self) -> _Read:
        assert self._now is not None  # noqa: S101 - a look comes before, and raises without one
        return self._now

    def _live(
        self,
        words: str,
        is_held: bool,
        is_decided: bool,
        rows: tuple[LiveWorkflow, ...] = (),
    ) -> Live:
        every_s = DECIDED_EVERY_S if is_decided else EVERY_S
        return Live(self._as_of, words, None if is_held else every_s, rows)


def _data(now: _Read) -> Iterator[Path]:
    for name in now.names:
        workflow = now.project.workflows[name]
        yield now.project.root / workflow.dataset
        if workflow.examples is not None:
            yield now.project.root / workflow.examples


def _stores(now: _Read) -> Iterator[Path]:
    cache = now.project.root / CACHE_FILE
    yield cache
    yield cache.with_name(f"{cache.name}-wal")  # where SQLite writes first
    for name in now.names:
        path = recordings_path(now.project, name)
        if path is not None:
            yield path


def _stamp(paths: Iterable[Path]) -> Stamp:
    """Return what tells whether any of some files was written; what is not there is left out."""
    found = []
    for path in paths:
        with suppress(OSError):
            seen = path.stat()
            found.append((str(path), seen.st_mtime_ns, seen.st_size, seen.st_ino))
    return tuple(found)
