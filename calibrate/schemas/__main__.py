"""`python -m calibrate.schemas`: write the shipped schema files anew."""

from __future__ import annotations

from pathlib import Path

from calibrate.schemas import write_schemas

write_schemas(Path(__file__).parent)
