"""Golden cases and few-shot examples: what is one, in which order, and which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibrate.dataset.rows import rows_of
from calibrate.errors import DatasetError, did_you_mean
from calibrate.fingerprint import canonical_bytes, json_problem, seeded_order_key

__all__ = [
    "Case",
    "Example",
    "clusters_of",
    "load_cases",
    "load_examples",
    "seeded_order",
]

_NO_TAGS: dict[str, str] = {}  # one for all of the many cases without
_CASE_KEYS = ("id", "input", "expected", "tags", "critical", "group")
_EXAMPLE_KEYS = ("input", "expected")


@dataclass(frozen=True, slots=True)
class Case:
    """One golden example: what goes in, and what a good answer is."""

    id: str
    input: Any  # a string, or a mapping of strings to values
    expected: Any
    tags: dict[str, str] = field(default_factory=lambda: _NO_TAGS)
    critical: bool = False
    group: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in _CASE_KEYS}


@dataclass(frozen=True, slots=True)
class Example:
    """One worked example that a prompt may show; never a golden case."""

    input: Any
    expected: Any


def load_cases(path: Path, place: str) -> tuple[Case, ...]:
    """Return every case of a file in its order; raises `DatasetError` with all that is wrong."""
    problems: list[str] = []
    cases: list[Case] = []
    ids: dict[str, str] = {}
    inputs: dict[bytes, tuple[str, bytes]] = {}
    for row in rows_of(path, place, _CASE_KEYS, problems):
        found = list(_case_problems(row.value))
        problems += [f"{row.place}: {text}" for text in found]
        if found:
            continue
        case = _case(row.value)
        cases.append(case)
        if case.id in ids:
            problems.append(f"{row.place}: id {case.id!r} was given at {ids[case.id]} already")
        ids.setdefault(case.id, row.place)
        answer = canonical_bytes(case.expected)
        first, expected = inputs.setdefault(canonical_bytes(case.input), (row.place, answer))
        if expected != answer:
            problems.append(f"{row.place}: the same input has another answer at {first}")
    if not cases and not problems:
        problems.append(f"{place}: no cases; a golden data set needs at least one")
    if problems:
        raise DatasetError(problems)
    return tuple(cases)


def load_examples(path: Path, place: str, cases: Iterable[Case]) -> tuple[Example, ...]:
    """Return the examples of a file; one that is also a golden case is refused."""
    golden = {canonical_bytes(case.input): case.id for case in cases}
    problems: list[str] = []
    examples = []
    for row in rows_of(path, place, _EXAMPLE_KEYS, problems):
        found = list(_content_problems(row.value, _EXAMPLE_KEYS))
        problems += [f"{row.place}: {text}" for text in found]
        if found:
            continue
        example = Example(row.value["input"], row.value["expected"])
        twin = golden.get(canonical_bytes(example.input))
        if twin is not None:
            problems.append(f"{row.place}: is the golden case {twin!r}; examples must be others")
        examples.append(example)
    if not examples and not problems:
        problems.append(f"{place}: no examples")
    if problems:
        raise DatasetError(problems)
    return tuple(examples)


def seeded_order(cases: Iterable[Case], seed: int) -> tuple[Case, ...]:
    """Return the cases in the order in which every model is asked; fixed by seed and ids alone.

    Cases of one group stand together: they are evidence only as a whole.
    """

    def place(case: Case) -> tuple[Any, ...]:
        own = (seeded_order_key(seed, case.id), case.id)
        if case.group is None:
            return own
        return (seeded_order_key(seed, f"group {case.group}"), case.group, *own)

    return tuple(sorted(cases, key=place))


def clusters_of(cases: Sequence[Case]) -> tuple[tuple[int, ...], ...]:
    """Return the places of the cases that depend on each other, in the order of their last one.

    A case without a group is a cluster by itself.
    """
    members: dict[object, list[int]] = {}
    for place, case in enumerate(cases):
        members.setdefault(place if case.group is None else case.group, []).append(place)
    return tuple(sorted(map(tuple, members.values()), key=lambda places: places[-1]))


def _case_problems(value: dict[str, Any]) -> Iterator[str]:
    yield from _content_problems(value, _CASE_KEYS)
    identifier = value.get("id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= 200:
        yield "`id` must be a text of 1 to 200 characters"
    elif not identifier.isprintable():
        yield f"`id` {identifier!a} has characters that cannot be printed"
    if not isinstance(value.get("critical", False), bool):
        yield "`critical` must be true or false"
    if not isinstance(value.get("group"), str | None):
        yield "`group` must be a text"
    tags = value.get("tags", {})
    if not isinstance(tags, dict) or not all(isinstance(tag, str) for tag in tags.values()):
        yield "`tags` must be an object of texts"


def _content_problems(value: dict[str, Any], known: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a row whatever it is for."""
    for key in value:
        if key not in known:
            yield f"unknown key {key!r}{did_you_mean(str(key), known)}"
    if not isinstance(value.get("input"), str | dict) or value["input"] in ("", {}):
        yield "`input` must be a text or an object, and not empty"
    if "expected" not in value:
        yield "`expected` is missing (null where there is no golden answer)"
    for key in ("input", "expected", "tags"):
        problem = json_problem(value.get(key), key)
        if problem is not None:
            yield problem


def _case(value: dict[str, Any]) -> Case:
    return Case(
        id=value["id"],
        input=value["input"],
        expected=value["expected"],
        tags=value.get("tags") or _NO_TAGS,
        critical=value.get("critical", False),
        group=value.get("group"),
    )
