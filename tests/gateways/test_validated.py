"""The export for vLLM Semantic Router, as its own validator reads it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from exporters.sample import chat_model, policy_of, sample_policy, workflow
from gateways.running import TOOLS

from calibrate.exporters import export_policy

pytestmark = pytest.mark.gateways


def validate(text: str, folder: Path) -> tuple[int, str]:
    config = folder / "config.yaml"
    config.write_text(text)
    done = subprocess.run(
        [TOOLS / "envoy/bin/vllm-sr", "config", "validate", "--config", config],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    return done.returncode, done.stdout + done.stderr


def test_the_export_is_valid(tmp_path: Path) -> None:
    exported = export_policy("vllm-sr", replace(sample_policy(), default="support-simple"))
    status, output = validate(exported.text, tmp_path)
    assert status == 0, output
    assert "Recipes: 6" in output


SMALL = policy_of(
    {"m": chat_model(context_window=1000), "n": chat_model()},
    {"one": workflow("m", fallbacks=("n",), over_context="n")},
)


@pytest.mark.parametrize(
    ("old", "new", "valid"),
    [
        ("", "", True),
        ("- model: n", "- model: nn", False),
        ("max_tokens_limit:", "max_token_limit:", False),
        ("recipe: workflow/one", "recipe: workflow/on", False),
        ("max_attempts: 2", "max_attempts: two", False),
    ],
)
def test_a_damaged_export_is_not(old: str, new: str, valid: bool, tmp_path: Path) -> None:
    text = export_policy("vllm-sr", SMALL).text
    assert old in text
    status, _ = validate(text.replace(old, new, 1), tmp_path)
    assert (status == 0) is valid
