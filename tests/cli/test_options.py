"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal

import pytest

from calibrate.cli.options import case_count, chosen_names, dollars, token_count
from calibrate.errors import ConfigError, UsageError
from calibrate.project import load_project


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (dollars, "2", Decimal(2)),
        (dollars, "$0.10", Decimal("0.10")),
        (dollars, "0", Decimal(0)),
        (case_count, "12", 12),
        (case_count, "all", "all"),
        (token_count, "0", 0),
        (token_count, "812", 812),
    ],
)
def test_a_value_is_parsed(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((dollars, text) for text in ("", "-1", "nan", "inf", "two", "$")),
        *((case_count, text) for text in ("", "0", "-1", "1.5", "every", "9" * 5000)),
        *((token_count, text) for text in ("", "-1", "1.5", "many", "9" * 5000)),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)


def test_every_workflow_is_chosen_by_default_and_each_once(project) -> None:
    project.write("evals/again.yaml", (project.root / "evals/triage.yaml").read_bytes())
    found = load_project(project.root)
    assert chosen_names(found, []) == ["again", "triage"]
    assert chosen_names(found, ["triage", "again", "triage"]) == ["triage", "again"]


def test_every_unknown_workflow_is_told_at_once(project) -> None:
    with pytest.raises(UsageError) as caught:
        chosen_names(load_project(project.root), ["tirage", "triage", "x"])
    assert caught.value.problems == (
        "no workflow is called 'tirage'; did you mean 'triage'? (known: triage)",
        "no workflow is called 'x' (known: triage)",
    )


def test_a_project_without_workflows_says_how_to_add_one(project) -> None:
    (project.root / "evals/triage.yaml").unlink()
    with pytest.raises(ConfigError) as caught:
        chosen_names(load_project(project.root), [])
    assert caught.value.problems == (
        f"{project.root / 'evals'}: no workflow; add evals/<workflow>.yaml",
    )
