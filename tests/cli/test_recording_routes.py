"""What a run may write into a policy that holds other routes, or better ones."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loopback import Loopback, Received, Response, chat, error

from calibrate.policy import load_policy

CASES = 60
Answer = Callable[[str, int], Response]


def write_cases(project: Any, count: int = CASES, name: str = "triage") -> None:
    rows = [
        {"id": f"m-{n}", "input": {"message": f"{name} {n}"}, "expected": "urgent"}
        for n in range(count)
    ]
    project.write(f"datasets/{name}.jsonl", "\n".join(map(json.dumps, rows)))


class Script:
    """What the server's models answer; a test may change it."""

    def __init__(self) -> None:
        self.wrong: frozenset[str] = frozenset()  # models
        self.failing: frozenset[str] = frozenset()
        self.gate: Callable[[Received], None] = lambda received: None

    def __call__(self, received: Received) -> Response:
        self.gate(received)
        if received.model in self.failing:
            return error(400, "no")
        said = "normal" if received.model in self.wrong else "urgent"
        return chat(said, model=received.model)


@pytest.fixture
def script(project: Any) -> Iterator[Script]:
    write_cases(project)
    found = Script()
    with Loopback(found) as server:
        project.edit("evals/tiers.yaml", "http://127.0.0.1:9/v1", server.base_url)
        yield found


def route_of(name: str = "triage") -> tuple[str, str]:
    entry = load_policy("routing-policy.yaml", verify=True).workflows[name]
    return entry.status, entry.model


HELD = (
    "which is too little to replace the certified route to 'small'; the policy was left as it is "
    "(--replace-certified)"
)


def test_a_part_of_the_cases_does_not_replace_a_certified_route(
    calibrate: Any, project: Any, script: Script
) -> None:
    assert calibrate("run").status == 0
    before = (project.root / "routing-policy.yaml").read_bytes()
    part = ("run", "--cases", "3", "--policy", "routing-policy.yaml")
    status, stdout, stderr = calibrate(*part)
    assert (status, stderr) == (
        2,
        f"error: triage: it took 3 of 60 cases, {HELD}\n",
    )
    assert "policy left as it is for this workflow; see below\n" in stdout
    assert (project.root / "routing-policy.yaml").read_bytes() == before
    (row,) = json.loads(calibrate(*part, "--json").stdout)["workflows"]
    assert (row["status"], row["policy"]) == ("uncertified", None)
    assert calibrate(*part, "--replace-certified").status == 0
    assert route_of() == ("uncertified", "large")


def test_a_part_of_the_cases_may_certify_the_same_model_on_no_fewer_cases(
    calibrate: Any, project: Any, script: Script
) -> None:
    assert calibrate("run", "--cases", "20", "--policy", "routing-policy.yaml").status == 0
    used = load_policy("routing-policy.yaml").workflows["triage"].evidence.cases_used
    assert route_of() == ("certified", "small")
    assert calibrate("run", "--cases", "50", "--policy", "routing-policy.yaml").status == 0
    evidence = load_policy("routing-policy.yaml").workflows["triage"].evidence
    assert (evidence.cases, evidence.cases_used >= used) == (50, True)


def test_a_part_of_the_cases_may_replace_what_is_not_certified(
    calibrate: Any, project: Any, script: Script
) -> None:
    part = ("run", "--policy", "routing-policy.yaml", "--cases")
    assert calibrate(*part, "2").status == 0
    assert route_of() == ("uncertified", "large")
    assert calibrate(*part, "3").status == 0
    assert load_policy("routing-policy.yaml").workflows["triage"].evidence.cases == 3


def test_an_edited_route_is_not_protected(calibrate: Any, project: Any, script: Script) -> None:
    part = ("run", "--policy", "routing-policy.yaml", "--cases")
    assert calibrate(*part, "2").status == 0
    project.edit("routing-policy.yaml", "status: uncertified", "status: certified")
    assert calibrate(*part, "3").status == 0
    assert route_of() == ("uncertified", "large")


