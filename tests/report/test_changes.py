from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from calibrate.policy import Policy, WorkflowPolicy
from calibrate.report import write_reports
from calibrate.report.changes import changes_between

Make = Callable[..., Any]


def policy(**workflows: WorkflowPolicy) -> Policy:
    return Policy(1, "", {}, workflows)


def entry_of(sample: Any) -> WorkflowPolicy:
    entry: WorkflowPolicy = sample.policy.workflows["tickets"]
    return entry


def test_the_same_policy_has_no_changes(certified: Any) -> None:
    assert changes_between(certified.policy, certified.policy) == ()


def test_workflows_come_and_go(certified: Any) -> None:
    entry = entry_of(certified)
    found = changes_between(policy(old=entry), policy(new=entry))
    assert [(change.workflow, change.lines) for change in found] == [
        ("new", ("is new: medium (balanced), certified",)),
        ("old", ("has no route any more",)),
    ]


def test_a_moved_route_is_told_with_its_figures_and_inputs(
    certified: Any, calibrated: Make
) -> None:
    new = entry_of(certified)
    old = entry_of(calibrated({"small": 2, "medium": 2, "large": 2}, bar={"pass_rate": 0.9}))
    (change,) = changes_between(policy(tickets=old), policy(tickets=new))
    assert change.workflow == "tickets"
    assert change.lines == (
        f"moved from {old.model} ({old.tier}) to medium (balanced)",
        "bar not met before, certified now",
        "fallbacks: none before, large now",
        "bar 90.0 % before, 80.0 % now",
        "lower bound 11.8 % before, 82.9 % now",
        *[line for line in change.lines if "per 1,000 requests" in line],
        "changed: the bar or the seed",
    )


def test_a_model_may_move_to_another_tier(certified: Any) -> None:
    entry = entry_of(certified)
    (change,) = changes_between(policy(tickets=replace(entry, tier="cheap")), policy(tickets=entry))
    assert change.lines == ("medium moved from tier cheap to balanced",)


def test_the_index_has_the_changes_where_there_was_a_policy(certified: Any, tmp_path: Path) -> None:
    def index(previous: Policy | None) -> str:
        write_reports([], certified.project, certified.policy, tmp_path, previous=previous)
        return (tmp_path / "index.html").read_text("utf-8")

    heading = "Changed since the policy before"
    assert heading not in index(None)
    assert "<p>Nothing.</p>" in index(certified.policy)
    text = index(Policy(1, ""))
    assert heading in text
    assert "<bdi>is new: medium (balanced), certified</bdi>" in text
