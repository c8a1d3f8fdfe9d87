"""A project's files as they were at a git revision, read without touching the working tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from calibrate.cli.git import run_git
from calibrate.errors import CalibrateError, UsageError

__all__ = ["Snapshot", "open_snapshot"]

_FILES = ("100644", "100755")  # git's modes; links and submodules are not followed


class Snapshot:
    """The files of one commit, copied into a folder of their own as they are needed."""

    def __init__(self, name: str, commit: str, root: Path, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._commit = commit
        self._root = root

    def copy(self, paths: Iterable[str]) -> None:
        """Copy files, or all files of folders, by their path in the project; some may be absent."""
        wanted = [path for path in paths if path]
        if not wanted:
            return
        listed = _git(
            self._root, ["ls-tree", "-r", "-z", self._commit, "--", *map(_literal, wanted)]
        )
        blobs = dict(_blobs(listed))
        named = "".join(f"{blob}\n" for blob in blobs.values()).encode()
        contents = _git(self._root, ["cat-file", "--batch"], named)
        for path, content in zip(blobs, _contents(contents), strict=True):
            target = (self.folder / path).resolve()
            if target.is_relative_to(self.folder.resolve()):  # a hostile tree may name `../x`
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)


@contextmanager
def open_snapshot(root: Path, name: str) -> Iterator[Snapshot]:
    """Yield a commit's files below `root`; raises `UsageError` where git knows no such commit."""
    try:
        found = _git(root, ["rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}"])
    except CalibrateError as error:
        raise UsageError(
            f"{name!r}: git knows no such revision here ({error}); fetch it first, a shallow "
            "clone lacks most of them"
        ) from error
    with TemporaryDirectory(prefix="calibrate-") as folder:
        yield Snapshot(name, found.decode().strip(), root, Path(folder))


def _literal(path: str) -> str:
    return f":(literal){path}" if path != "." else path


def _blobs(listed: bytes) -> Iterator[tuple[str, str]]:
    for row in listed.split(b"\0"):
        head, _, path = row.partition(b"\t")
        if path:
            mode, _, blob = head.decode().split(" ")
            if mode in _FILES:
                yield path.decode(errors="surrogateescape"), blob


def _contents(batch: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(batch):
        line = batch.index(b"\n", at)
        _, _, size_text = batch[at:line].split(b" ")  # the name, `blob`, and the size
        size = int(size_text)
        yield batch[line + 1 : line + 1 + size]
        at = line + size + 2


def _git(root: Path, arguments: Sequence[str], given: bytes = b"") -> bytes:
    try:
        done = run_git(arguments, folder=root, given=given)
    except FileNotFoundError:
        raise UsageError("git is not installed, and a revision was asked for") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(said[-1] if said else f"git {arguments[0]} failed")
    return done.stdout
