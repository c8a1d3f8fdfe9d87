"""The table of graders: from a workflow's `graders:` to the grade of an answer."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from calibrate.errors import CalibrateError, GraderError
from calibrate.graders.base import Grade, Grader
from calibrate.graders.grading import Grading, NamedGrader, grade_answer
from calibrate.graders.json_fields import JsonFields
from calibrate.graders.json_schema import JsonSchema
from calibrate.graders.numeric import Numeric
from calibrate.graders.one_of import OneOf
from calibrate.graders.text import Contains, ExactMatch, Regex, shown
from calibrate.plugins import find, names
from calibrate.record import build

__all__ = [
    "GRADERS",
    "GROUP",
    "Grade",
    "Grader",
    "Grading",
    "NamedGrader",
    "build_graders",
    "grade_answer",
    "grader_types",
]

GROUP = "calibrate.graders"
GRADERS: dict[str, type[Grader]] = {
    "exact_match": ExactMatch,
    "one_of": OneOf,
    "contains": Contains,
    "regex": Regex,
    "numeric": Numeric,
    "json_schema": JsonSchema,
    "json_fields": JsonFields,
}

Spec = str | Mapping[str, Mapping[str, Any] | None]


def grader_types() -> dict[str, type[Grader]]:
    """Return every known grader by name; a plugin that cannot be used raises `GraderError`."""
    return {name: _grader_type(name) for name in names(GROUP, GRADERS)}


def build_graders(
    place: str,
    specs: Sequence[Spec],
    labels: Sequence[str] | None = None,
    output_schema: Mapping[str, Any] | None = None,
) -> tuple[NamedGrader, ...]:
    """Return the graders of a workflow; raises `GraderError` with all that is wrong.

    A grader with an option `labels` or `schema` gets the workflow's `labels` or `output_schema`
    where the option is omitted.
    """
    shared = {"labels": None if labels is None else list(labels), "schema": output_schema}
    graders: list[NamedGrader] = []
    problems: list[str] = [] if specs else [f"{place}: graders: name at least one"]
    for index, spec in enumerate(specs):
        where = f"{place}: graders[{index}]"
        try:
            name, options = _one_grader(where, spec)
            graders.append(NamedGrader(name, _built(where, name, options, shared)))
        except GraderError as error:
            problems += error.problems
    if problems:
        raise GraderError(problems)
    return tuple(graders)


def _one_grader(where: str, spec: Spec) -> tuple[str, dict[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise GraderError(f"{where}: expected one grader's name, with or without options")
    ((name, options),) = spec.items()
    if options is not None and not isinstance(options, Mapping):
        raise GraderError(f"{where}.{name}: expected a mapping of options, got {shown(options)}")
    return name, dict(options or {})


def _grader_type(name: str) -> type[Grader]:
    try:
        found: Any = find(GROUP, name, GRADERS)
    except CalibrateError as error:
        raise GraderError(error.problems) from error
    if not isinstance(found, type) or not issubclass(found, Grader) or inspect.isabstract(found):
        raise GraderError(
            f"the {GROUP} plugin {name!r} is not a grader: {shown(found)} must be a subclass of "
            "calibrate.graders.base.Grader that has `grade`"
        )
    if not isinstance(found.version, str):
        raise GraderError(f"the {GROUP} plugin {name!r}: `version` must be a text")
    return found


def _built(where: str, name: str, options: dict[str, Any], shared: Mapping[str, Any]) -> Grader:
    try:
        found = _grader_type(name)
    except GraderError as error:
        raise GraderError([f"{where}: {problem}" for problem in error.problems]) from error
    for option in _options(found):
        if options.get(option) is None and shared.get(option) is not None:
            options[option] = shared[option]

    def describe(path: Sequence[str | int], text: str) -> str:
        return f"{where}.{name}{_dotted(path)}: {text}"

    try:
        grader = build(found, options, describe, GraderError)
        NamedGrader(name, grader).fingerprint()
    except GraderError:
        raise
    except Exception as error:  # a third party's validators may raise anything
        raise GraderError(f"{where}.{name}: {type(error).__name__}: {error}") from error
    return grader


def _options(found: type[Grader]) -> Iterator[str]:
    for name, field in found.model_fields.items():
        yield field.alias or name


def _dotted(path: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
