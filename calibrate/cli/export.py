"""`calibrate export`: the policy in a gateway's own configuration."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

from calibrate.cli.json_output import print_json
from calibrate.cli.options import add_json, shown_path
from calibrate.exporters import EXPORTERS, Exported, export_policy
from calibrate.files import replace_file
from calibrate.policy import DEFAULT_PATH, find_policy, load_policy

DESCRIPTION = (
    "Write the policy in a gateway's own configuration. What the gateway cannot do as the policy\n"
    "says is told, route by route. Exits 1 where it does not hold every workflow.\n\n"
    "gateways:\n"
    + "\n".join(f"  {name:<14}{exporter.SUMMARY}" for name, exporter in EXPORTERS.items())
)
EXAMPLE = "calibrate export litellm --out litellm.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gateway", metavar="GATEWAY", help="one of the above, or a plugin's name")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write here, and not to stdout")
    parser.add_argument(
        "--policy",
        metavar="FILE",
        type=Path,
        help=f"the policy file (default: {DEFAULT_PATH}, found upwards)",
    )
    parser.add_argument(
        "--default",
        metavar="WORKFLOW",
        help="serve names that no workflow has as this one (default: the policy's own, or none)",
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    policy = load_policy(arguments.policy or Path(shown_path(find_policy(Path.cwd()))))
    if arguments.default is not None:
        policy = replace(policy, default=policy.route(arguments.default).workflow)
    exported = export_policy(arguments.gateway, policy)
    if arguments.out is not None:
        replace_file(arguments.out, exported.text.encode())
    if arguments.json:
        print_json(
            {
                "gateway": arguments.gateway,
                "file": None if arguments.out is None else shown_path(arguments.out),
                "text": exported.text if arguments.out is None else None,
                "notes": [asdict(note) for note in exported.notes],
                "left_out": exported.left_out,
            }
        )
    else:
        _print(exported, arguments.out)
    return 1 if exported.left_out else 0


def _print(exported: Exported, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(exported.text)
    else:
        print(f"wrote {shown_path(out)}")
    for note in exported.notes:
        print(f"note: {note}", file=sys.stderr)
