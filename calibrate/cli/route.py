"""`calibrate route`: what the policy says for a request."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from calibrate.cli.options import add_json, print_json, token_count
from calibrate.policy import DEFAULT_PATH, load_policy

DESCRIPTION = "Say where the policy sends a request. Needs nothing but the policy file."
EXAMPLE = "calibrate route support-simple --input-tokens 812"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", metavar="WORKFLOW")
    parser.add_argument(
        "--input-tokens", metavar="N", type=token_count, help="the size of the input"
    )
    parser.add_argument(
        "--policy", metavar="FILE", type=Path, default=Path(DEFAULT_PATH), help="the policy file"
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    route = load_policy(arguments.policy).route(
        arguments.workflow, input_tokens=arguments.input_tokens
    )
    if arguments.json:
        print_json(asdict(route))
        return 0
    model = route.model
    print(f"{route.workflow}: {route.alias} ({model.name} at {model.base_url or model.kind})")
    # The policy knows the tier of the workflow's own model only.
    tier = "" if route.over_context else f", tier {route.tier}"
    print(f"status {route.status}{tier}, at most {route.limits.max_output_tokens} output tokens")
    if model.method != "chat":
        print("answers as an embeddings model: the label whose examples lie nearest on average")
    if route.over_context:
        print("the input is too large for the workflow's own model")
    if route.fallbacks:
        print(f"falls back to {', '.join(other.name for other in route.fallbacks)}")
    return 0
