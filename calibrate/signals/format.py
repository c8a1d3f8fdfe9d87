"""Whether an answer has the form that a service can use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

from calibrate.errors import ConfigError
from calibrate.signals.answers import NotJsonError, json_in, label_in

__all__ = ["compiled_schema", "is_valid"]


def compiled_schema(place: str, schema: Mapping[str, Any]) -> Draft202012Validator:
    """Return a schema that can be asked; raises `ConfigError` where it cannot be used.

    Its patterns match in linear time and its references fetch nothing.
    """
    try:
        return Draft202012Validator(
            json.loads(json.dumps(schema, allow_nan=False)),
            validate_formats=True,
            pattern_options=RegexOptions(),
            offline=True,
        )
    except (ValidationError, ValueError) as error:
        why = error.message if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"{place}: not a usable JSON Schema: {why}") from error


def is_valid(answer: str, schema: Draft202012Validator | None, labels: Mapping[str, str]) -> bool:
    """Return whether an answer fits the schema or, where there is none, starts with a label."""
    if schema is None:
        return label_in(answer, labels) is not None
    try:
        return schema.is_valid(json_in(answer))
    except NotJsonError:
        return False
