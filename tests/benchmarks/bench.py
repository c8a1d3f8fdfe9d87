"""`make bench`: the whole command on a loopback server, against a bare client on the same one.

Each figure is the best of a few rounds in which the two take turns, and stands beside its goal
where it has one. Nothing here fails a build: times are the machine's as much as ours.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import Cost, Project, bare_client, run, serving, told

CASES, MODELS = 2_000, 3
REQUESTS = CASES * MODELS
LATENCY_MS = 50.0
ROUNDS = 3


def main() -> None:
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        asked, cached = start_ups(root / "start")
        for in_flight, goal in ((64, 1.2), (256, 1.5)):
            at_latency(root / f"latency-{in_flight}", in_flight, goal, asked)
        at_no_latency(root / "none", asked, cached)
        memory(root)


def best(*measures: Callable[[], Cost]) -> list[Cost]:
    """Return the least CPU and wall time of each measure, taken in turns."""
    rounds = [[measure() for measure in measures] for _ in range(ROUNDS)]
    return [
        Cost(
            min(cost.wall_s for cost in costs),
            min(cost.cpu_s for cost in costs),
            min(cost.peak_mb for cost in costs),
        )
        for costs in zip(*rounds, strict=True)
    ]


def start_ups(root: Path) -> tuple[Cost, Cost]:
    """Return what a run of three answers takes that asks them, and one that has them."""
    with serving(0) as port:
        project = Project.write(root, 1, port, 64)
        asked, cached = best(lambda: run(project), lambda: run(project, is_cached=True))
    print(
        f"start-up: {asked.wall_s:.2f} s, CPU {asked.cpu_s:.2f} s; with answers that are cached "
        f"CPU {cached.cpu_s:.2f} s, {cached.peak_mb:.0f} MB"
    )
    return asked, cached


def at_latency(root: Path, in_flight: int, goal: float, start_up: Cost) -> None:
    ideal_s = REQUESTS * LATENCY_MS / 1000 / in_flight
    with serving(LATENCY_MS) as port:
        project = Project.write(root, CASES, port, in_flight)
        bare, cost = best(
            lambda: bare_client(port, REQUESTS, in_flight),
            lambda: run(project),
        )
        told(port)
        run(project)
        seen = told(port)
    wall_s = cost.wall_s - start_up.wall_s
    print(
        f"{LATENCY_MS:g} ms, {in_flight} in flight: {wall_s:.2f} s over start-up, "
        f"{wall_s / ideal_s:.2f} x ideal (goal {goal:g}; bare client "
        f"{bare.wall_s / ideal_s:.2f} x); the server saw {seen['requests']} requests, "
        f"{seen['distinct']} distinct, at most {seen['most_in_flight']} in flight"
    )


def at_no_latency(root: Path, asked: Cost, cached: Cost) -> None:
    with serving(0) as port:
        project = Project.write(root, CASES, port, 64)
        bare, cold = best(lambda: bare_client(port, REQUESTS, 64), lambda: run(project))
        told(port)
        (warm,) = best(lambda: run(project, is_cached=True))
        seen = told(port)
    cold_us, bare_us = (1e6 * cpu_s / REQUESTS for cpu_s in (cold.cpu_s - asked.cpu_s, bare.cpu_s))
    print(
        f"0 ms, 64 in flight: CPU {cold_us:.0f} us a trial over start-up (goal 450), "
        f"{cold_us / bare_us:.1f} x bare client ({bare_us:.0f} us)"
    )
    print(
        f"warm rerun of {REQUESTS}: CPU {warm.cpu_s - cached.cpu_s:.2f} s over start-up "
        f"(goal 1.0), {seen['requests']} requests"
    )


def memory(root: Path) -> None:
    with serving(0) as port:
        projects = [
            Project.write(root / "few", 500, port, 64),
            Project.write(root / "many", 10_500, port, 64),
        ]
        few, many = (run(project, with_charts=False).peak_mb for project in projects)
        drawn = run(projects[0]).peak_mb
    print(
        f"memory: {few:.0f} MB at 500 cases (goal 120), {many - few:.0f} MB more at 10,500 "
        f"(goal 25); with the JavaScript engine that draws new charts {drawn:.0f} MB at 500"
    )


if __name__ == "__main__":
    main()
