"""Open what a command needs to ask or replay: recordings, cache, budget, client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calibrate.cache import Cache, Recorded, Recordings, write_recordings
from calibrate.client import Answer, Client
from calibrate.completion import Completion
from calibrate.errors import ConfigError, OutputError
from calibrate.pricing import Budget
from calibrate.project import Project

__all__ = [
    "open_client",
    "recordings_folder",
    "recordings_path",
    "require_writable",
    "save_recordings",
]

CACHE_FILE = ".calibrate/cache.sqlite"


@contextmanager
def open_client(
    project: Project,
    workflow: str,
    budget: Budget,
    *,
    offline: bool = False,
    read_stored: bool = True,
    retry_failed: bool = False,
    keep_given: bool = False,
) -> Iterator[Client]:
    """Yield a client for one workflow; its recordings lie beneath the project's cache."""
    named = project.workflows.get(workflow)
    path = recordings_path(project, workflow)
    place = "" if path is None else str(path.relative_to(project.root.resolve()))
    with Cache(project.root / CACHE_FILE) as cache:
        yield Client(
            project.tiers.endpoints,
            recordings=Recordings(path, place),
            cache=cache,
            budget=budget,
            offline=offline,
            read_stored=read_stored,
            retry_failed=retry_failed,
            keep_given=keep_given,
            needs_latency=named is not None and named.bar.latency_p95_s is not None,
        )


def recordings_folder(project: Project) -> Path:
    """Return where answers are recorded; raises `ConfigError` where the project says nowhere."""
    folder = project.tiers.recordings
    if folder is None:
        raise ConfigError("--record needs `recordings: DIR` in the tiers file")
    return project.path(folder)


def recordings_path(project: Project, workflow: str) -> Path | None:
    """Return where a workflow's recordings are, if the project has any."""
    folder = project.tiers.recordings
    return None if folder is None else project.path(f"{folder}/{workflow}.jsonl.gz")


def save_recordings(project: Project, workflow: str, answers: list[Answer]) -> int:
    """Add a run's answers to the workflow's recordings; return how many there are then."""
    path = recordings_folder(project) / f"{workflow}.jsonl.gz"
    kept = {answer.request.key: Recorded(answer.request, answer.reply) for answer in answers}
    names: dict[tuple[str, str], set[str]] = {}  # what each model is served as now
    for new in kept.values():
        if isinstance(new.reply, Completion):
            model = new.request.kind, new.request.name
            names.setdefault(model, set()).add(new.reply.served_model)
    for old in Recordings(path, str(path)).all():
        now = names.get((old.request.kind, old.request.name))
        if not now or not isinstance(old.reply, Completion) or old.reply.served_model in now:
            kept.setdefault(old.request.key, old)
    return write_recordings(path, kept.values())


def require_writable(folder: Path) -> None:
    """Raise `OutputError` unless a file can be made in `folder`; found before money is spent."""
    probe = folder / ".calibrate-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
