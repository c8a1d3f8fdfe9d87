"""A policy file to a policy that answers `route(workflow, input_tokens=…)`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from calibrate.document import Document, load_document, read_text
from calibrate.errors import PolicyError
from calibrate.fingerprint import json_problem
from calibrate.policy.checking import contradictions
from calibrate.policy.records import VERSION, PolicyModel, Route, RoutedWorkflow, WorkflowPolicy
from calibrate.policy.resolving import Resolver, in_force, midnight, utc_today
from calibrate.policy.sealing import edits
from calibrate.policy.watching import FileWatch
from calibrate.structure import read_structure

__all__ = [
    "DEFAULT_PATH",
    "Policy",
    "PolicyWatch",
    "Routes",
    "find_policy",
    "load_policy",
    "load_routes",
    "parse_policy",
]

DEFAULT_PATH = "routing-policy.yaml"
R = TypeVar("R", bound="Routes")


class _Resolved:
    """Room for what is computed from a policy; it is no part of the policy."""

    __slots__ = ("_resolver",)
    _resolver: Resolver


@dataclass(frozen=True, slots=True)
class Routes(_Resolved):
    """Every workflow's route, without the evidence; it may be used by many threads at once."""

    version: Literal[1]
    generated_by: str
    default: str | None = field(default=None, kw_only=True)  # the workflow for unknown names
    models: Mapping[str, PolicyModel] = field(default_factory=dict)
    workflows: Mapping[str, RoutedWorkflow] = field(default_factory=dict)

    def route(
        self, workflow: str, *, input_tokens: int | None = None, or_default: bool = False
    ) -> Route:
        """Return where a request of `workflow` goes.

        With `input_tokens`, an input that the route's model cannot hold together with its answer
        goes to the route's `over_context` model, and fallbacks that are too small are left out.
        With `or_default`, an unknown workflow is served as the one that the policy declares for
        that. Raises `PolicyError` for an unknown workflow otherwise, and where no model can take
        the input.
        """
        try:
            resolver = self._resolver
        except AttributeError:  # it was not loaded, or is a copy
            resolver = _resolve(self, None)
        return resolver.route(workflow, input_tokens, or_default)

    def in_force(self, day: date | None = None) -> Self:
        """Return the policy as it is served on a day (today, in UTC): overrides are applied.

        The status and the evidence of an overridden entry stay those of the model that it had.
        """
        on = day or utc_today()
        entries = {name: in_force(e, self.models, on) for name, e in self.workflows.items()}
        found = replace(self, workflows=entries)
        _resolve(found, on)
        return found

    @classmethod
    def watch(
        cls, path: str | os.PathLike[str], *, every_s: float = 1.0, verify: bool = False
    ) -> PolicyWatch[Self]:
        """Load a policy and go on reading it whenever the file has changed.

        The file is looked at when a route is asked for, at most every `every_s` seconds, and a
        changed one is read in the background. One that is broken is reported (a warning in the
        log of `calibrate.policy`, and `problem`), and the policy before it stays in use.
        """
        return PolicyWatch(Path(path), partial(_read, cls, verify=verify), every_s=every_s)


@dataclass(frozen=True, slots=True)
class Policy(Routes):
    """Every workflow's route with its evidence."""

    models: dict[str, PolicyModel] = field(default_factory=dict)
    workflows: dict[str, WorkflowPolicy] = field(default_factory=dict)


class PolicyWatch(FileWatch[R]):
    """A policy that follows its file; any thread may ask it."""

    @property
    def policy(self) -> R:
        """The policy as it is now."""
        return self.current

    def route(
        self, workflow: str, *, input_tokens: int | None = None, or_default: bool = False
    ) -> Route:
        """Return where a request goes by the policy as it is now; see `Policy.route`."""
        return self.current.route(workflow, input_tokens=input_tokens, or_default=or_default)


def load_policy(
    path: str | os.PathLike[str] = DEFAULT_PATH,
    *,
    verify: bool = False,
    today: date | None = None,
) -> Policy:
    """Read a policy file; raises `PolicyError` with every problem in it.

    With `verify`, an entry that is not as a run wrote it is a problem, too. Overrides are in force
    by the clock, or as of `today`.
    """
    return _load(Policy, path, verify, today)