def test_a_failing_endpoint_does_not_replace_a_certified_route(
    calibrate: Any, project: Any, script: Script
) -> None:
    assert calibrate("run").status == 0
    before = (project.root / "routing-policy.yaml").read_bytes()
    project.edit("evals/triage.yaml", "Answer with one word", "Answer in one word")
    script.failing = frozenset({"small-1"})
    status, _, stderr = calibrate("run")
    assert status == 2
    assert f"error: triage: calls to small failed, {HELD}\n" in stderr
    assert (project.root / "routing-policy.yaml").read_bytes() == before
    assert calibrate("run", "--replace-certified").status == 0
    assert route_of() == ("certified", "medium")


def test_a_whole_run_replaces_a_certified_route(
    calibrate: Any, project: Any, script: Script
) -> None:
    assert calibrate("run").status == 0
    project.edit("evals/triage.yaml", "Answer with one word", "Answer in one word")
    script.wrong = frozenset({"small-1"})
    assert calibrate("run").status == 0
    assert route_of() == ("certified", "medium")


def test_a_run_leaves_the_text_of_other_routes_as_it_is(
    calibrate: Any, project: Any, script: Script
) -> None:
    project.write("evals/other.yaml", (project.root / "evals/triage.yaml").read_bytes())
    assert calibrate("run").status == 0
    project.edit("routing-policy.yaml", "  other:\n", "  other:  # ours\n")
    other = (project.root / "routing-policy.yaml").read_text().split("  triage:\n")[0]
    project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.6")
    assert calibrate("run", "triage").status == 0
    assert (project.root / "routing-policy.yaml").read_text().startswith(other)
    assert route_of("other") == ("certified", "small")


def test_another_route_of_a_model_that_changed_is_told(
    calibrate: Any, project: Any, script: Script
) -> None:
    project.write("evals/other.yaml", (project.root / "evals/triage.yaml").read_bytes())
    assert calibrate("run").status == 0
    project.edit("evals/tiers.yaml", "name: small-1", "name: small-2")
    status, _, stderr = calibrate("run", "triage")
    assert (status, stderr) == (
        0,
        "note: other: a model of its route is no longer the one that it was decided for; run it, "
        "too: calibrate run other\n",
    )
    assert (
        "other: edited: a model that the route names is not as it was when the route was decided\n"
        in calibrate("check").stdout
    )
    assert calibrate("run").stderr == ""
    assert calibrate("check").status == 0


def test_runs_at_once_keep_each_others_routes(calibrate: Any, project: Any, script: Script) -> None:
    names = ["a", "b"]
    for name in names:
        text = (project.root / "evals/triage.yaml").read_text()
        text = text.replace("triage.jsonl", f"{name}.jsonl").replace(
            "timeout_s: 10", "timeout_s: 60"
        )
        project.write(f"evals/{name}.yaml", text)
        write_cases(project, name=name)
    asking = {name: threading.Event() for name in names}

    def wait_for_the_others(received: Received) -> None:
        """Answer nobody before every run has read the policy and asks."""
        asking[received.asked.split()[0]].set()
        for other in asking.values():
            other.wait(60)

    script.gate = wait_for_the_others
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "calibrate", "run", name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in running]
    assert ended == [("", 0)] * len(names)
    assert [route_of(name) for name in names] == [("certified", "small")] * len(names)


def test_a_run_that_was_overtaken_by_another_attempt_does_not_count_as_its_own(
    calibrate: Any, project: Any, script: Script
) -> None:
    script.wrong = frozenset({"small-1", "medium-1", "large-1"})
    project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.9")
    policy = project.root / "routing-policy.yaml"
    project.edit("evals/triage.yaml", "seed: 7", "seed: 8")
    assert calibrate("run", "triage").status == 1
    theirs = policy.read_bytes()
    policy.unlink()
    project.edit("evals/triage.yaml", "seed: 8", "seed: 7")

    def overtake(_: Received) -> None:
        """Let the other run, with another seed, end while this one waits for its answers."""
        if not policy.exists():
            policy.write_bytes(theirs)

    script.gate = overtake
    status, _, stderr = calibrate("run", "triage", "--no-cache")
    assert (status, stderr) == (
        2,
        "error: triage: another run made an attempt at this bar meanwhile; run again, to have "
        "your own share; the policy was left as it is\n",
    )
    assert policy.read_bytes() == theirs
    assert calibrate("run", "triage").status == 1
    attempts = load_policy("routing-policy.yaml").workflows["triage"].attempts
    assert sorted({attempt.number for attempt in attempts}) == [1, 2]
