"""A project's files, read: the tiers and every workflow, or all that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from calibrate.config import Tiers, Workflow
from calibrate.document import Document, load_document, read_text
from calibrate.errors import ConfigError, UsageError, did_you_mean, gather
from calibrate.record import parse_document

__all__ = ["TIERS_FILE", "Project", "find_root", "load_project"]

TIERS_FILE = "evals/tiers.yaml"
_WORKFLOW_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Project:
    """A folder that holds `evals/tiers.yaml`, with its tiers and workflows read."""

    root: Path
    tiers: Tiers
    workflows: Mapping[str, Workflow]

    def workflow(self, name: str) -> Workflow:
        if name not in self.workflows:
            known = sorted(self.workflows)
            raise UsageError(
                f"no workflow is called {name!r}{did_you_mean(name, known)} "
                f"(known: {', '.join(known) or 'none; add evals/<workflow>.yaml'})"
            )
        return self.workflows[name]

    def path(self, inside: str) -> Path:
        """Return an absolute path for a project path; one that leaves by a link is refused."""
        try:
            path = (self.root / inside).resolve()
        except (OSError, RuntimeError) as error:  # before Python 3.13 a loop of links raises
            raise ConfigError(f"{inside}: cannot be followed: {error}") from error
        if not path.is_relative_to(self.root.resolve()):
            raise ConfigError(f"{inside}: leaves the project through a link")
        return path


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds `evals/tiers.yaml`."""
    for folder in (start, *start.parents):
        if (folder / TIERS_FILE).is_file():
            return folder
    raise ConfigError(
        f"{start}: no {TIERS_FILE} here or above; run `calibrate init` or give --project DIR"
    )


def load_project(root: Path | None = None, tiers_file: str = TIERS_FILE) -> Project:
    """Read a project's files; raises `ConfigError` with every problem of every file."""
    root = find_root(Path.cwd()) if root is None else root
    problems: list[str] = []
    names: list[str] = []
    tiers = gather(problems, lambda: _load_tiers(root, tiers_file))
    workflows = {}
    for path in sorted((root / "evals").glob("*.yml")):
        problems.append(f"evals/{path.name}: call it {path.stem}.yaml, or it would not be read")
    for path in sorted((root / "evals").glob("*.yaml")):
        if path.stem == "tiers" or path.stem.startswith("tiers."):
            continue
        names.append(path.stem)
        loaded = gather(problems, partial(_load_workflow, path, tiers))
        if loaded is not None:
            workflows[path.stem] = loaded
    problems += _name_problems(names)
    default = None if tiers is None else tiers.default_route
    if default is not None and default not in names:
        hint = did_you_mean(default, names)
        problems.append(f"{tiers_file}: default_route: no workflow is called {default!r}{hint}")
    if problems or tiers is None:
        raise ConfigError(problems)
    return Project(root, tiers, workflows)


def _load_tiers(root: Path, tiers_file: str) -> Tiers:
    document = load_document(tiers_file, read_text(root / tiers_file, place=tiers_file))
    tiers = parse_document(Tiers, document)
    problems = list(_tiers_problems(tiers, document))
    if problems:
        raise ConfigError(problems)
    return tiers


def _tiers_problems(tiers: Tiers, document: Document) -> Iterator[str]:
    for alias, model in tiers.models.items():
        if model.endpoint not in tiers.endpoints:
            hint = did_you_mean(model.endpoint, tiers.endpoints)
            yield document.at(
                ("models", alias, "endpoint"), f"no endpoint is called {model.endpoint!r}{hint}"
            )
    seen: dict[str, str] = {}
    for tier, models in tiers.tiers.items():
        if not models:
            yield document.at(("tiers", tier), "names no model")
        for index, alias in enumerate(models):
            place = ("tiers", tier, index)
            if alias not in tiers.models:
                hint = did_you_mean(alias, tiers.models)
                yield document.at(place, f"no model is called {alias!r}{hint}")
            elif alias in seen:
                yield document.at(place, f"{alias!r} stands in tier {seen[alias]!r} already")
            seen.setdefault(alias, tier)
    if tiers.baseline not in tiers.tiers:
        hint = did_you_mean(tiers.baseline, tiers.tiers)
        yield document.at(("baseline",), f"no tier is called {tiers.baseline!r}{hint}")


def _load_workflow(path: Path, tiers: Tiers | None) -> Workflow:
    place = f"evals/{path.name}"
    if not _WORKFLOW_NAME.fullmatch(path.stem):
        raise ConfigError(f"{place}: a workflow's name is letters, digits, `.`, `_` and `-`")
    document = load_document(place, read_text(path, place=place))
    workflow = parse_document(Workflow, document)
    problems = [
        document.at(
            ("tiers", index), f"no tier is called {tier!r}{did_you_mean(tier, tiers.tiers)}"
        )
        for index, tier in enumerate(workflow.tiers or [])
        if tiers is not None and tier not in tiers.tiers
    ]
    if tiers is not None:
        problems += _override_problems(workflow, tiers, document)
    if problems:
        raise ConfigError(problems)
    return workflow


def _override_problems(workflow: Workflow, tiers: Tiers, document: Document) -> Iterator[str]:
    if workflow.overrides is None:
        return
    considered = [tiers.baseline_model]
    for tier in workflow.tiers or tiers.tiers:
        considered += tiers.tiers.get(tier, ())
    alias = workflow.overrides.model
    if alias not in considered:
        hint = did_you_mean(alias, considered)
        yield document.at(
            ("overrides", "model"),
            f"no model of the workflow's tiers is called {alias!r}{hint}",
        )


def _name_problems(names: Iterable[str]) -> Iterator[str]:
    folded: dict[str, str] = {}
    for name in names:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            yield f"evals/{name}.yaml: its name differs from {other!r} by case only; rename one"
