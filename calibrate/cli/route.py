"""`calibrate route`: what the policy says for a request."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from calibrate.cli.json_output import print_json
from calibrate.cli.options import add_json, shown_path, token_count
from calibrate.policy import DEFAULT_PATH, Route, find_policy, load_routes

DESCRIPTION = "Say where the policy sends a request. Needs nothing but the policy file."
EXAMPLE = "calibrate route support-simple --input-tokens 812"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", metavar="WORKFLOW")
    parser.add_argument(
        "--input-tokens", metavar="N", type=token_count, help="the size of the input"
    )
    parser.add_argument(
        "--or-default",
        action="store_true",
        help="for a workflow that the policy does not have: the one it declares for that",
    )
    parser.add_argument(
        "--policy",
        metavar="FILE",
        type=Path,
        help=f"the policy file, or its routes as JSON (default: {DEFAULT_PATH}, found upwards)",
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    path = arguments.policy or Path(shown_path(find_policy(Path.cwd())))
    route = load_routes(path).route(
        arguments.workflow,
        input_tokens=arguments.input_tokens,
        or_default=arguments.or_default,
    )
    if arguments.json:
        print_json(asdict(route))
    else:
        _print(route)
    return 0


def _print(route: Route) -> None:
    model = route.model
    print(f"{route.workflow}: {route.alias} ({model.name} at {model.base_url or model.kind})")
    # The policy knows the tier of the workflow's own model only.
    tier = "" if route.over_context else f", tier {route.tier}"
    print(f"status {route.status}{tier}, at most {route.limits.max_output_tokens} output tokens")
    if route.override is not None:
        override = route.override
        print(
            f"overridden by {override.owner} until {override.expires}: {override.reason}; "
            "the status is that of the policy's own model"
        )
    if model.method != "chat":
        print("answers as an embeddings model: the label whose examples lie nearest on average")
    if route.over_context:
        print("the input is too large for the workflow's own model")
    if route.fallbacks:
        print(f"falls back to {', '.join(other.name for other in route.fallbacks)}")
    if route.escalation is not None:
        found = route.escalation
        scale = "" if found.scale is None else f" ({found.scale})"
        verb = "goes to" if found.is_before_call else "escalates to"
        print(f"{verb} {found.to} where {found.signal} is below {found.below:g}{scale}")
