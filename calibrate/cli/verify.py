"""`calibrate verify`: does a deployed gateway still say what the policy says?"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from calibrate.cli.json_output import print_json
from calibrate.cli.options import add_json, shown_path
from calibrate.document import read_text
from calibrate.errors import UsageError
from calibrate.policy import DEFAULT_PATH, Policy, load_policy
from calibrate.verification import Difference, verify_file, verify_running

DESCRIPTION = (
    "Say whether a deployed configuration is still what an export would be, and with\n"
    "--url whether a running gateway (litellm, envoy, portkey) has its model answer each route.\n"
    "Exits 1 where something differs. Only --url asks anybody: a tiny paid request for each route."
)
EXAMPLE = "calibrate verify litellm --config /etc/litellm/config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "gateway", metavar="GATEWAY", help="as for `calibrate export`, or a plugin's name"
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="the deployed configuration")
    parser.add_argument("--url", metavar="URL", help="the running gateway, asked once a route")
    parser.add_argument(
        "--key-env", metavar="NAME", help="the environment variable with the gateway's key"
    )
    parser.add_argument(
        "--policy", metavar="FILE", type=Path, default=Path(DEFAULT_PATH), help="the policy file"
    )
    parser.add_argument(
        "--default",
        metavar="WORKFLOW",
        help="names that no workflow has are served as this one, as given to `calibrate export`",
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    if arguments.config is None and arguments.url is None:
        raise UsageError("name what to verify: --config FILE, --url URL or both")
    policy = load_policy(arguments.policy)
    if arguments.default is not None:
        policy = replace(policy, default=policy.route(arguments.default).workflow)
    differences = _differences(arguments, policy)
    place = None if arguments.config is None else shown_path(arguments.config)
    if arguments.json:
        print_json(
            {
                "gateway": arguments.gateway,
                "file": place,
                "url": arguments.url,
                "same": not differences,
                "differences": [asdict(one) for one in differences],
            }
        )
    else:
        _print(differences, place)
    return 1 if differences else 0


def _differences(arguments: argparse.Namespace, policy: Policy) -> list[Difference]:
    found: list[Difference] = []
    if arguments.config is not None:
        found += verify_file(arguments.gateway, policy, arguments.config)
    if arguments.url is not None:
        config = None if arguments.config is None else read_text(arguments.config)
        found += verify_running(
            arguments.gateway, policy, arguments.url, key_env=arguments.key_env, config=config
        )
    return found


def _print(differences: list[Difference], place: str | None) -> None:
    for one in differences:
        line = "" if one.line is None else f"{place}:{one.line}: "
        print(f"{line}{one}")
    if not differences:
        print("says what the policy says")
