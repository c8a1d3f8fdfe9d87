"""A workflow with cascades, from its bar to the policy and the service that reads it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from calibrate import load_policy
from calibrate.policy import Scale

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped project with a bar that its recorded answers can certify."""
    for folder in ("evals", "datasets"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    file = tmp_path / "evals" / "review-sentiment.yaml"
    text = file.read_text("utf-8")
    assert text.count("pass_rate: 0.80") == 1
    file.write_text(text.replace("pass_rate: 0.80", "pass_rate: 0.70\n  cascades: true"), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(calibrate: Any, *arguments: str) -> dict[str, Any]:
    found = calibrate("run", "review-sentiment", "--offline", "--json", *arguments)
    assert (found.status, found.stderr) == (0, "")
    return dict(json.loads(found.stdout)["workflows"][0])


def test_a_certified_cascade_that_costs_less_is_the_route(calibrate: Any, shipped: Path) -> None:
    found = run(calibrate)
    escalation = found["escalation"]
    assert (found["status"], found["model"], escalation["to"]) == (
        "certified",
        "minilm",
        "gemma-3-270m",
    )
    single = next(v for v in found["verdicts"] if v["verdict"] == "certified")
    assert single["model"] == "gemma-3-270m"
    assert escalation["cost_usd_per_1k_requests"] < single["cost_usd_per_1k_requests"]
    assert escalation["cases"] == 200
    assert "and on to gemma-3-270m where label_margin is below" in found["headline"]

    entry = load_policy("routing-policy.yaml").workflows["review-sentiment"]
    assert (entry.escalation.signal, entry.escalation.to) == ("label_margin", "gemma-3-270m")  # type: ignore[union-attr]
    assert entry.escalation.scale == Scale("difference of cosines", 0.0, 2.0)  # type: ignore[union-attr]
    assert entry.fallbacks[0] == "gemma-3-270m"
    evidence = entry.evidence
    assert (evidence.rule, evidence.test, evidence.cases_used) == ("full", "exact", 200)
    assert evidence.passed / 200 == pytest.approx(evidence.estimate)
    assert evidence.cascade.escalated == pytest.approx(escalation["escalated"])  # type: ignore[union-attr]
    assert "minilm,label_margin<" in evidence.signature


def test_a_service_asks_the_route_whether_to_escalate(calibrate: Any, shipped: Path) -> None:
    run(calibrate)
    route = load_policy("routing-policy.yaml").route("review-sentiment")
    below = route.escalation.below  # type: ignore[union-attr]
    assert route.should_escalate({"label_margin": below - 0.001})
    assert not route.should_escalate({"label_margin": below})
    assert route.should_escalate({})
    assert route.should_escalate({"label_margin": float("nan")})
    assert route.should_escalate({"label_margin": 87})  # on another scale


def test_each_model_of_a_cascade_is_evaluated_without_the_other(
    calibrate: Any, shipped: Path
) -> None:
    rows = run(calibrate)["when_down"]
    assert [(row["model"], row["down"], row["meets_bar"]) for row in rows[:2]] == [
        ("gemma-3-270m", ["minilm"], "certified"),
        ("minilm", ["gemma-3-270m"], "missed"),
    ]
    assert [row["estimate"] for row in rows[:2]] == [0.825, 0.63]  # of all 200 cases
    assert rows[0]["lower_bound"] > 0.7
    assert rows[2]["down"] == ["minilm", "gemma-3-270m"]


def test_the_same_evidence_gives_the_same_bytes(calibrate: Any, shipped: Path) -> None:
    run(calibrate)
    policy = (shipped / "routing-policy.yaml").read_bytes()
    page = (shipped / "reports" / "review-sentiment.html").read_bytes()
    run(calibrate)
    assert (shipped / "routing-policy.yaml").read_bytes() == policy
    assert calibrate("report", "review-sentiment").status == 0
    assert (shipped / "reports" / "review-sentiment.html").read_bytes() == page
    assert calibrate("check", "review-sentiment").status == 0


def test_the_terminal_says_what_the_signals_are_worth(calibrate: Any, shipped: Path) -> None:
    text = calibrate("run", "review-sentiment", "--offline").stdout
    assert "minilm: label_margin is informative, AUROC 0." in text
    assert "cheaper than sending all to gemma-3-270m (break-even at 100 %)" in " ".join(
        text.split()
    )


def test_cascades_ask_for_every_case_and_plan_says_so(calibrate: Any, shipped: Path) -> None:
    (plan,) = json.loads(calibrate("plan", "review-sentiment", "--json").stdout)["workflows"]
    assert [row["requests"] for row in plan["candidates"][1:]] == [200, 200, 200]
    assert [row["requests_expected"] for row in plan["candidates"]] == [200, 200, 200, 200]
    text = " ".join(calibrate("plan", "review-sentiment").stdout.split())
    assert "a run asks every case of every model, unless the cheapest is certified" in text


def test_a_baseline_that_only_the_cascades_asked_for_has_its_measured_cost(
    calibrate: Any, shipped: Path
) -> None:
    found = run(calibrate)
    (baseline,) = (v for v in found["verdicts"] if v["model"] == "qwen2.5-coder-0.5b")
    assert (baseline["reason"], baseline["cost_basis"]) == ("not_asked", "measured")
    evidence = load_policy("routing-policy.yaml").workflows["review-sentiment"].evidence
    assert evidence.baseline_cost_basis == "measured"
    # Gemma is down, and so is minilm: the next is another model, the last one the baseline.
    whole = {row["model"]: row for row in found["when_down"]}["qwen2.5-coder-0.5b"]
    assert evidence.baseline_cost_usd_per_1k_requests == whole["cost_usd_per_1k_requests"]


def test_cascades_need_one_answer_a_case(calibrate: Any, project: Any) -> None:
    project.edit(
        "evals/triage.yaml", "confidence: 0.9}", "confidence: 0.9, cascades: true}\nrepeats: 2"
    )
    found = calibrate("run", "triage")
    assert (found.status, found.stdout) == (2, "")
    assert "`bar.cascades` needs `repeats: 1`" in found.stderr


def test_a_family_has_no_cascades(calibrate: Any, shipped: Path) -> None:
    found = calibrate("run", "review-sentiment", "--offline", "--family", "holm")
    assert (found.status, found.stdout) == (2, "")
    assert "--family decides between single models; run review-sentiment without it" in found.stderr
