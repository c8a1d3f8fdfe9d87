"""`calibrate run` as a process of its own, against a real server on this machine."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, Received, Response, Script, chat, error, refused_port

from calibrate.policy import load_policy

CANARY = "sk-canary-0123456789abcdefXYZ"
KEY = "CALIBRATE_TEST_KEY"
CASES = 40
# Which cases each model gets wrong. The floor is 0.8, alpha 0.1 over three candidates:
# tiny's 20 of 40 cannot be 0.8, mid's 39 of 40 cannot be less, and big is not needed.
WRONG = {"tiny-1": set(range(0, CASES, 2)), "mid-1": {3}, "big-1": set()}

MOMENTS = random.Random(7).sample(range(1, 80), 20)  # noqa: S311 - any twenty will do

TIERS = """\
version: 1
endpoints:
  local: {{kind: openai, base_url: "{url}", concurrency: 4, timeout_s: 30{key}}}
recordings: datasets/recordings
models:
  tiny: {{endpoint: local, name: tiny-1, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2}}}}
  mid: {{endpoint: local, name: mid-1, price: {{input_usd_per_mtok: 5, output_usd_per_mtok: 10}}}}
  big: {{endpoint: local, name: big-1, price: {{input_usd_per_mtok: 50, output_usd_per_mtok: 100}}}}
tiers: {{cheap: [tiny], balanced: [mid], frontier: [big]}}
baseline: frontier
"""
WORKFLOW = """\
version: 1
dataset: datasets/sort.jsonl
labels: [billing, shipping]
prompt:
  - {role: user, content: "{{ input.ticket }}"}
