"""How far stored answers lead, when some of those that a run needs are not there."""

from __future__ import annotations

import asyncio
import json

import pytest
from answered import record, write_cases

from calibrate.cache import Recordings, write_recordings
from calibrate.cli.session import open_client
from calibrate.cli.so_far import SoFar, so_far
from calibrate.decide import Status
from calibrate.gate import Outcome, Reason
from calibrate.pipeline import calibrate
from calibrate.planning import Share
from calibrate.pricing import Budget
from calibrate.project import load_project
from calibrate.task import load_task

CASES = 40


def looked(project, share: Share | None = None) -> SoFar:
    found = load_project(project.root)
    task = load_task(found, "triage")

    async def look() -> SoFar:
        with open_client(found, "triage", Budget(None), offline=True) as client:
            return await so_far(task, client, share or Share({}))

    return asyncio.run(look())


def figures(found: SoFar) -> list[tuple[str, str, int, int]]:
    return [(v.model, v.reason.value, v.cases_used, v.passed) for v in found.calibration.verdicts]


@pytest.fixture
def triage(project):
    """A workflow of forty cases whose bar no model clears with the first few."""
    write_cases(project, CASES)
    project.edit("evals/triage.yaml", "{pass_rate: 0.5,", "{pass_rate: 0.9,")
    return project


def test_without_any_answer_every_model_is_open(triage) -> None:
    found = looked(triage)
    assert not found.is_decided
    assert figures(found) == [(name, "open", 0, 0) for name in ("small", "medium", "large")]
    assert found.calibration.trials == {}
    assert found.calibration.decision.verdict.model == "small"


def test_the_answered_prefix_gives_the_figures_of_the_model_that_is_asked(triage) -> None:
    record(triage, {"small": ()}, first=7)
    found = looked(triage)
    assert not found.is_decided
    assert figures(found)[0] == ("small", "open", 7, 7)
    verdict = found.calibration.verdicts[0]
    assert (verdict.outcome, verdict.is_settled) == (Outcome.UNDECIDED, False)
    assert (verdict.estimate, verdict.latency_p95_s, verdict.upper_bound) == (1.0, 0.5, 1.0)
    assert 0.5 < verdict.lower_bound < 0.9
    assert found.calibration.decision.status is Status.UNCERTIFIED


def test_what_comes_after_a_gap_is_not_counted(triage) -> None:
    record(triage, {"small": ()})
    gap = looked(triage).calibration.task.cases[12].input["message"]
    path = triage.root / "datasets/recordings/triage.jsonl.gz"
    kept = [one for one in Recordings(path).all() if one.request.messages[-1].content != gap]
    assert len(kept) == CASES - 1
    write_recordings(path, kept)
    assert figures(looked(triage))[0] == ("small", "open", 12, 12)


def test_a_verdict_that_has_fallen_stands_and_the_next_model_is_looked_at(triage) -> None:
    record(triage, {"small": range(CASES)})
    record(triage, {"medium": ()}, first=3)
    found = looked(triage)
    first, second, third = figures(found)
    assert (first[:2], second, third) == (
        ("small", "quality"),
        ("medium", "open", 3, 3),
        ("large", "open", 0, 0),
    )
    assert found.calibration.decision.verdict.model == "medium"
    assert list(found.calibration.trials) == ["small", "medium"]


def test_with_all_answers_it_is_what_the_run_finds(triage) -> None:
    record(triage, {"small": range(CASES), "medium": (), "large": ()})
    found = looked(triage)
    project = load_project(triage.root)
    task = load_task(project, "triage")

    async def run():
        with open_client(project, "triage", Budget(None), offline=True) as client:
            return await calibrate(task, client)

    ran = asyncio.run(run())
    assert found.is_decided
    assert (found.calibration.verdicts, found.calibration.decision.status) == (
        ran.verdicts,
        Status.CERTIFIED,
    )
    assert found.calibration.trials == ran.trials


