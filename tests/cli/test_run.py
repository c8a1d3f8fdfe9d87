"""What a run leaves behind, and what it says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibrate.cli import main

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped project, its outputs in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    return main(["run", "support-complex", "--project", str(ROOT), "--offline", *arguments])


def test_a_part_of_the_cases_leaves_the_policy_alone(shipped: Path, capsys: Any) -> None:
    before = (ROOT / "routing-policy.yaml").read_bytes()
    assert run("--cases", "40", "--report", "pages") == 0
    assert (ROOT / "routing-policy.yaml").read_bytes() == before
    assert "policy not written: --cases took a part" in capsys.readouterr().out
    assert run("--cases", "40", "--report", "pages", "--policy", "part.yaml") == 0
    assert (shipped / "part.yaml").is_file()


def test_a_run_of_what_changed_says_when_nothing_did(shipped: Path, capsys: Any) -> None:
    options = ("--report", "pages", "--policy", "policy.yaml")
    assert run(*options) == 1
    capsys.readouterr()
    assert run(*options, "--changed") == 0
    assert capsys.readouterr() == ("", "nothing changed\n")


def test_the_report_is_rendered_again_without_the_run(shipped: Path, capsys: Any) -> None:
    assert run("--report", "pages", "--policy", "policy.yaml") == 1
    capsys.readouterr()
    again = ["report", "support-complex", "--project", str(ROOT), "--report", "again"]
    assert main(again) == 0
    assert capsys.readouterr().out == "again/support-complex.html\n"
    page = "support-complex.html"
    assert (shipped / "again" / page).read_bytes() == (shipped / "pages" / page).read_bytes()
    assert main([*again, "--json"]) == 0
    assert '"again/support-complex.html"' in capsys.readouterr().out


def test_the_table_fits_eighty_columns(
    shipped: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run("--report", "pages", "--policy", "policy.yaml") == 1
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
