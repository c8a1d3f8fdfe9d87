"""A live run against a real small model: answers, usage, cache, recording and policy."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from models import MODELS, ModelError, fetch
from servers import serving

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CASES = 6

TIERS = """
version: 1
endpoints:
  local: {{kind: openai, base_url: "http://127.0.0.1:{port}/v1", concurrency: 1, timeout_s: 120}}
recordings: datasets/recordings
models:
  smollm2:
    endpoint: local
    name: SmolLM2-135M-Instruct-Q4_1
    price: {{input_usd_per_mtok: 0.2275, output_usd_per_mtok: 0.3323}}
    parameters: {{temperature: 0}}
tiers: {{only: [smollm2]}}
baseline: only
"""


@pytest.fixture(scope="module")
def weights() -> Path:
    """Return the folder of the weights, fetched once; skips where they cannot be had."""
    folder = ROOT / ".calibrate" / "weights"
    try:
        fetch(MODELS["smollm2"], folder)
    except ModelError as error:
        pytest.skip(f"the weights cannot be had here: {error}")
    return folder


@pytest.fixture(scope="module")
def server_python() -> Path:
    """Return an interpreter that can serve; its environment is made once."""
    venv = ROOT / ".venv-live"
    python = venv / "bin" / "python"
    if not (venv / "ready").exists():
        made = subprocess.run(["make", "-C", str(ROOT), ".venv-live/ready"], check=False)
        if made.returncode != 0:
            pytest.skip("the model server cannot be installed here")
    return python


@pytest.fixture
def project(tmp_path: Path, weights: Path, server_python: Path) -> Iterator[Path]:
    """Yield a copy of support-simple on the one real model, served while the test runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "evals").mkdir()
    (tmp_path / "datasets").mkdir()
    (tmp_path / "evals" / "tiers.yaml").write_text(TIERS.format(port=port))
    workflow = yaml.safe_load((ROOT / "evals" / "support-simple.yaml").read_text())
    del workflow["examples"], workflow["prompt"][1], workflow["bar"]["latency_p95_s"]
    (tmp_path / "evals" / "support-simple.yaml").write_text(yaml.safe_dump(workflow))
    cases = (ROOT / "datasets" / "support-simple.jsonl").read_text()
    (tmp_path / "datasets" / "support-simple.jsonl").write_text(cases)
    with serving(server_python, weights, {"smollm2": port}):
        yield tmp_path


def calibrate(project: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "-m", "calibrate", *arguments, "--project", str(project), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)["workflows"][0]


def test_a_live_run_asks_records_and_replays(project: Path) -> None:
    file = project / "routing-policy.yaml"
    asked = ("run", "support-simple", "--cases", str(CASES), "--record", "--policy", str(file))
    status, first = calibrate(project, *asked)
    verdict = first["verdicts"][0]  # type: ignore[index]
    assert (first["requests_sent"], first["requests_cached"]) == (CASES, 0)
    assert 0 < verdict["cases_used"] <= CASES  # the verdict may fall before the last of them
    assert verdict["cost_usd_per_1k_requests"] > 0
    assert verdict["latency_p95_s"] > 0

    recording = project / "datasets" / "recordings" / "support-simple.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(recording.read_bytes()).splitlines()]
    assert len(lines) == CASES
    for line in lines:
        response = line["response"]
        assert response["served_model"] == "SmolLM2-135M-Instruct-Q4_1"
        assert response["usage"]["input_tokens"] > 100
        assert 0 < response["usage"]["output_tokens"] <= 8
        assert response["logprobs"]
        assert isinstance(response["text"], str)

    policy = file.read_bytes()
    (project / ".calibrate" / "cache.sqlite").unlink()
    again, second = calibrate(project, *asked, "--offline")
    assert (second["requests_sent"], second["requests_cached"]) == (0, CASES)
    assert again == status
    assert second["verdicts"] == [  # type: ignore[comparison-overlap]
        {**verdict, "answers": {"asked": 0, "cached": 0, "recorded": CASES}}
    ]
    assert file.read_bytes() == policy
