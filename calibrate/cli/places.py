"""Where in a project's files a finding belongs, as a CI service marks it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from calibrate.cli.gating import Finding
from calibrate.document import load_document, read_text
from calibrate.project import Project

__all__ = ["Place", "place_of", "workflow_command"]

_IN_TIERS = {"models": "models", "prices": "models", "default": "default_route"}
_IN_POLICY = ("edited", "decision", "procedure")
_KEYS = {"override": "overrides"}  # of a workflow's file, where it is not the part's own name


@dataclass(frozen=True, slots=True)
class Place:
    """A file, from the folder that a CI service takes paths from, and a line of it."""

    file: str
    line: int


def place_of(finding: Finding, project: Project, tiers_file: str, policy: Path) -> Place:
    """Return the file and the line that a finding is about; line 1 where no other is known."""
    part, name = finding.part, finding.workflow
    own = project.root / "evals" / f"{name}.yaml"
    if part in _IN_TIERS:
        path, keys = project.root / tiers_file, [_IN_TIERS[part]]
    elif part in _IN_POLICY or not own.is_file():
        path, keys = policy, ["workflows", name]
    else:
        path, keys = own, [_KEYS.get(part, part)]
    return Place(_shown(path), load_document(str(path), read_text(path)).line(keys) or 1)


def workflow_command(finding: Finding, place: Place) -> str:
    """Return the line by which GitHub Actions marks a line of a file as an error."""
    title = f"{finding.workflow}: {finding.kind.value}"
    properties = {"file": place.file, "line": str(place.line), "title": title}
    marked = ",".join(f"{key}={_escaped(text, ':,')}" for key, text in properties.items())
    return f"::error {marked}::{_escaped(finding.text)}"


def _escaped(text: str, further: str = "") -> str:
    for character in f"%\r\n{further}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _shown(path: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Return a path below the checkout that a CI service names, or below the current folder."""
    absolute = path.resolve()
    for top in (environment.get("GITHUB_WORKSPACE"), environment.get("CI_PROJECT_DIR"), "."):
        if top and absolute.is_relative_to(Path(top).resolve()):
            return absolute.relative_to(Path(top).resolve()).as_posix()
    return str(path)
