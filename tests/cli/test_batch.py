"""`run --batch` and `calibrate batch`: the same verdict by rounds, and batches in one's hands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from batches.server import Answer, BatchServer, said
from conftest import Folder, Ran
from loopback import Loopback, Received, error

Run = Callable[..., Ran]
KEY = "sk-batch-0123456789abcdef"

TIERS = """\
version: 1
endpoints:
  one: {{kind: openai, base_url: {url}, api_key_env: BATCH_TEST_KEY}}
  two: {{kind: anthropic, base_url: {url}, api_key_env: BATCH_TEST_KEY}}
recordings: datasets/recordings
models:
  small:
    endpoint: one
    name: small-1
    price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 1}}
  large:
    endpoint: two
    name: claude-1
    price: {{input_usd_per_mtok: 9, output_usd_per_mtok: 9}}
tiers: {{cheap: [small], frontier: [large]}}
baseline: frontier
"""
CASES = 40


def right_but(wrong: set[int]) -> Callable[[dict[str, Any]], Answer]:
    """The small model is wrong in some cases; the large one never is."""

    def answer(body: dict[str, Any]) -> Answer:
        number = int(body["messages"][-1]["content"].rpartition(" ")[2])
        is_wrong = body["model"] == "small-1" and number in wrong
        return said(body, "normal" if is_wrong else "urgent")

    return answer


@pytest.fixture
def serve(project: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., BatchServer]]:
    """Return what makes the project one of 40 cases that are asked of a server."""
    monkeypatch.setenv("BATCH_TEST_KEY", KEY)
    monkeypatch.setenv("SSL_CERT_DIR", str(project.root))  # none, which is read in no time
    with ExitStack() as running:

        def start(answer: Callable[[dict[str, Any]], Answer], **options: Any) -> BatchServer:
            server = BatchServer(answer, **{"looks": 1, **options})
            loopback = running.enter_context(Loopback(server))
            project.write("evals/tiers.yaml", TIERS.format(url=loopback.base_url))
            cases = (
                {"id": f"c-{n}", "input": {"message": f"Case {n}"}, "expected": "urgent"}
                for n in range(CASES)
            )
            project.write("datasets/triage.jsonl", "\n".join(map(json.dumps, cases)))
            project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.9")
            return server

        yield start


def verdicts(ran: Ran) -> list[dict[str, Any]]:
    """Return a run's verdicts, but for latencies and the answers beyond the verdict."""
    (workflow,) = json.loads(ran.stdout)["workflows"]
    rows = [workflow["verdicts"], workflow["model"], workflow["status"]]
    for row in rows[0]:
        row.pop("latency_p95_s")
        row.pop("answers")
    return rows


@pytest.mark.parametrize("wrong", [set(), {3, 9, 20}, set(range(0, 40, 3))])
@pytest.mark.parametrize("share", ["1", "100"])
def test_the_verdict_by_rounds_is_that_of_asking_directly(
    wrong: set[int], share: str, serve: Callable[..., BatchServer], calibrate: Run, project: Folder
) -> None:
    server = serve(right_but(wrong))
    direct = calibrate("run", "triage", "--json")
    assert (server.out, len(server.live) > 0) == ([], True)
    shutil.rmtree(project.root / ".calibrate")
    server.live.clear()
    batched = calibrate("run", "triage", "--json", "--batch", "--round", share)
    assert verdicts(batched) == verdicts(direct)
    assert (batched.status, server.live) == (direct.status, [])
    assert max(len(out.requests) for out in server.out) >= CASES * int(share) / 100 - 1


def test_rounds_stop_where_the_verdict_falls(
    serve: Callable[..., BatchServer], calibrate: Run
) -> None:
    server = serve(right_but(set(range(40))))
    calibrate("run", "triage", "--batch", "--round", "10")
    small = [out for out in server.out if out.kind == "openai"]
    assert sum(len(out.requests) for out in small) < CASES


def test_where_every_case_is_asked_all_models_are_handed_in_at_once(
    serve: Callable[..., BatchServer], calibrate: Run
) -> None:
    server = serve(right_but(set()), looks=2)
    ran = calibrate("run", "triage", "--batch", "--detach", "--cases", "all")
    assert "80 requests are out in 2 batches" in ran.stderr
    assert [(out.kind, len(out.requests)) for out in server.out] == [
        ("openai", CASES),
        ("anthropic", CASES),
    ]


def test_the_baseline_is_handed_in_together_with_what_is_compared_with_it(
    serve: Callable[..., BatchServer], calibrate: Run, project: Folder
) -> None:
    server = serve(right_but(set()))
    project.edit("evals/triage.yaml", "pass_rate: 0.9,", "pass_rate: 0.9, of_baseline: 0.8,")
    ran = calibrate("run", "triage", "--batch", "--detach", "--round", "50")
    assert "waiting" not in ran.stderr
    first, second = server.out[:2]
    assert (first.kind, second.kind) == ("openai", "anthropic")
    assert [b["messages"][-1] for b in first.bodies()] == [
        b["messages"][-1] for b in second.bodies()
    ]