def test_no_prefix_of_the_answers_decides_before_the_run_does(triage) -> None:
    record(triage, {"small": (), "large": ()})
    full = looked(triage)
    needed = full.calibration.verdicts[0].cases_used
    assert full.is_decided
    (triage.root / "datasets/recordings/triage.jsonl.gz").unlink()
    for n in range(needed):
        record(triage, {"small": ()}, first=n)
        found = looked(triage)
        assert not found.is_decided, n
        assert figures(found)[0] == ("small", "open", n, n)


def test_critical_cases_are_answered_first_and_are_no_prefix(triage) -> None:
    triage.edit("evals/triage.yaml", "{pass_rate: 0.9,", "{critical: must_pass, pass_rate: 0.9,")
    path = triage.root / "datasets/triage.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    order = [case.id for case in looked(triage).calibration.task.cases]
    for row in rows:
        row["critical"] = row["id"] in (order[1], order[-1])
    triage.write("datasets/triage.jsonl", "\n".join(map(json.dumps, rows)))
    record(triage, {"small": ()}, first=2)  # both of the prefix, and one of the two critical ones
    found = looked(triage)
    assert [trial.case.id for trial in found.calibration.trials["small"]] == [order[1]]
    assert figures(found)[0] == ("small", "open", 0, 0)


def test_a_case_that_lacks_a_repeat_is_not_counted(triage) -> None:
    triage.edit("evals/triage.yaml", "seed: 7", "seed: 7\nrepeats: 2")
    record(triage, {"small": ()}, first=5)  # of each case the first repeat
    found = looked(triage)
    assert len(found.calibration.trials["small"]) == 1
    assert figures(found)[0] == ("small", "open", 0, 0)


def test_a_group_that_is_answered_in_part_gives_no_figures(triage) -> None:
    path = triage.root / "datasets/triage.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    grouped = [{**row, "group": f"g-{n // 5}"} for n, row in enumerate(rows)]
    triage.write("datasets/triage.jsonl", "\n".join(map(json.dumps, grouped)))
    record(triage, {"small": ()}, first=3)
    found = looked(triage)
    assert len(found.calibration.trials["small"]) == 3
    assert figures(found)[0] == ("small", "open", 0, 0)
    record(triage, {"small": ()}, first=6)
    assert figures(looked(triage))[0] == ("small", "open", 6, 6)


def test_where_every_verdict_has_fallen_cascades_may_still_lack_answers(triage) -> None:
    triage.edit("evals/triage.yaml", "{pass_rate: 0.9,", "{cascades: true, pass_rate: 0.9,")
    record(triage, {"small": range(CASES)}, first=12)
    record(triage, {"medium": (), "large": ()})
    found = looked(triage)
    assert not found.is_decided
    assert [v.reason for v in found.calibration.verdicts] == [
        *(Reason.QUALITY, Reason.QUALITY, Reason.OPEN)
    ]
    assert found.calibration.decision.chosen.alias == "small"  # it lacks answers, others do not


def test_a_model_that_is_asked_for_cascades_alone_is_open_and_comes_last(triage) -> None:
    record(triage, {"small": range(CASES), "medium": ()})
    assert figures(looked(triage))[2] == ("large", "not_asked", 0, 0)
    triage.edit("evals/triage.yaml", "{pass_rate: 0.9,", "{cascades: true, pass_rate: 0.9,")
    found = looked(triage)
    assert not found.is_decided
    assert figures(found)[2] == ("large", "open", 0, 0)
    assert found.calibration.decision.chosen.alias == "large"
    record(triage, {"large": ()}, first=4)
    assert figures(looked(triage))[2] == ("large", "open", 4, 4)


def test_where_the_cheapest_is_certified_no_cascade_asks_the_others(triage) -> None:
    triage.edit("evals/triage.yaml", "{pass_rate: 0.9,", "{cascades: true, pass_rate: 0.9,")
    record(triage, {"small": ()})
    found = looked(triage)
    assert found.is_decided
    assert [reason for _, reason, *_ in figures(found)] == ["quality", "not_asked", "not_asked"]
