"""`calibrate schema`: print the JSON Schema of a file format."""

from __future__ import annotations

import pytest

from calibrate.cli.schema import NAMES
from calibrate.schemas import build_schema


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_printed_as_it_ships(calibrate, name: str) -> None:
    assert calibrate("schema", name) == (0, build_schema(name), "")
    assert calibrate("schema", name, "--json") == (0, build_schema(name), "")


def test_an_unknown_schema_is_told_with_the_known_ones(calibrate) -> None:
    status, stdout, stderr = calibrate("schema", "worklow")
    assert (status, stdout) == (2, "")
    assert stderr.endswith(
        "argument NAME: invalid choice: 'worklow' (choose from 'tiers', 'workflow', 'case', "
        "'recording', 'projection', 'routing-policy', 'routes')\n"
    )
