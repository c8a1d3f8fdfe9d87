"""One YAML document to one frozen record, or all that is wrong with it and where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)

from calibrate.document import Document
from calibrate.errors import CalibrateError, ConfigError, did_you_mean, looks_like_key

__all__ = [
    "EnvName",
    "Money",
    "ProjectPath",
    "Rate",
    "Record",
    "Seconds",
    "Url",
    "build",
    "parse_document",
    "secret_in",
]

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Our words for the kinds of problem that pydantic words for developers.
_WANTED = {
    "dict_type": "a mapping of keys",
    "is_instance_of": "a number",  # a `Money`
    "model_type": "a mapping of keys",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "a text, not an empty one",
}

R = TypeVar("R", bound="Record")
E = TypeVar("E", bound=CalibrateError)


class Record(BaseModel):
    """A frozen record that refuses what it does not know and converts nothing in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _to_decimal(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return value


Money = Annotated[
    Decimal,
    BeforeValidator(_to_decimal),
    Field(ge=0, allow_inf_nan=False),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
"""An amount of money, exact; a float in YAML is read by its written digits."""


def _env_name(value: str) -> str:
    if not _ENV_NAME.fullmatch(value):
        raise ValueError(
            "expected the name of an environment variable; never write the key itself into a file"
        )
    return value


def _plain_url(value: str) -> str:
    parts = urlsplit(value)
    spaced = any(char.isspace() or not char.isprintable() for char in value)
    if parts.scheme not in ("http", "https") or not parts.hostname or spaced:
        raise ValueError("expected an http(s) URL")
    _ = parts.port  # raises `ValueError` where it is no port
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a URL with credentials, a query or a fragment is refused")
    return value.rstrip("/")


def _inside_project(value: str) -> str:
    path = Path(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value:
        raise ValueError(f"{value!r} leaves the project; give a path inside it")
    if not value.isprintable() or path == Path():
        raise ValueError("expected a path inside the project")
    return value


EnvName = Annotated[str, AfterValidator(_env_name)]
Url = Annotated[str, AfterValidator(_plain_url)]
ProjectPath = Annotated[str, AfterValidator(_inside_project)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def parse_document(record: type[R], document: Document) -> R:
    """Return the record that a document describes; raises `ConfigError` with every problem."""
    if not isinstance(document.value, dict):
        raise ConfigError(
            f"{document.place}: expected a mapping of keys, got an empty or other file"
        )
    problems = [
        document.at(path, "this looks like a key; name the environment variable that holds it")
        for path in secret_in(document.value)
    ]
    try:
        parsed = build(record, document.value, document.at)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return parsed


def build(
    record: type[R],
    value: Any,
    describe: Callable[[Sequence[str | int], str], str],
    error: type[CalibrateError] = ConfigError,
) -> R:
    """Validate a value as a record; `describe(path, text)` words one problem at its place."""
    try:
        return record.model_validate(value)
    except ValidationError as failed:
        raise error(
            [
                describe(*_problem(record, value, dict(item)))
                for item in failed.errors(include_url=False)
            ]
        ) from None


def secret_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every string that looks like a pasted key."""
    if isinstance(value, str):
        if looks_like_key(value):
            yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            if looks_like_key(str(key)):
                yield (*path, str(key))
            yield from secret_in(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from secret_in(item, (*path, index))


def _problem(
    record: type[Record], value: Any, item: dict[str, Any]
) -> tuple[tuple[str | int, ...], str]:
    """Return the place and our own wording of one pydantic problem."""
    location = item["loc"]
    path = _path_in(value, location)
    kind, context, given = item["type"], item.get("ctx", {}), item["input"]
    if kind == "extra_forbidden":
        known = _properties(record, location[:-1])
        return path, f"unknown key{did_you_mean(str(location[-1]), known)}"
    if kind == "invalid_key" or location[-1:] == ("[key]",):  # pydantic's word for a mapping's key
        place = _path_in(value, location[:-1])[:-1] if kind != "invalid_key" else path[:-1]
        return (*place, str(given)), "a key must be a text; put it in quotes"
    if kind == "missing":
        field = _properties(record, location[:-1]).get(str(location[-1]), {})
        return path, f"is missing{_examples(str(location[-1]), field)}"
    if kind == "literal_error" and path == ("version",) and type(given) is int:
        return path, f"is {given}, and this calibrate reads {context['expected']}; upgrade it"
    if kind in ("literal_error", "enum"):
        return path, f"expected {context['expected']}, got {_shown(given)}"
    if kind == "value_error":
        return path, str(context["error"])
    wanted = str(item["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
    wanted = _WANTED.get(kind, wanted).format(**context) if kind in _WANTED else wanted
    # YAML reads `no` as false, `12` as a number and `2026-01-31` as a date.
    quote = isinstance(given, bool | int | float | date) and kind == "string_type"
    return path, f"expected {wanted}, got {_shown(given)}{'; put it in quotes' if quote else ''}"


def _examples(name: str, field: dict[str, Any]) -> str:
    """Return how a missing key may be written, where its field has examples."""
    shown = [
        f"`{name}: {example if isinstance(example, str) else json.dumps(example)}`"
        for example in field.get("examples", ())
    ]
    return f"; write {' or '.join(shown)}" if shown else ""


def _shown(value: Any) -> str:
    # Checked before it is cut: what is left of a key could not be told any more.
    if looks_like_key(repr(value)):
        return "what looks like a key"
    text = str(value) if isinstance(value, Decimal | date) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _path_in(value: Any, loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """Drop the steps that pydantic adds for the branches of a union: they are not in the file."""
    path: list[str | int] = []
    for index, step in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(value, dict) and (step in value or last):
            path, value = [*path, step], value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            path, value = [*path, step], value[step] if step < len(value) else None
    return tuple(path)


def _properties(record: type[Record], loc: Sequence[str | int]) -> dict[str, Any]:
    """Return the keys known where `loc` points, each with its part of the record's JSON Schema."""
    schema = record.model_json_schema()
    definitions, here = schema.get("$defs", {}), [schema]
    for step in loc:
        here = [found for part in here for found in _steps(part, step, definitions)]
    return {key: field for part in here for key, field in part.get("properties", {}).items()}


def _steps(schema: dict[str, Any], step: str | int, definitions: dict[str, Any]) -> list[Any]:
    options = [_resolved(option, definitions) for option in _branches(schema)]
    found = []
    for option in options:
        if step in option.get("properties", {}):
            found.append(option["properties"][step])
        elif isinstance(step, int) and "items" in option:
            found.append(option["items"])
        elif isinstance(option.get("additionalProperties"), dict):
            found.append(option["additionalProperties"])
        elif option.get("title") == step:  # a union's branch, named by pydantic
            found.append(option)
    return [_resolved(branch, definitions) for part in found for branch in _branches(part)]


def _branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema.get("anyOf") or schema.get("oneOf") or [schema]


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return definitions[reference.rsplit("/", 1)[-1]] if reference else schema
