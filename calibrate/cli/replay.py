"""`calibrate replay`: decide from a table of outcomes that already exist. Asks nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from calibrate.cli.json_output import print_json
from calibrate.cli.options import add_json, case_count, confidence_level, rate
from calibrate.cli.replay_json import as_json
from calibrate.cli.replay_text import print_replayed
from calibrate.decide import Status
from calibrate.errors import UsageError
from calibrate.outcome_tables import load_outcomes
from calibrate.replay import BEST, ReplayBar, replay_all

DESCRIPTION = "Decide from a table of outcomes that already exist. Asks nothing."
EXAMPLE = "calibrate replay outcomes.csv --of-baseline 0.95"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "table",
        metavar="TABLE",
        type=Path,
        help="CSV or Parquet: item_id, task, model, score; where known cost_usd and group, and "
        "for cascades confidence and latency_s",
    )
    parser.add_argument(
        "--pass-rate", metavar="P", type=rate, help="the least mean score that is acceptable"
    )
    parser.add_argument(
        "--of-baseline", metavar="R", type=rate, help="the least share of the baseline's score"
    )
    parser.add_argument(
        "--baseline",
        metavar="best|MODEL",
        default=BEST,
        help="what one would pay for without routing; best: whichever it is (default)",
    )
    parser.add_argument(
        "--confidence",
        metavar="C",
        type=confidence_level,
        default=0.95,
        help="1 - the chance of certifying a route that misses the bar (default: 0.95)",
    )
    parser.add_argument(
        "--cases", metavar="N|all", type=case_count, help="only the first N of the seeded order"
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--cascades",
        action="store_true",
        help="also a cheap model first, and a dearer one where its confidence is low",
    )
    add_json(parser)


def handle(arguments: argparse.Namespace) -> int:
    if arguments.pass_rate is None and arguments.of_baseline is None:
        raise UsageError("give the bar: --pass-rate P, --of-baseline R, or both")
    bar = ReplayBar(
        arguments.pass_rate, arguments.of_baseline, arguments.baseline, arguments.confidence
    )
    cases = arguments.cases if isinstance(arguments.cases, int) else None
    tasks = load_outcomes(arguments.table, with_signals=arguments.cascades)
    done = replay_all(tasks, bar, cases=cases, seed=arguments.seed, cascades=arguments.cascades)
    if arguments.json:
        print_json({"tasks": [as_json(found) for found in done]})
    else:
        print_replayed(done)
    return 1 if any(found.status is Status.UNMET for found in done) else 0