def load_routes(
    path: str | os.PathLike[str], *, verify: bool = False, today: date | None = None
) -> Routes:
    """Read the routes of a policy from the JSON that `dump_routes` made, or from a policy file.

    The former is some fifty times as quick. `verify` finds edited routes and models, in a policy
    file edited evidence, too. Raises and resolves as `load_policy` does.
    """
    return _load(Routes, path, verify, today)


def parse_policy(document: Document, *, verify: bool = False) -> Policy:
    """Return the policy in a document; raises `PolicyError` with every problem in it."""
    return _parse(Policy, document, verify)


def find_policy(start: Path) -> Path:
    """Return the nearest policy file in a folder or above it, or where one would be."""
    found = (folder / DEFAULT_PATH for folder in (start, *start.parents))
    return next((path for path in found if path.is_file()), start / DEFAULT_PATH)


def _load(kind: type[R], path: str | os.PathLike[str], verify: bool, today: date | None) -> R:
    file = Path(path)
    if not file.exists():
        raise PolicyError(f"{path}: no such file; `calibrate run` makes a policy")
    routes = _read(kind, str(path), read_text(file, PolicyError), verify=verify)
    _resolve(routes, today)
    return routes


def _read(kind: type[R], place: str, text: str, *, verify: bool) -> R:
    is_json = place.endswith(".json")
    document = _json_document(place, text) if is_json else load_document(place, text, PolicyError)
    found: Any
    if _has_evidence(document.value):
        found = _parse(Policy, document, verify)  # what is wrong with evidence is no less wrong
    elif kind is Policy and is_json and _workflows(document.value):
        raise PolicyError(f"{place}: routes without their evidence; `load_routes` reads them")
    else:
        found = _parse(kind, document, verify)
    return found  # type: ignore[no-any-return]  # a policy is its routes, and more


def _has_evidence(value: Any) -> bool:
    return any("evidence" in entry for entry in _workflows(value) if isinstance(entry, dict))


def _workflows(value: Any) -> list[Any]:
    workflows = value.get("workflows") if isinstance(value, dict) else None
    return list(workflows.values()) if isinstance(workflows, dict) else []


def _parse(kind: type[R], document: Document, verify: bool) -> R:
    value = document.value
    if not isinstance(value, dict):
        raise PolicyError(f"{document.place}: not a routing policy")
    version = value.get("version")
    if isinstance(version, int) and version > VERSION:
        raise PolicyError(
            f"{document.place}: version {version} is newer than this calibrate understands "
            f"({VERSION}); upgrade calibrate-llm"
        )
    problems: list[str] = []
    routes = read_structure(kind, document, problems)
    if routes is None:
        raise PolicyError(problems)
    found = list(contradictions(routes.models, routes.workflows, routes.default))
    if verify and not found:
        found = [
            (("workflows", name, *place), f"{text}; run `calibrate run {name}`")
            for name, entry in routes.workflows.items()
            for place, text in edits(name, entry, routes.models)
        ]
    if found:
        raise PolicyError([document.at(path, text) for path, text in found])
    return routes


def _resolve(routes: Routes, day: date | None) -> Resolver:
    now = time.time if day is None else partial(midnight, day)
    resolver = Resolver(routes.models, routes.workflows, routes.default, now)
    object.__setattr__(routes, "_resolver", resolver)
    return resolver


def _json_document(place: str, text: str) -> Document:
    """Parse JSON as strictly as YAML is; problems then have a path and no line."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise PolicyError(f"{place}:{error.lineno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise PolicyError(f"{place}: nested too deep") from error
    except ValueError as error:
        raise PolicyError(f"{place}: {error}") from error
    if "\\u" in text:  # an escape may be half of a character
        why = json_problem(value)
        if why is not None:
            raise PolicyError(f"{place}: {why}")
    return Document(place, value, None)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"key {twice!r} was given twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")
