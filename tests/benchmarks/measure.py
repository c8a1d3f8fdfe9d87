"""Projects to run, the command run on them, and a bare client to compare it with."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from server import LABELS

__all__ = ["Cost", "Project", "bare_client", "run", "serving", "told"]

TIERS = """\
version: 1
endpoints:
  local: {{kind: openai, base_url: "{base_url}", concurrency: {concurrency}}}
models:
  small: {{endpoint: local, name: small, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2}}}}
  mid: {{endpoint: local, name: mid, price: {{input_usd_per_mtok: 3, output_usd_per_mtok: 6}}}}
  large: {{endpoint: local, name: large, price: {{input_usd_per_mtok: 9, output_usd_per_mtok: 18}}}}
tiers: {{cheap: [small], balanced: [mid], frontier: [large]}}
baseline: frontier
"""
WORKFLOW = """\
version: 1
dataset: cases.jsonl
labels: [billing, shipping, returns]
prompt:
  - {role: system, content: 'Sort the message. Answer with one of {{ labels | join(", ") }}.'}
  - {role: user, content: "{{ input.message }}"}
max_output_tokens: 8
graders: [one_of]
bar: {pass_rate: 0.9, tolerance: 0.03}
"""
MESSAGE = (
    "Order {number}: I wrote to you last week about this and nobody came back to me, so here it is "
    "once more with everything that you asked for. My topic is {label}"
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Project:
    """A project of three models on disk."""

    root: Path

    @staticmethod
    def write(root: Path, cases: int, port: int, concurrency: int) -> Project:
        (root / "evals").mkdir(parents=True)
        base_url = f"http://127.0.0.1:{port}/v1"
        tiers = TIERS.format(base_url=base_url, concurrency=concurrency)
        (root / "evals/tiers.yaml").write_text(tiers)
        (root / "evals/sort.yaml").write_text(WORKFLOW)
        with (root / "cases.jsonl").open("w") as file:
            for number in range(cases):
                label = LABELS[number % len(LABELS)]
                message = MESSAGE.format(number=number, label=label)
                case = {"id": f"c{number}", "input": {"message": message}, "expected": label}
                file.write(json.dumps(case) + "\n")
        return Project(root)


COMMAND = [sys.executable, "-m", "calibrate"]
WITHOUT_CHARTS = [
    sys.executable,
    "-c",
    "import sys; sys.modules['vl_convert'] = None\n"
    "from calibrate.cli import main; sys.exit(main(sys.argv[1:]))",
]


def run(project: Project, *, is_cached: bool = False, with_charts: bool = True) -> Cost:
    """Run all cases of all models as a user does, in a process of its own."""
    if not is_cached:
        shutil.rmtree(project.root / ".calibrate", ignore_errors=True)
    command = [*(COMMAND if with_charts else WITHOUT_CHARTS), "run", "sort", "--cases", "all"]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    printed = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - started
    process.stdout.close()
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {printed}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@contextmanager
def serving(latency_ms: float) -> Iterator[int]:
    """Run the server in a process of its own and yield its port."""
    script = Path(__file__).with_name("server.py")
    command = [sys.executable, str(script), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def told(port: int) -> dict[str, Any]:
    """Return what the server saw since it was last asked."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        seen: dict[str, Any] = json.load(answer)
    return seen


def bare_client(port: int, requests: int, in_flight: int) -> Cost:
    """Ask as often over bare aiohttp, and do nothing with the answers."""
    started, cpu = time.perf_counter(), time.process_time()
    asyncio.run(_ask(port, requests, in_flight))
    return Cost(time.perf_counter() - started, time.process_time() - cpu, 0.0)


async def _ask(port: int, requests: int, in_flight: int) -> None:
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    numbers = iter(range(requests))
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work() -> None:
            for number in numbers:
                text = MESSAGE.format(number=number, label=LABELS[0])
                asked = {"model": "large", "messages": [{"role": "user", "content": text}]}
                async with session.post(url, data=json.dumps(asked)) as answer:
                    await answer.read()

        await asyncio.gather(*(work() for _ in range(in_flight)))
