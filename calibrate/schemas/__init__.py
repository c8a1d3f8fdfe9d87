"""The JSON Schema of every file format, made from the records that read the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from calibrate.config import Tiers, Workflow
from calibrate.graders import grader_types
from calibrate.policy import Policy, Routes
from calibrate.projection import Scenario

__all__ = ["build_schema", "write_schemas"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def build_schema(name: str) -> str:
    """Return a format's schema as the text that ships in the wheel."""
    schema = {"$schema": _DIALECT, **_BUILDERS[name]()}
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def write_schemas(folder: Path) -> None:
    """Write every schema file anew; for developers."""
    for name in _BUILDERS:
        (folder / f"{name}.schema.json").write_text(build_schema(name), encoding="utf-8")


def _workflow() -> dict[str, Any]:
    """Add the built-in graders' options, for editors; other names are third parties' graders."""
    schema = Workflow.model_json_schema()
    options = {
        name: {
            key: value
            for key, value in grader.model_json_schema(by_alias=True).items()
            if key != "title"
        }
        for name, grader in sorted(grader_types().items())
    }
    schema["properties"]["graders"]["items"] = {
        "anyOf": [
            {"type": "string", "examples": sorted(options)},
            {"type": "object", "properties": options, "minProperties": 1, "maxProperties": 1},
        ]
    }
    return schema


def _case() -> dict[str, Any]:
    return {
        "title": "One line of a golden data set",
        "type": "object",
        "required": ["id", "input", "expected"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": 200},
            "input": {"type": ["string", "object"]},
            "expected": {},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "critical": {"type": "boolean", "default": False},
            "group": {"type": ["string", "null"]},
        },
    }


def _recording() -> dict[str, Any]:
    return {
        "title": "One line of a recording",
        "type": "object",
        "required": ["v", "request", "response"],
        "additionalProperties": False,
        "properties": {
            "v": {"const": 1},
            "request": {
                "type": "object",
                "required": ["kind", "name", "parameters", "logprobs", "repeat"],
                "oneOf": [{"required": ["messages"]}, {"required": ["input"]}],
            },
            "response": {"type": "object", "required": ["latency_s", "status"]},
        },
    }


_BUILDERS: dict[str, Callable[[], dict[str, Any]]] = {
    "tiers": Tiers.model_json_schema,
    "workflow": _workflow,
    "case": _case,
    "recording": _recording,
    "projection": Scenario.model_json_schema,
    "routing-policy": lambda: TypeAdapter(Policy).json_schema(),
    "routes": lambda: TypeAdapter(Routes).json_schema(),
}
