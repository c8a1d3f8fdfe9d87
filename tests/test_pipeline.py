"""The run in order: who is asked, how far, and what it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from loopback import Loopback, Received, Response, chat

from calibrate.cache import Recordings
from calibrate.client import Client
from calibrate.criteria import plan_gate
from calibrate.decide import Calibration
from calibrate.gate import Outcome, Reason, judge
from calibrate.pipeline import calibrate
from calibrate.planning import TaskPlan, plan
from calibrate.pricing import Budget
from calibrate.project import Project, load_project
from calibrate.task import load_task

TIERS = """
version: 1
endpoints: {{e: {{kind: openai, base_url: "{url}", concurrency: 4}}}}
models:
  small: {{endpoint: e, name: small, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 1}}}}
  large: {{endpoint: e, name: large, price: {{input_usd_per_mtok: 9, output_usd_per_mtok: 9}}}}
tiers: {{cheap: [small], frontier: [large]}}
baseline: frontier
"""
WORKFLOW = """
version: 1
dataset: datasets/w.jsonl
prompt: [{{role: user, content: "{{{{ input }}}}"}}]
max_output_tokens: 4
graders: [exact_match]
bar: {{pass_rate: 0.8, confidence: 0.9{bar}}}
"""
CASES = 60


def project(root: Path, url: str, bar: str = "", critical: int | None = None) -> Project:
    for folder in ("evals", "datasets"):
        (root / folder).mkdir()
    (root / "evals" / "tiers.yaml").write_text(TIERS.format(url=url))
    (root / "evals" / "w.yaml").write_text(WORKFLOW.format(bar=bar))
    lines = [
        f'{{"id": "{number}", "input": "{number}", "expected": "yes"'
        f"{', ' + chr(34) + 'critical' + chr(34) + ': true' if number == critical else ''}}}"
        for number in range(CASES)
    ]
    (root / "datasets" / "w.jsonl").write_text("\n".join(lines))
    return load_project(root)


def client(of: Project) -> Client:
    return Client(of.tiers.endpoints, recordings=Recordings(None), cache=None, budget=Budget(None))


def measured(of: Project, **options: bool) -> Calibration:
    async def run() -> Calibration:
        async with client(of) as opened:
            return await calibrate(load_task(of, "w"), opened, **options)

    return asyncio.run(run())


def right_unless(wrong: Callable[[Received], bool]) -> Callable[[Received], Response]:
    return lambda received: chat("no" if wrong(received) else "yes", model=received.model)


def number_of(received: Received) -> int:
    return int(received.body["messages"][0]["content"])


def test_a_dearer_model_is_not_started_once_a_cheaper_one_is_certified(tmp_path: Path) -> None:
    with Loopback(right_unless(lambda _: False)) as server:
        found = measured(project(tmp_path, server.base_url))
    small, large = found.verdicts
    assert (small.outcome, large.reason) == (Outcome.CERTIFIED, Reason.NOT_ASKED)
    assert {received.model for received in server.received} == {"small"}
    assert small.cases_used <= len(server.received) < CASES


def test_asking_for_every_case_changes_no_verdict(tmp_path: Path) -> None:
    with Loopback(right_unless(lambda _: False)) as server:
        of = project(tmp_path, server.base_url)
        early, whole = measured(of), measured(of, ask_all=True)
    assert [replace(v, latency_p95_s=None) for v in whole.verdicts] == [
        replace(v, latency_p95_s=None) for v in early.verdicts
    ]
    assert [len(trials) for trials in whole.trials.values()] == [CASES, CASES]


def test_the_verdict_is_that_of_the_seeded_order_whatever_arrives_first(tmp_path: Path) -> None:
    def script(received: Received) -> Response:
        number = number_of(received)
        slow = replace(chat("no", model=received.model), delay_s=0.05)
        return slow if number % 7 == 3 else chat("yes", model=received.model)

    with Loopback(script) as server:
        of = project(tmp_path, server.base_url)
        found = measured(of, ask_all=True)
    task = load_task(of, "w")
    gate = plan_gate(task.workflow.bar, 2, task.cases)
    for verdict in found.verdicts:
        trials = found.trials[verdict.model]
        assert [trial.case for trial in trials] == list(task.cases)
        assert verdict == judge(gate, verdict.model, verdict.tier, trials)


def test_a_hopeless_model_costs_a_handful_of_cases(tmp_path: Path) -> None:
    with Loopback(right_unless(lambda received: received.model == "small")) as server:
        found = measured(project(tmp_path, server.base_url))
    small, large = found.verdicts
    assert (small.outcome, small.reason) == (Outcome.FAILED, Reason.QUALITY)
    assert small.cases_used <= 8
    assert large.outcome is Outcome.CERTIFIED
    assert found.decision.chosen.alias == "large"


def test_a_critical_case_is_asked_first_and_only_once(tmp_path: Path) -> None:
    wrong = right_unless(lambda received: received.model == "small" and number_of(received) == 7)
    with Loopback(wrong) as server:
        of = project(tmp_path, server.base_url, bar=", critical: must_pass", critical=7)
        found = measured(of)
    small, large = found.verdicts
    assert (small.reason, small.critical_missed, small.cases_used) == (Reason.CRITICAL, ("7",), 1)
    assert large.outcome is Outcome.CERTIFIED
    asked = [(received.model, number_of(received)) for received in server.received]
    assert asked[0] == ("small", 7)
    assert len(asked) == len(set(asked))


def test_a_plan_asks_nothing_and_names_the_most_that_a_run_can_take(tmp_path: Path) -> None:
    with Loopback(right_unless(lambda _: False)) as server:
        of = project(tmp_path, server.base_url)
        found: TaskPlan = plan(load_task(of, "w"), client(of))
        assert server.received == []
        run = measured(of, ask_all=True)
    assert found.can_certify
    assert found.gate.lines.n <= CASES
    assert 0 < found.candidates[0].expected_cases < found.gate.lines.n
    for row in found.candidates:
        spent = sum((t.cost_usd for t in run.trials[row.candidate.alias]), Decimal(0))
        assert spent <= row.most_usd * CASES / found.gate.lines.n