max_output_tokens: 8
graders: [one_of]
bar: {pass_rate: 0.8, confidence: 0.9}
"""


def label(number: int) -> str:
    return ("billing", "shipping")[number % 3 == 0]


def number_of(received: Received) -> int:
    found = re.fullmatch(r"ticket (\d+)", received.asked)
    assert found is not None
    return int(found[1])


def answer(received: Received) -> Response:
    """Answer as the model would that is asked."""
    number = number_of(received)
    right = label(number)
    wrong = {"billing": "shipping", "shipping": "billing"}[right]
    return chat(wrong if number in WRONG[received.model] else right, model=received.model)


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str

    @property
    def workflow(self) -> dict[str, Any]:
        document = json.loads(self.stdout)
        assert document["schema"] == 1
        (found,) = document["workflows"]
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Project:
    root: Path

    @property
    def policy(self) -> Path:
        return self.root / "routing-policy.yaml"

    @property
    def database(self) -> Path:
        return self.root / ".calibrate" / "cache.sqlite"

    def serve(self, url: str, *, with_key: bool = False) -> None:
        """Let the tiers name this server."""
        key = f", api_key_env: {KEY}" if with_key else ""
        (self.root / "evals" / "tiers.yaml").write_text(TIERS.format(url=url, key=key))

    def outputs(self) -> dict[str, bytes]:
        """Return the policy and every page of the report."""
        pages = sorted((self.root / "reports").rglob("*"))
        return {path.name: path.read_bytes() for path in [self.policy, *pages]}

    def start(self, *options: str) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return subprocess.Popen(
            [sys.executable, "-m", "calibrate", "run", "sort", *options],
            cwd=self.root,
            env=environment | {KEY: CANARY},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str) -> Ran:
        process = self.start(*options)
        stdout, stderr = process.communicate(timeout=120)
        return Ran(process.returncode, stdout, stderr)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for folder in ("evals", "datasets"):
        (tmp_path / folder).mkdir()
    (tmp_path / "evals" / "sort.yaml").write_text(WORKFLOW)
    rows = [
        {"id": f"t-{number}", "input": {"ticket": f"ticket {number}"}, "expected": label(number)}
        for number in range(CASES)
    ]
    (tmp_path / "datasets" / "sort.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Project(tmp_path)


def asked(received: list[Received]) -> Counter[tuple[str, int]]:
    return Counter((one.model, number_of(one)) for one in received)


def every_case_of(*models: str) -> Counter[tuple[str, int]]:
    return Counter((model, number) for model in models for number in range(CASES))


def test_a_run_decides_and_a_second_run_asks_nothing_and_writes_the_same_bytes(
    project: Project,
) -> None:
    with Loopback(answer) as server:
        project.serve(server.base_url)
        first = project.run("--json")
        written = project.outputs()
        second = project.run("--json")
    assert (first.status, first.stderr) == (0, "")
    found = first.workflow
    assert (found["status"], found["tier"], found["model"]) == ("certified", "balanced", "mid")
    assert [
        (v["model"], v["verdict"], v["reason"], v["cases_used"], v["passed"])
        for v in found["verdicts"]
    ] == [
        ("tiny", "failed", "quality", 5, 1),
        ("mid", "certified", "quality", 29, 28),
        ("big", "undecided", "not_asked", 0, 0),
    ]
    models = Counter(one.model for one in server.received)
    assert models == {"tiny-1": 8, "mid-1": 32}  # of 40 each: up to the end of the batch
    assert (found["requests_sent"], found["requests_cached"]) == (40, 0)
    # tiny: 8 * (10 * 1 + 1 * 2), mid: 32 * (10 * 5 + 1 * 10), per million
    assert found["cost_usd"] == pytest.approx(0.002016)
    assert set(asked(server.received).values()) == {1}
    assert server.most_in_flight <= 4
    entry = load_policy(project.policy).workflows["sort"]
    assert (entry.status, entry.tier, entry.model) == ("certified", "balanced", "mid")

    assert (second.status, second.stderr) == (0, "")
    again = second.workflow
    assert (again["requests_sent"], again["requests_cached"], again["cost_usd"]) == (0, 40, 0)
    assert project.outputs() == written
    assert len(server.received) == 40


def test_a_recorded_run_is_replayed_without_cache_network_or_key(project: Project) -> None:
    with Loopback(answer) as server:
        project.serve(server.base_url)
        live = project.run("--json", "--record")
        written = project.outputs()
    assert live.status == 0
    recording = project.root / "datasets" / "recordings" / "sort.jsonl.gz"
    assert len(gzip.decompress(recording.read_bytes()).splitlines()) == 40
    recorded = recording.read_bytes()
    shutil.rmtree(project.root / ".calibrate")
    replayed = project.run("--json", "--offline")
    assert (replayed.status, replayed.stderr) == (0, "")
    assert replayed.workflow["requests_sent"] == 0
    assert project.outputs() == written
    # To record what is recorded changes nothing, and asks nothing.
    assert project.run("--record").status == 0
    assert recording.read_bytes() == recorded
    assert not project.database.exists()


def test_offline_an_answer_that_is_not_there_is_exit_2(project: Project) -> None:
    with Loopback(answer) as server:
        project.serve(server.base_url)
        ran = project.run("--offline")
    assert ran == Ran(
        2,
        "",
        "error: sort: an answer of 'tiny-1' is not recorded, and --offline forbids asking; "
        "run without --offline, or record it with --record\n",
    )
    assert server.received == []
    assert not project.policy.exists()


def rows(database: Path) -> int:
    if not database.exists():
        return 0
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:  # the table is about to be made
        return 0
    finally:
        connection.close()


def until(reached: Any) -> None:
    for _ in range(5000):
        if reached():
            return
        time.sleep(0.02)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize(
    "count", [*MOMENTS[:3], *(pytest.param(c, marks=pytest.mark.audit) for c in MOMENTS[3:])]
)
def test_a_killed_run_asks_nothing_again_that_had_arrived(project: Project, count: int) -> None:
    killed = threading.Event()

    def script(received: Received) -> Response:
        if received.number >= count:  # hold what comes later: it is in flight when we kill
            killed.wait(30)
        return answer(received)

    with Loopback(script) as server:
        project.serve(server.base_url)
        process = project.start("--cases", "all")
        until(lambda: len(server.delivered) == count and len(server.received) > count)
        until(lambda: rows(project.database) == count)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        arrived = asked(server.delivered[:count])
        before = len(server.received)
        killed.set()
        ran = project.run("--json", "--cases", "all")
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.workflow["model"] == "mid"
    assert ran.workflow["requests_cached"] == count
    again = asked(server.received[before:])
    assert again == every_case_of("tiny-1", "mid-1", "big-1") - arrived
    assert before - count <= 4  # no more than was in flight is asked twice


def texts_below(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file's bytes; packed ones unpacked, databases row by row too."""
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        yield path.name, path.read_bytes()
        if path.suffix == ".gz":
            yield path.name, gzip.decompress(path.read_bytes())
        if path.suffix == ".sqlite":
            connection = sqlite3.connect(path)
            for row in connection.execute("SELECT * FROM answers"):
                yield path.name, repr(row).encode()
            connection.close()


