"""`calibrate init`: scaffold a project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibrate.cli.init import PRESETS
from calibrate.dataset import load_cases
from calibrate.project import load_project

FILES = [".gitignore", "datasets/triage.jsonl", "evals/tiers.yaml", "evals/triage.yaml"]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_it_says_what_it_wrote_and_what_to_do_next(calibrate) -> None:
    assert calibrate("init", "my project") == (
        0,
        "my project/.gitignore\n"
        "my project/datasets/triage.jsonl\n"
        "my project/evals/tiers.yaml\n"
        "my project/evals/triage.yaml\n"
        "\n"
        "Set OPENAI_API_KEY, then:\n"
        "  cd 'my project' && calibrate plan    # what it would ask and cost\n"
        "  cd 'my project' && calibrate run\n",
        "",
    )


def test_json_lists_the_files(calibrate) -> None:
    status, stdout, stderr = calibrate("init", "--json", "--endpoint", "ollama")
    assert (status, stderr) == (0, "")
    assert json.loads(stdout) == {"schema": 1, "files": FILES}


@pytest.mark.parametrize("endpoint", sorted(PRESETS))
def test_the_project_of_every_preset_can_be_planned(calibrate, endpoint: str) -> None:
    assert calibrate("init", "p", "--endpoint", endpoint).status == 0
    status, stdout, stderr = calibrate("plan", "--project", "p", "--json")
    # 24 cases can just certify 80 % over three candidates: 0.8^19 is below 0.05 / 3.
    assert (status, stderr) == (0, "")
    (plan,) = json.loads(stdout)["workflows"]
    assert [row["model"] for row in plan["candidates"]] == ["small", "medium", "large"]
    assert (plan["cases"], plan["can_certify"]) == (24, True)
    assert 0 < plan["most_usd"] < 0.25


@pytest.mark.parametrize("endpoint", sorted(PRESETS))
def test_no_preset_sends_a_key_over_plain_http(endpoint: str) -> None:
    preset = PRESETS[endpoint]
    assert preset.api_key_env is None or (preset.base_url or "https://").startswith("https://")


def test_the_scaffolded_cases_are_cases(calibrate, tmp_path: Path) -> None:
    calibrate("init")
    cases = load_cases(tmp_path / "datasets/triage.jsonl", "datasets/triage.jsonl")
    labels = load_project(tmp_path).workflow("triage").labels
    assert {case.expected for case in cases} == set(labels or ())


def test_it_overwrites_nothing_and_names_every_file_in_its_way(calibrate, tmp_path: Path) -> None:
    assert calibrate("init").status == 0
    (tmp_path / "evals/tiers.yaml").write_text("mine")
    (tmp_path / "datasets/triage.jsonl").unlink()
    assert calibrate("init") == (
        2,
        "",
        "error: evals/triage.yaml: exists; nothing was written\n"
        "error: evals/tiers.yaml: exists; nothing was written\n",
    )
    assert (tmp_path / "evals/tiers.yaml").read_text() == "mine"
    assert not (tmp_path / "datasets/triage.jsonl").exists()


def test_a_gitignore_of_ones_own_stays(calibrate, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    assert calibrate("init").status == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_a_folder_that_cannot_be_written_leaves_nothing_half_written(
    calibrate, tmp_path: Path
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/evals").write_text("a file in the folder's place")
    assert calibrate("init", "p") == (2, "", "error: p/evals: cannot be written: File exists\n")
    assert written(tmp_path) == ["p", "p/evals"]


def test_a_file_in_the_projects_place_is_a_message(calibrate, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("a file")
    status, stdout, stderr = calibrate("init", "p")
    assert (status, stdout) == (2, "")
    assert stderr.startswith("error: p")
    assert written(tmp_path) == ["p"]


def test_a_link_to_nowhere_is_not_followed(calibrate, tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals/tiers.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    assert calibrate("init").status == 2
    assert written(tmp_path) == ["evals", "evals/tiers.yaml"]


def test_an_unknown_endpoint_is_told_with_the_known_ones(calibrate) -> None:
    status, _, stderr = calibrate("init", "--endpoint", "opnai")
    assert status == 2
    assert "(choose from 'anthropic', 'gemini', 'ollama', 'openai', 'openrouter')" in stderr
