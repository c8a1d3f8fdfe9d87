"""Judge an answer by a JSON Schema."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError
from pydantic import Field, field_validator

from calibrate.graders.base import Grade, Grader
from calibrate.graders.reading import UnreadableError, read_json, refuse_excess
from calibrate.graders.text import shown

__all__ = ["JsonSchema"]

LEVELS_EXPLAINED = 8


class JsonSchema(Grader):
    """The answer is JSON that a JSON Schema (draft 2020-12) allows; `expected` is not looked at."""

    schema_: dict[str, Any] = Field(
        alias="schema",
        description="The JSON Schema; the workflow's `output_schema` where omitted.",
    )

    @field_validator("schema_")
    @classmethod
    def _can_be_used(cls, schema: dict[str, Any]) -> dict[str, Any]:
        try:
            # What YAML knows and JSON does not (dates, keys that are numbers) ends here.
            schema = json.loads(json.dumps(schema, allow_nan=False))
            _validator(schema)
        except ValidationError as error:
            raise ValueError(f"not a usable JSON Schema: {error.message}") from error
        except (TypeError, RecursionError) as error:
            raise ValueError(f"not JSON: {error}") from error
        return schema

    def grade(self, answer: str, expected: Any) -> Grade:
        """See `Grader.grade`. The reason is the first thing that does not fit, and where."""
        try:
            value = read_json(answer, parse_float=float)
        except (UnreadableError, ValueError) as problem:
            return Grade(0.0, str(problem))
        if self._compiled.is_valid(value):
            return Grade(1.0, "fits the schema")
        return Grade(0.0, self._first_problem(value))

    def _first_problem(self, value: Any) -> str:
        try:
            # Where a schema branches, finding the place takes exponential time in the depth.
            refuse_excess(value, most_levels=LEVELS_EXPLAINED)
        except UnreadableError:
            return "does not fit the schema"
        error = next(self._compiled.iter_errors(value))
        place = "".join(f"[{shown(step)}]" for step in error.instance_path)
        message = error.message if len(error.message) <= 200 else error.message[:197] + "..."
        printable = "".join(char if char.isprintable() else "\ufffd" for char in message)
        return f"{place}: {printable}" if place else printable

    @cached_property
    def _compiled(self) -> Draft202012Validator:
        return _validator(self.schema_)


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Compile a schema; its patterns match in linear time and its references fetch nothing."""
    return Draft202012Validator(
        schema, validate_formats=True, pattern_options=RegexOptions(), offline=True
    )