def test_no_file_and_no_output_holds_the_key_even_if_the_server_echoes_it(
    project: Project,
) -> None:
    def script(received: Received) -> Response:
        if number_of(received) == 5:
            return error(400, f"your key {CANARY} may not ask this")
        if number_of(received) == 6:
            return chat(f"billing {CANARY}", model=f"served with {CANARY}")
        return answer(received)

    with Loopback(script) as server:
        project.serve(server.base_url, with_key=True)
        ran = project.run("--record")
    assert {one.headers["authorization"] for one in server.received} == {f"Bearer {CANARY}"}
    assert (ran.status, ran.stderr.count("note: ")) == (0, 2)  # of a name that the server gave
    written = dict(texts_below(project.root))
    assert {"routing-policy.yaml", "sort.html", "cache.sqlite", "sort.jsonl.gz"} <= set(written)
    assert b"[key]" in written["sort.jsonl.gz"]
    for name, content in texts_below(project.root):
        assert CANARY.encode() not in content, name
    assert CANARY not in ran.stdout + ran.stderr


def test_a_key_that_is_refused_is_exit_2_and_not_printed(project: Project) -> None:
    with Loopback(lambda _: error(401, f"Incorrect API key provided: {CANARY}")) as server:
        project.serve(server.base_url, with_key=True)
        ran = project.run()
    assert ran == Ran(
        2,
        "",
        f"error: endpoint 'local' ({server.base_url}): HTTP 401: Incorrect API key provided: "
        "[key]; every answer so far is kept\n",
    )
    assert len(server.received) <= 4
    assert not project.policy.exists()


def test_an_endpoint_that_refuses_connections_is_exit_2_and_one_message(project: Project) -> None:
    project.policy.write_text(
        'version: 1\ngenerated_by: "calibrate 0"\nmodels: {}\nworkflows: {}\n'
    )
    before = project.policy.read_bytes()
    url = f"http://127.0.0.1:{refused_port()}/v1"
    project.serve(url)
    ran = project.run()
    assert (ran.status, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"error: endpoint 'local' ({url}): cannot be reached: ")
    assert project.policy.read_bytes() == before


def tenth_fails(response: Response) -> Script:
    return lambda received: response if number_of(received) % 10 == 0 else answer(received)


def test_a_tenth_of_the_calls_failing_for_good_is_an_outage_not_a_verdict(
    project: Project,
) -> None:
    overloaded = error(503, "overloaded", headers={"retry-after": "0"})
    with Loopback(tenth_fails(overloaded)) as server:
        project.serve(server.base_url)
        ran = project.run()
    assert (ran.status, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1] == (  # a run of over ten seconds has told its progress
        "error: sort: too many calls failed for a verdict, most of them with "
        "'HTTP 503: overloaded'; the policy was left as it is: mend the cause and run again "
        "with --retry-failed"
    )
    assert not project.policy.exists()
    # A call that fails is tried five times, one that is answered once.
    times = asked(server.received)
    assert {times[model, number] for model, number in times if number % 10 == 0} == {5}
    assert {times[model, number] for model, number in times if number % 10} == {1}


def test_the_cap_ends_a_run_with_exit_2_and_what_arrived_is_not_asked_again(
    project: Project,
) -> None:
    with Loopback(answer) as server:
        project.serve(server.base_url)
        # One request of tiny costs at most 9 bytes + 32 = 41 tokens at 1 and 8 at 2: 57 per
        # million (56 with a one-digit number); really 12. A few tens of them fit into 0.0003.
        capped = project.run("--max-usd", "0.0003", "--cases", "all")
        paid = asked(server.received)
        again = project.run("--json", "--cases", "all")
    assert (capped.status, capped.stdout) == (2, "")
    (line,) = capped.stderr.splitlines()
    assert line.startswith("error: sort: the cap of $0.0003 is reached: $")
    assert line.endswith("every answer is kept: raise --max-usd and run again to go on")
    assert 0 < len(paid) <= 25  # 25 * 12 = 300 per million: the cap was not passed
    assert again.status == 0
    assert again.workflow["requests_cached"] == len(paid)
    assert set(asked(server.received).values()) == {1}


def test_a_corrupt_cache_is_exit_2_before_anything_is_asked(project: Project) -> None:
    project.database.parent.mkdir()
    project.database.write_bytes(b"not a database" * 1000)
    with Loopback(answer) as server:
        project.serve(server.base_url)
        ran = project.run()
    assert (ran.status, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"error: {project.database}: the answer cache cannot be used: file is not a database; if "
        "it is corrupt, move it away (its answers are then asked, and paid for, again)\n"
    )
    assert server.received == []
    assert project.database.read_bytes() == b"not a database" * 1000
    assert not project.policy.exists()
