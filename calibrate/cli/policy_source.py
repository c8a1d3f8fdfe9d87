"""A policy by the path of a file, or as it stands in a revision of a git repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

from calibrate.cli.git import run_git
from calibrate.document import MAX_BYTES, load_document
from calibrate.errors import PolicyError
from calibrate.policy import Policy, load_policy, parse_policy

__all__ = ["policy_at", "revision_of"]

_TIMEOUT_S = 30
# One file is wanted, and at once: nothing is fetched for it, and nobody is asked for a password.
_SETTINGS = {"GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def policy_at(source: str, *, allow_missing: bool = False) -> Policy:
    """Return the policy in a file, or `REVISION:FILE` of the git repository here.

    A file of that name comes first. As in git, a FILE is found from the repository's top, and one
    that begins with `./` from the current folder. With `allow_missing`, a file that does not
    exist is a policy without routes; a revision that does not exist never is.
    """
    if _exists(source):
        return load_policy(source)
    revision, colon, inside = source.partition(":")
    if colon:
        text = _text_in(source, revision, inside)
        if text is not None:
            return parse_policy(load_document(source, text, PolicyError))
    if allow_missing:
        return Policy(1, "")
    if colon:
        raise PolicyError(
            f"{source}: {revision!r} has no such file; FILE is looked for from the repository's "
            f"top, and ./FILE in this folder"
        )
    raise PolicyError(f"{source}: no such file; `calibrate run` makes a policy")


def revision_of(source: str) -> str | None:
    """Return the git revision that a source names; None where it is a file's path."""
    revision, colon, _ = source.partition(":")
    return revision if colon and not _exists(source) else None


def _exists(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _text_in(source: str, revision: str, inside: str) -> str | None:
    """Return a file of a revision; None where that has none of the name."""
    if not revision or not inside or "\0" in source:
        raise PolicyError(f"{source!r}: no such file; expected a file, or REVISION:FILE")
    name = f"{_commit(source, revision)}:{inside}"
    sized = _git(source, "cat-file", "-s", name)
    if sized.returncode != 0:
        return None
    if int(sized.stdout) > MAX_BYTES:
        raise PolicyError(f"{source}: over {MAX_BYTES:,} bytes")
    # Not `show`, which would list a folder and may run what the repository's settings name.
    found = _git(source, "cat-file", "blob", name)
    if found.returncode != 0:
        raise PolicyError(f"{source}: not a file")
    try:
        return found.stdout.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PolicyError(f"{source}: not UTF-8; save the file as UTF-8") from None


def _commit(source: str, revision: str) -> str:
    """Return the hash of the commit that a revision names."""
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    done = _git(source, *asked)
    if done.returncode == 0:
        return done.stdout.decode("ascii").strip()
    said = done.stderr.decode(errors="replace").strip()
    if not said:
        raise PolicyError(
            f"{source}: no such file, and git knows no revision {revision!r} here; "
            "fetch it first, a shallow clone lacks most of them"
        )
    raise PolicyError(f"{source}: no such file, and git says: {said.splitlines()[0]}")


def _git(source: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return run_git(arguments, settings=_SETTINGS, timeout_s=_TIMEOUT_S)
    except FileNotFoundError:
        raise PolicyError(
            f"{source}: no such file, and git is not installed to look for a revision"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PolicyError(f"{source}: git cannot be asked: {error}") from error