def test_a_run_with_batches_measures_no_latency_and_says_so_with_a_dash(
    serve: Callable[..., BatchServer], calibrate: Run, project: Folder
) -> None:
    serve(right_but(set()))
    ran = calibrate("run", "triage", "--batch", "--json")
    (workflow,) = json.loads(ran.stdout)["workflows"]
    assert workflow["verdicts"][0]["latency_p95_s"] is None
    assert workflow["requests_sent"] == workflow["verdicts"][0]["answers"]["asked"] == CASES
    again = calibrate("check", "triage", "--json")
    assert again.status == 0, again


def test_a_bar_with_a_latency_is_not_run_by_batches_nor_met_by_their_answers(
    serve: Callable[..., BatchServer], calibrate: Run, project: Folder
) -> None:
    server = serve(right_but(set()))
    calibrate("run", "triage", "--batch")
    handed_in = len(server.out)
    project.edit("evals/triage.yaml", "confidence: 0.9}", "confidence: 0.9, latency_p95_s: 5}")
    ran = calibrate("run", "triage", "--batch")
    assert ran.status == 2
    assert "evals/triage.yaml: bar.latency_p95_s: is not measured in a batch" in ran.stderr
    assert len(server.out) == handed_in
    assert calibrate("run", "triage").status == 0
    assert len(server.live) > 0


def test_a_detached_run_is_looked_after_collected_and_gone_on_with(
    serve: Callable[..., BatchServer], calibrate: Run, project: Folder
) -> None:
    server = serve(right_but(set()), looks=3)
    detached = calibrate("run", "triage", "--batch", "--detach", "--round", "100")
    assert detached.status == 2
    assert "waiting: 40 requests are out in 1 batches" in detached.stderr
    assert "error" not in detached.stderr
    assert not (project.root / "routing-policy.yaml").exists()

    status = calibrate("batch", "status", "--json")
    (row,) = json.loads(status.stdout)["batches"]
    assert (status.status, row["state"], row["requests"], row["answered"]) == (0, "running", 40, 0)
    assert (row["remote"], row["model"], row["problem"]) == ("batch000", "small-1", None)
    server.out[0].looks = 1
    early = calibrate("batch", "collect")
    assert (early.status, early.stdout.count("1 still running")) == (2, 1)
    assert "completed" in calibrate("batch", "status").stdout

    collected = calibrate("batch", "collect", "--json")
    (found,) = json.loads(collected.stdout)["collected"]
    assert collected.status == 0
    assert (found["answered"], found["failed"], found["left"]) == (40, 0, 0)
    assert found["cost_usd"] == pytest.approx(40 * 11e-6)
    assert calibrate("batch", "status").stdout == "no batch is out\n"
    assert calibrate("batch", "collect").stdout == "no batch is out\n"
    ran = calibrate("run", "triage", "--batch", "--detach")
    assert ran.status == 0
    assert (len(server.out), server.live) == (1, [])
    assert (project.root / "routing-policy.yaml").exists()


def test_what_collect_leaves_is_handed_in_by_the_next_run(
    serve: Callable[..., BatchServer], calibrate: Run
) -> None:
    answer = right_but(set())
    late = iter(["expired"] * 5)
    server = serve(lambda body: next(late, None) or answer(body), looks=2)
    calibrate("run", "triage", "--batch", "--detach", "--round", "100")
    collected = calibrate("batch", "collect")
    assert collected.status == 0
    assert "35 answers of small-1, 0 failed, 5 left to ask again, $0.000385 paid" in (
        collected.stdout
    )
    calibrate("run", "triage", "--batch", "--detach", "--round", "100")
    assert [len(out.requests) for out in server.out] == [40, 5]


def test_a_cancelled_batch_is_told_of_when_it_is_collected(
    serve: Callable[..., BatchServer], calibrate: Run
) -> None:
    serve(lambda body: "cancelled", looks=2)
    calibrate("run", "triage", "--batch", "--detach", "--round", "100")
    collected = calibrate("batch", "collect")
    assert collected.status == 2
    assert "small-1: somebody cancelled it; run again to ask what is left" in collected.stderr


def test_a_batch_that_the_server_refuses_late_was_not_asked(
    serve: Callable[..., BatchServer], calibrate: Run
) -> None:
    server = serve(right_but(set()), looks=2)
    calibrate("run", "triage", "--batch", "--detach")
    server.out[0].status = "failed"
    ran = calibrate("run", "triage", "--batch", "--detach")
    assert ran.status == 2
    assert "line 1 is no JSON; nothing of it was asked" in ran.stderr
    assert calibrate("batch", "status").stdout == "no batch is out\n"


