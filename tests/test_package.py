"""What `import calibrate` gives, and what it costs a service that only routes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import calibrate
from calibrate.policy import Policy, write_policy

HEAVY = (
    "numpy",
    "pandas",
    "scipy",
    "aiohttp",
    "httptools",
    "httpx",
    "orjson",
    "jinja2",
    "pydantic",
    "genai_prices",
    "rich",
)


def loaded_by(code: str) -> str:
    """Return which of the heavy packages a fresh interpreter has loaded after `code`."""
    program = f"{code}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_importing_calibrate_loads_no_harness() -> None:
    assert loaded_by("import calibrate; calibrate.__version__") == ""


def test_a_run_starts_without_what_only_tables_of_outcomes_need() -> None:
    assert "pandas" not in loaded_by("import calibrate.cli.run").split()


def test_reading_a_policy_loads_no_harness(tmp_path: Path) -> None:
    path = tmp_path / "routing-policy.yaml"
    write_policy(path, Policy(1, "calibrate 0.1.0"))
    assert loaded_by(f"from calibrate import load_policy; load_policy({str(path)!r})") == ""


def test_the_help_of_the_command_loads_no_harness() -> None:
    assert loaded_by("from calibrate.cli import main; main(['--version'])") == "calibrate 0.1.0"


def test_the_public_names_are_exactly_what_is_visible() -> None:
    assert calibrate.__all__ == [
        "CalibrateError",
        "Policy",
        "Route",
        "Routes",
        "load_policy",
        "load_routes",
    ]
    assert [name for name in dir(calibrate) if not name.startswith("_")] == calibrate.__all__
    namespace: dict[str, object] = {}
    exec("from calibrate import *", namespace)  # noqa: S102 - this is the statement under test
    assert sorted(set(namespace) - {"__builtins__"}) == calibrate.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'calibrate' has no attribute 'nope'"):
        _ = calibrate.nope
