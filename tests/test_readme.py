"""What the README shows in Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from calibrate.graders.base import Grader

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def block(containing: str) -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return found


def test_the_policy_is_read_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(block("input_tokens=812"), names)  # noqa: S102 - our own README
    assert names["route"].name
    assert names["route"].limits.max_output_tokens == 8


def test_the_shown_service_escalates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {
        "ask": lambda model, ticket: (model.name, {}),
        "SYSTEM": "Sort tickets.",
    }
    exec(block("should_escalate"), names)  # noqa: S102 - our own README
    assert names["answer"]("Where is my parcel?") == "Qwen2.5-Coder-0.5B-Instruct-Q4_K_M"


def test_the_shown_grader_is_one() -> None:
    names: dict[str, Any] = {}
    exec(block("class Shorter"), names)  # noqa: S102 - our own README
    grader = names["Shorter"](most=4)
    assert isinstance(grader, Grader)
    assert (grader.grade("four", None).score, grader.grade("five!", None).score) == (1, 0)
