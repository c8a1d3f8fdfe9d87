"""Commands that do one of several things: `calibrate batch collect`, `calibrate cache prune`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calibrate.cli.options import add_json, add_project

__all__ = ["Action", "add_actions", "run_action"]


@dataclass(frozen=True, slots=True)
class Action:
    """One of the things that a command does; `run` returns its exit code."""

    name: str
    text: str
    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None


def add_actions(parser: argparse.ArgumentParser, actions: Sequence[Action]) -> None:
    """Let a command do these things, each for a project and with `--json`."""
    choices = parser.add_subparsers(
        dest="action",
        metavar="|".join(action.name for action in actions),
        required=True,
        help="see each one's --help",
    )
    for action in actions:
        own = choices.add_parser(
            action.name, help=action.text, description=action.text, allow_abbrev=False
        )
        add_project(own)
        action.add_arguments(own)
        add_json(own)
        own.set_defaults(run_action=action.run)
    usages = (own.format_usage() for own in choices.choices.values())
    parser.usage = "".join(usages).removeprefix("usage: ").replace("usage:", "      ").rstrip()


def run_action(arguments: argparse.Namespace) -> int:
    """Do what was asked for; return its exit code."""
    status: int = arguments.run_action(arguments)
    return status
