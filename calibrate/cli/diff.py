"""`calibrate diff`: what another policy moves, and what that does to quality, money and time."""

from __future__ import annotations

import argparse
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

from calibrate.cli.base import open_base
from calibrate.cli.case_outcomes import Side, compared_cases
from calibrate.cli.console import data_console
from calibrate.cli.differences import comparison_json, print_comparison
from calibrate.cli.json_output import print_json
from calibrate.cli.options import add_format, add_project, project_of
from calibrate.cli.policy_source import policy_at, revision_of
from calibrate.comparison import (
    CasesCompared,
    NotKnown,
    compare,
    markdown,
    shortened,
)
from calibrate.errors import CalibrateError, ConfigError
from calibrate.policy import DEFAULT_PATH, Policy
from calibrate.project import TIERS_FILE, Project, find_root

DESCRIPTION = (
    "Say what a policy moves against another one: routes, quality, money and time;\n"
    "and which cases newly fail, where the answers of both are stored. Offline.\n"
    "Exits 1 where routes differ."
)
EXAMPLE = "calibrate diff main:routing-policy.yaml routing-policy.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="a policy file, or REVISION:FILE of git")
    parser.add_argument("new", metavar="NEW", help="likewise")
    add_project(parser)
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="take an OLD file that does not exist as one without routes",
    )
    add_format(parser, "for a comment on a change, cut to what one can hold")


def handle(arguments: Namespace) -> int:
    old = policy_at(arguments.old, allow_missing=arguments.allow_missing)
    new = policy_at(arguments.new)
    project = _project(arguments)
    found = compare(old, new, _traffic(project))
    to_replay = [w.workflow for w in found.workflows if w.may_answer_otherwise]
    if to_replay:
        cases = _cases(to_replay, old, new, project, arguments)
        found = found.with_cases(dict(zip(to_replay, cases, strict=True)))
    if arguments.format == "json":
        print_json(comparison_json(found))
    elif arguments.format == "markdown":
        print(shortened(markdown(found)), end="")
    else:
        print_comparison(found, data_console())
    return 0 if found.same_routes else 1


def _project(arguments: Namespace) -> Project | None:
    """Return the project; None where none is named and none is here: two policies are enough."""
    if arguments.project is None and arguments.tiers == TIERS_FILE:
        try:
            find_root(Path.cwd())
        except ConfigError:
            return None
    return project_of(arguments)


def _traffic(project: Project | None) -> dict[str, int]:
    if project is None:
        return {}
    stated = ((name, workflow.traffic) for name, workflow in project.workflows.items())
    return {name: traffic.requests_per_day for name, traffic in stated if traffic is not None}


def _cases(
    workflows: list[str], old: Policy, new: Policy, project: Project | None, args: Namespace
) -> list[CasesCompared | NotKnown]:
    """Return what is known of each workflow's cases, as the policies are served today.

    A policy of a revision is replayed in the project as that has it, any other in the one here.
    """
    if project is None:
        return [NotKnown("the policies alone do not say; give --project")] * len(workflows)
    with ExitStack() as stack:
        sides = []
        for name, source, policy in (("OLD", args.old, old), ("NEW", args.new, new)):
            revision, base = revision_of(source), None
            if revision is not None:
                opened = open_base(revision, project, args.tiers, project.root / DEFAULT_PATH)
                try:
                    base = stack.enter_context(opened)
                except CalibrateError as error:  # the project lies in another repository
                    return [NotKnown(error.problems[0])] * len(workflows)
            sides.append(Side(name, policy.in_force(), project, base))
        return [compared_cases(name, *sides) for name in workflows]
