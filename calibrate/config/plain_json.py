"""Values of a file that go into a request as they are."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from calibrate.fingerprint import json_problem

__all__ = ["Json"]


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    problem = json_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value


Json = Annotated[dict[str, Any], AfterValidator(_plain_json)]
