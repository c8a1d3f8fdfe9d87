"""Who answers is known before the call: by the size of a request, or by how simple it looks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from answered import record

from calibrate import load_policy
from calibrate.policy import dump_policy
from calibrate.signals import split_by_group

CASES = 300
HARD = {n for n in range(CASES) if n % 3 == 0}
# small fails where it is hard, and seldom elsewhere; large hardly ever fails.
WRONG = {"small": HARD | {1, 100, 200}, "large": {3, 4}}


def answered(
    project: Any, message: Callable[[int], str], signals: str, group: Callable[[int], str | None]
) -> None:
    """Write a workflow for two models that goes by these signals, and record its answers."""
    rows = [
        {"id": f"m-{n}", "input": {"message": message(n)}, "expected": "urgent", "group": group(n)}
        for n in range(CASES)
    ]
    project.write("datasets/triage.jsonl", "\n".join(map(json.dumps, rows)))
    project.edit(
        "evals/triage.yaml",
        "bar: {pass_rate: 0.5, confidence: 0.9}",
        f"bar: {{pass_rate: 0.9, cascades: true}}\ntiers: [cheap, frontier]\nsignals: {signals}",
    )
    record(project, WRONG)


def long_or_short(number: int) -> str:
    return f"message {number}{' and so on' * 80 * (number in HARD)}"


def with_or_without_digits(number: int) -> str:
    """A message with digits where it is hard; other features differ at random."""
    words = ["pay", "the", "bill", "of", "our", "shop", "again", "now"][: 3 + number % 5]
    hard = f" {number * 7919} {number * 104729}" if number in HARD else ""
    return f"{' '.join(words)}{hard} {chr(97 + number % 26)}{chr(97 + number // 26)}"


def run(calibrate: Any, *arguments: str) -> dict[str, Any]:
    found = calibrate("run", "triage", "--offline", "--json", *arguments)
    assert (found.status, found.stderr) == (0, "")
    return dict(json.loads(found.stdout)["workflows"][0])


def alone(number: int) -> None:
    return None


def test_short_inputs_go_to_one_model_and_long_ones_to_another(
    calibrate: Any, project: Any
) -> None:
    answered(project, long_or_short, "[input_brevity]", alone)
    found = run(calibrate)
    escalation = found["escalation"]
    assert (found["status"], found["model"], escalation["to"]) == ("certified", "small", "large")
    assert escalation["escalated"] == pytest.approx(1 / 3)
    assert (escalation["cases"], escalation["passed"]) == (CASES, CASES - 4)
    # A long request asks large alone; both would cost a third of small's price more.
    small, large = (0.1 * 20 + 0.2) / 1000, (10 * 20 + 20) / 1000
    assert escalation["cost_usd_per_1k_requests"] == pytest.approx((2 * small + large) / 3)
    assert "but at once to large where input_brevity is below" in found["headline"]

    route = load_policy("routing-policy.yaml").route("triage")
    assert route.escalation is not None
    assert (route.alias, route.escalation.is_before_call) == ("small", True)
    system = "Answer with one word: urgent or normal."
    for number in range(20):
        signals = route.input_signals([system, long_or_short(number)])
        assert route.should_escalate(signals) == (number in HARD)
    assert "goes to large where input_brevity is below" in calibrate("route", "triage").stdout


def test_hard_inputs_go_to_the_stronger_model_by_weights_that_were_fitted(
    calibrate: Any, project: Any
) -> None:
    answered(project, with_or_without_digits, "[{input_simplicity: {fit: true}}]", alone)
    found = run(calibrate)
    escalation = found["escalation"]
    assert (found["status"], found["model"], escalation["to"]) == ("certified", "small", "large")
    assert (escalation["cases"], escalation["fitted_cases"]) == (210, 90)
    assert 0.2 < escalation["escalated"] < 0.5
    assert escalation["score"]["weights"]["digits"] > 0.5

    entry = load_policy("routing-policy.yaml").workflows["triage"]
    evidence = entry.evidence
    assert entry.escalation is not None
    assert (evidence.cases_used, evidence.cases) == (210, CASES)
    assert evidence.cascade is not None
    assert evidence.cascade.fitted_cases == 90
    assert entry.escalation.score is not None
    assert dict(entry.escalation.score.weights) == escalation["score"]["weights"]

    notes = " ".join(found["cascades"]["notes"])
    assert "input_simplicity, fitted on 90 cases and judged on the others, is informative" in notes
    page = Path("reports/triage.html").read_text("utf-8")
    assert "fitted on 90 cases; every figure here is of the 210 others" in page
    assert "input_simplicity, fitted on 90 other cases" in page


def test_a_service_computes_the_number_that_was_certified(calibrate: Any, project: Any) -> None:
    """What the policy alone says of each case that was not fitted on is what the run counted."""
    answered(project, with_or_without_digits, "[{input_simplicity: {fit: true}}]", alone)
    counted = run(calibrate)["escalation"]
    route = load_policy("routing-policy.yaml").route("triage")
    texts = [with_or_without_digits(n) for n in range(CASES)]
    ids = [f"m-{n}" for n in range(CASES)]
    others = split_by_group(ids, [None] * CASES, texts, seed=7).certify
    served = {
        n: "large" if route.should_escalate(route.input_signals(["any", texts[n]])) else "small"
        for n in others
    }
    escalated = [n for n, model in served.items() if model == "large"]
    assert len(escalated) / len(others) == pytest.approx(counted["escalated"])
    assert sum(n not in WRONG[model] for n, model in served.items()) == counted["passed"]


def test_the_same_evidence_gives_the_same_weights(calibrate: Any, project: Any) -> None:
    answered(project, with_or_without_digits, "[{input_simplicity: {fit: true}}]", alone)
    run(calibrate)
    policy = Path("routing-policy.yaml").read_bytes()
    run(calibrate)
    assert Path("routing-policy.yaml").read_bytes() == policy
    assert dump_policy(load_policy("routing-policy.yaml", verify=True)).encode() == policy
    assert calibrate("check", "triage").status == 0
    project.edit("evals/triage.yaml", "{fit: true}", "{fit: true, share: 0.4}")
    found = calibrate("check", "triage")
    assert (found.status, "the bar, the confidence" in found.stdout) == (1, True)


def test_where_fitting_leaves_too_few_cases_that_is_said(calibrate: Any, project: Any) -> None:
    answered(
        project, with_or_without_digits, "[{input_simplicity: {fit: true, share: 0.9}}]", alone
    )
    found = run(calibrate)
    assert (found["escalation"], found["model"]) == (None, "large")
    lacking = (
        "small: input_simplicity is fitted on 270 cases, which leaves 30 cases: not even a "
        "faultless cascade is certified on fewer than 39"
    )
    assert lacking in found["cascades"]["notes"]
    assert lacking in calibrate("run", "triage", "--offline").stdout.replace("\n", " ")


def test_where_all_cases_hang_together_that_is_said(calibrate: Any, project: Any) -> None:
    answered(project, with_or_without_digits, "[{input_simplicity: {fit: true}}]", lambda n: "one")
    found = run(calibrate)
    assert found["escalation"] is None
    (note, *_) = found["cascades"]["notes"]
    assert note == (
        "small: input_simplicity is not fitted, because one group, or one text, has too many of "
        "the cases to part them"
    )


def test_a_fit_without_cascades_is_refused(calibrate: Any, project: Any) -> None:
    project.edit(
        "evals/triage.yaml", "seed: 7", "seed: 7\nsignals: [{input_simplicity: {fit: true}}]"
    )
    found = calibrate("run", "triage", "--offline")
    assert (found.status, found.stdout) == (2, "")
    assert "input_simplicity.fit needs `bar.cascades: true`" in found.stderr


def test_what_a_split_costs_at_a_days_traffic(calibrate: Any, project: Any) -> None:
    """`project` pays for one call a request, and computes the fitted signal as a service would."""
    answered(project, with_or_without_digits, "[{input_simplicity: {fit: true}}]", alone)
    project.edit("evals/triage.yaml", "seed: 7", "seed: 7\ntraffic: {requests_per_day: 1000}")
    run(calibrate)
    (found,) = json.loads(calibrate("project", "--json", "--all-cases").stdout)["projections"]
    lines = {line["name"]: line["usd_per_day"]["usd"] for line in found["lines"]}
    route = load_policy("routing-policy.yaml").route("triage")
    handed_on = [
        route.should_escalate(route.input_signals([with_or_without_digits(n)]))
        for n in range(CASES)
    ]
    share = sum(handed_on) / CASES
    expected = (1 - share) * lines["small"] + share * lines["large"]
    assert lines["small, then large"] == pytest.approx(expected, rel=0.001)


def test_another_share_to_fit_on_is_another_attempt(calibrate: Any, project: Any) -> None:
    answered(
        project, with_or_without_digits, "[{input_simplicity: {fit: true, share: 0.9}}]", alone
    )
    assert run(calibrate)["cascades"]["attempt"] == 1
    project.edit("evals/triage.yaml", "share: 0.9", "share: 0.3")
    assert run(calibrate)["cascades"]["attempt"] == 2
    assert run(calibrate)["cascades"]["attempt"] == 2  # the same evidence is no further one