def test_a_batch_whose_server_is_gone_is_an_error_until_it_is_forgotten(
    serve: Callable[..., BatchServer], calibrate: Run
) -> None:
    server = serve(right_but(set()), looks=2)
    calibrate("run", "triage", "--batch", "--detach")
    server.fail = lambda received: error(404, f"no batch, {KEY}")
    status = calibrate("batch", "status")
    assert (status.status, KEY in status.stderr) == (2, False)
    assert "no batch, [key]; it stays written down until `calibrate batch collect`" in status.stderr
    (row,) = json.loads(calibrate("batch", "status", "--json").stdout)["batches"]
    assert row["state"] == "error"
    assert calibrate("batch", "collect").status == 2

    mistaken = calibrate("batch", "forget", row["batch"] + "0")
    assert (mistaken.status, "did you mean" in mistaken.stderr) == (2, True)
    forgotten = calibrate("batch", "forget", row["batch"])
    assert forgotten.stdout == f"{row['batch']}: forgotten; a run asks what was in it anew\n"
    assert calibrate("batch", "status", "--json").stdout.count('"batches": []') == 1
    server.fail = lambda _: None
    calibrate("run", "triage", "--batch", "--detach")
    (row,) = json.loads(calibrate("batch", "status", "--json").stdout)["batches"]
    assert json.loads(calibrate("batch", "forget", row["batch"], "--json").stdout) == {
        "schema": 1,
        "forgotten": row["batch"],
    }


def test_a_batch_that_never_arrived_is_struck_out_once_it_could_be_seen(
    serve: Callable[..., BatchServer], calibrate: Run, project: Folder
) -> None:
    create = "/v1/batches"
    server = serve(
        right_but(set()),
        fail=lambda r: error(500, "x") if (r.path, r.method) == (create, "POST") else None,
    )
    calibrate("run", "triage", "--batch", "--detach")
    (row,) = json.loads(calibrate("batch", "status", "--json").stdout)["batches"]
    assert (row["state"], row["remote"], row["answered"]) == ("unknown", None, None)
    assert "unknown" in calibrate("batch", "status").stdout
    assert calibrate("batch", "collect").status == 2
    database = sqlite3.connect(project.root / ".calibrate" / "batches.sqlite")
    with database:
        database.execute("UPDATE batches SET settles_at = 0")  # as it is two minutes later
    database.close()
    (row,) = json.loads(calibrate("batch", "status", "--json").stdout)["batches"]
    collected = calibrate("batch", "collect", "--json")
    (found,) = json.loads(collected.stdout)["collected"]
    assert (collected.status, found["answered"], found["left"]) == (0, 0, row["requests"])
    assert server.out == []


def test_a_model_that_moved_is_told_of_when_its_batch_is_collected(
    serve: Callable[..., BatchServer], calibrate: Run
) -> None:
    answer = right_but(set())
    serve(lambda body: answer({**body, "model": next(names)}), looks=2)
    names = iter(["small-1-may"] * 20 + ["small-1-june"] * 60)
    calibrate("run", "triage", "--batch", "--detach", "--round", "100")
    collected = calibrate("batch", "collect")
    assert collected.status == 0
    assert "is served as 'small-1-june' now, and was as 'small-1-may'" in collected.stderr or (
        "is served as 'small-1-may' now, and was as 'small-1-june'" in collected.stderr
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "--offline"], "--batch asks, and --offline forbids that"),
        (["--detach"], "--detach goes with --batch"),
        (["--batch", "--round", "0"], "'0' is not a percentage from 1 to 100"),
        (["--batch", "--round", "a"], "'a' is not a percentage from 1 to 100"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    options: list[str], message: str, project: Folder, calibrate: Run
) -> None:
    ran = calibrate("run", "triage", *options)
    assert (ran.status, message in ran.stderr) == (2, True)


def test_no_key_is_written_down(
    serve: Callable[..., BatchServer], calibrate: Run, project: Folder
) -> None:
    server = serve(right_but(set()), looks=2)
    calibrate("run", "triage", "--batch", "--detach")
    assert len(server.out) == 1
    assert all(KEY.encode() not in content for content in project.files().values())


def test_ctrl_c_leaves_a_batch_where_it_is_and_the_next_run_waits_for_it(
    serve: Callable[..., BatchServer], calibrate: Run
) -> None:
    pressed: list[str] = []

    def press(received: Received) -> None:
        if received.path.startswith("/v1/batches/") and not pressed:
            pressed.append(received.path)
            os.kill(os.getpid(), signal.SIGINT)

    server = serve(right_but(set()), looks=2, fail=press)
    interrupted = calibrate("run", "triage", "--batch", "--round", "100")
    assert interrupted.status == 130
    assert "go on without this run, and `calibrate batch collect` fetches them" in (
        interrupted.stderr
    )
    assert calibrate("run", "triage", "--batch", "--round", "100").status == 0
    assert len(server.out) == 1
