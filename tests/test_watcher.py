"""What a watcher is told of a run, in which order."""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path

from loopback import Loopback, Received, Response, chat

from calibrate.cache import Recordings
from calibrate.candidates import Candidate
from calibrate.client import Client
from calibrate.gate import Verdict
from calibrate.pipeline import Watcher, calibrate
from calibrate.pricing import Budget
from calibrate.project import load_project
from calibrate.task import load_task
from calibrate.trial import AnyTrial

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
repeats: 2
bar: {{pass_rate: 0.8, confidence: 0.9{bar}}}
"""
CASES = 60


class Log(Watcher):
    def __init__(self) -> None:
        self.events: list[str] = []

    def begin(self) -> None:
        self.events.append("begin")

    def start(self, candidate: Candidate, most_trials: int) -> None:
        self.events.append(f"start {candidate.alias} of {most_trials}")

    def advance(self, trial: AnyTrial) -> None:
        self.events.append(f"trial of {trial.model}")

    def settle(self, verdict: Verdict) -> None:
        self.events.append(f"{verdict.model} {verdict.outcome}")


def told(root: Path, served: str = "{model}", *, bar: str = "", ask_all: bool = False) -> list[str]:
    """Return what is told of a run in which only the large model is right, repetitions once."""

    def script(received: Received) -> Response:
        half = "a" if received.number < 5 else "b"
        name = served.format(model=received.model, half=half)
        return chat("yes" if received.model == "large" else "no", model=name)

    async def run(log: Log) -> None:
        task = load_task(project, "w")
        async with Client(
            project.tiers.endpoints, recordings=Recordings(None), cache=None, budget=Budget(None)
        ) as client:
            found = await calibrate(task, client, ask_all=ask_all, watcher=log)
        trials = sum(map(len, found.trials.values()))
        last = log.events[len(log.events) - log.events[::-1].index("begin") :]
        assert sum(event.startswith("trial of") for event in last) == trials

    for folder in ("evals", "datasets"):
        (root / folder).mkdir()
    rows = (f'{{"id": "{n}", "input": "{n}", "expected": "yes"}}' for n in range(CASES))
    (root / "datasets" / "w.jsonl").write_text("\n".join(rows))
    (root / "evals" / "w.yaml").write_text(WORKFLOW.format(bar=bar))
    with Loopback(script) as server:
        (root / "evals" / "tiers.yaml").write_text(TIERS.format(url=server.base_url))
        project = load_project(root)
        log = Log()
        asyncio.run(run(log))
    return [event for event, _ in groupby(log.events)]


def without_starts(events: list[str]) -> list[str]:
    kept = (event for event in events if not event.startswith("start"))
    return [event for event, _ in groupby(kept)]


def test_each_model_is_started_then_its_trials_come_then_its_verdict(tmp_path: Path) -> None:
    events = told(tmp_path)
    assert without_starts(events) == [
        "begin",
        "trial of small",
        "small failed",
        "trial of large",
        "large certified",
    ]
    assert events[1].startswith("start small of ")


def test_of_all_cases_each_model_takes_all_repeats(tmp_path: Path) -> None:
    events = told(tmp_path, ask_all=True)
    assert [event for event in events if event.startswith("start")] == [
        "start small of 120",  # both at once
        "start large of 120",
        "start small of 120",  # for its verdict
        "start large of 120",
    ]
    before = without_starts(events[: events.index("small failed")])
    assert set(before) == {"begin", "trial of small", "trial of large"}


def test_a_baseline_that_is_asked_beside_a_model_is_told_of(tmp_path: Path) -> None:
    events = told(tmp_path, bar=", of_baseline: 0.9")
    begun, *before = without_starts(events[: events.index("small failed")])
    assert (begun, set(before)) == ("begin", {"trial of small", "trial of large"})


def test_a_run_that_starts_over_begins_again(tmp_path: Path) -> None:
    events = told(tmp_path, "{model}-{half}")
    assert events.count("begin") == 2
    assert without_starts(events)[-4:] == [
        "trial of small",
        "small failed",
        "trial of large",
        "large certified",
    ]
