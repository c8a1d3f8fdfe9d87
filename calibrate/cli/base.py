"""The revision that a change is compared with: its project, its policy and its answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from calibrate.cache import Cache, Recordings
from calibrate.cli.session import CACHE_FILE, recordings_path
from calibrate.cli.snapshot import Snapshot, open_snapshot
from calibrate.client import Client
from calibrate.errors import CalibrateError
from calibrate.policy import Policy, load_policy
from calibrate.pricing import Budget
from calibrate.project import Project, load_project
from calibrate.task import Task, load_task

__all__ = ["Base", "open_base"]


@dataclass(frozen=True, slots=True)
class Base:
    """A project as it was; `problem` says why there is none, or no policy in it.

    What cannot be read of it is no error: the change may be what mends it.
    """

    name: str
    snapshot: Snapshot
    project: Project | None = None
    policy: Policy = field(default_factory=lambda: Policy(1, ""))
    problem: str = ""

    def task(self, workflow: str) -> Task:
        """Return a workflow as it was; raises `CalibrateError` where it was none that runs."""
        if self.project is None:
            raise CalibrateError(self.problem)
        was = self.project.workflow(workflow)
        self.snapshot.copy([was.dataset, was.examples or ""])
        return load_task(self.project, workflow)

    def has_recordings_of(self, project: Project, workflow: str) -> bool:
        """Return whether the workflow's recorded answers were those that the project has now."""
        was, now = self._recordings(workflow), recordings_path(project, workflow)
        return _content(was) == _content(now)

    @contextmanager
    def open_client(
        self, project: Project, workflow: str, budget: Budget, *, offline: bool
    ) -> Iterator[Client]:
        """Yield a client for the workflow as it was.

        Its answers are those recorded then, above the cache of the project as it is now.
        """
        assert self.project is not None  # noqa: S101 - a task was made of it
        recordings = Recordings(self._recordings(workflow), f"{self.name}:{workflow}")
        with Cache(project.root / CACHE_FILE) as cache:
            yield Client(
                self.project.tiers.endpoints,
                recordings=recordings,
                cache=cache,
                budget=budget,
                offline=offline,
            )

    def _recordings(self, workflow: str) -> Path | None:
        if self.project is None or self.project.tiers.recordings is None:
            return None
        self.snapshot.copy([f"{self.project.tiers.recordings}/{workflow}.jsonl.gz"])
        return recordings_path(self.project, workflow)


def _content(path: Path | None) -> bytes | None:
    return path.read_bytes() if path is not None and path.is_file() else None


@contextmanager
def open_base(
    revision: str, project: Project, tiers_file: str, policy_path: Path
) -> Iterator[Base]:
    """Yield what the project was at a revision; raises `UsageError` where there is no such one."""
    with open_snapshot(project.root, revision) as snapshot:
        inside = _inside(policy_path, project.root)
        snapshot.copy(["evals", tiers_file, inside])
        yield _read(revision, snapshot, tiers_file, inside)


def _read(name: str, snapshot: Snapshot, tiers_file: str, policy: str) -> Base:
    if not (snapshot.folder / tiers_file).is_file():
        return Base(name, snapshot, problem=f"{name} has no {tiers_file}")
    try:
        project = load_project(snapshot.folder, tiers_file)
    except CalibrateError as error:
        return Base(name, snapshot, problem=f"{name} cannot be read: {error.problems[0]}")
    path = snapshot.folder / policy
    if not policy or not path.is_file():
        return Base(name, snapshot, project, problem=f"{name} has no policy")
    try:
        return Base(name, snapshot, project, load_policy(path))
    except CalibrateError as error:
        why = error.problems[0].removeprefix(f"{snapshot.folder}/")
        return Base(name, snapshot, project, problem=f"the policy of {name} cannot be read: {why}")


def _inside(path: Path, root: Path) -> str:
    """Return a path as the project has it; empty where it lies elsewhere."""
    absolute, folder = path.resolve(), root.resolve()
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else ""
