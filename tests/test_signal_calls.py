"""Signals that take further calls, through a whole run: planned, asked once, paid for and kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from loopback import Loopback, Received, Response, chat

from calibrate.cache import Cache, Recordings
from calibrate.client import Client
from calibrate.decide import Calibration
from calibrate.errors import ConfigError
from calibrate.pipeline import calibrate
from calibrate.planning import TaskPlan, plan
from calibrate.pricing import Budget
from calibrate.project import Project, load_project
from calibrate.task import load_task
from calibrate.trial import Trial

TIERS = """
version: 1
endpoints: {{e: {{kind: openai, base_url: "{url}", concurrency: 4}}}}
models:
  small: {{endpoint: e, name: small, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 1}}}}
  large: {{endpoint: e, name: large, price: {{input_usd_per_mtok: 9, output_usd_per_mtok: 9}}}}
  judge: {{endpoint: e, name: judge, price: {{input_usd_per_mtok: 5, output_usd_per_mtok: 5}}}}
tiers: {{cheap: [small], frontier: [large]}}
baseline: frontier
"""
WORKFLOW = """
version: 1
dataset: datasets/w.jsonl
prompt: [{{role: user, content: "{{{{ input }}}}"}}]
max_output_tokens: 4
graders: [exact_match]
signals: {signals}
bar: {{pass_rate: 0.8, confidence: 0.9}}
"""
SIGNALS = "[{agreement: {samples: 2}}, {verifier: {model: judge}}]"
CASES = 40
YES = {"content": [{"token": "yes", "logprob": 0.0, "top_logprobs": []}]}


def project(root: Path, url: str, signals: str = SIGNALS) -> Project:
    for folder in ("evals", "datasets"):
        (root / folder).mkdir()
    (root / "evals" / "tiers.yaml").write_text(TIERS.format(url=url))
    (root / "evals" / "w.yaml").write_text(WORKFLOW.format(signals=signals))
    cases = [f'{{"id": "{n}", "input": "{n}", "expected": "yes"}}' for n in range(CASES)]
    (root / "datasets" / "w.jsonl").write_text("\n".join(cases))
    return load_project(root)


def answer(received: Received) -> Response:
    return chat("yes", logprobs=YES if received.model == "judge" else None)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(answer) as running:
        yield running


def measured(of: Project, root: Path, budget: Budget) -> tuple[TaskPlan, Calibration, TaskPlan]:
    """Return a plan, the run of every case, and the plan after it."""

    async def run() -> tuple[TaskPlan, Calibration, TaskPlan]:
        task = load_task(of, "w")
        with Cache(root / "cache.sqlite") as cache:
            client = Client(
                of.tiers.endpoints, recordings=Recordings(None), cache=cache, budget=budget
            )
            async with client:
                before = plan(task, client)
                found = await calibrate(task, client, ask_all=True)
                return before, found, plan(task, client)

    return asyncio.run(run())


def test_a_run_asks_what_the_plan_said_and_no_more(tmp_path: Path, server: Loopback) -> None:
    budget = Budget(None)
    before, _, after = measured(project(tmp_path, server.base_url), tmp_path, budget)
    small, large = before.candidates
    assert (small.requests, large.requests) == (CASES * (1 + 2 + 1), CASES)
    assert Counter(one.model for one in server.received) == {
        "small": 3 * CASES,
        "judge": CASES,
        "large": CASES,
    }
    assert [row.stored for row in after.candidates] == [small.requests, large.requests]
    assert [row.most_usd for row in after.candidates] == [0, 0]
    assert budget.spent_usd < small.most_usd + large.most_usd


def test_a_plan_expects_signals_to_cost_more(tmp_path: Path, server: Loopback) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = measured(project(tmp_path / "a", server.base_url, "[]"), tmp_path / "a", Budget(None))
    noted = measured(project(tmp_path / "b", server.base_url), tmp_path / "b", Budget(None))
    assert noted[0].candidates[0].likely_usd > 3 * plain[0].candidates[0].likely_usd
    assert noted[0].candidates[1].likely_usd == plain[0].candidates[1].likely_usd


def test_a_trial_has_its_signals_and_what_each_of_them_cost(
    tmp_path: Path, server: Loopback
) -> None:
    _, found, _ = measured(project(tmp_path, server.base_url), tmp_path, Budget(None))
    trial = found.trials["small"][0]
    assert isinstance(trial, Trial)
    assert trial.signals == {"agreement": 1.0, "verifier": 1.0}
    assert trial.cost_usd == Decimal("0.000011")  # the answer's alone: 11 tokens at 1
    costs = {name: (cost.calls, cost.usd) for name, cost in trial.signal_costs.items()}
    assert costs == {"agreement": (2, Decimal("0.000022")), "verifier": (1, Decimal("0.000055"))}
    assert trial.signal_costs["verifier"].wait_s >= 0


def test_a_verifier_that_does_not_exist_is_told_before_anything_is_asked(
    tmp_path: Path, server: Loopback
) -> None:
    of = project(tmp_path, server.base_url, "[{verifier: {model: jugde}}]")
    with pytest.raises(ConfigError, match="no model is called 'jugde'; did you mean 'judge'"):
        load_task(of, "w")
    assert server.received == []
