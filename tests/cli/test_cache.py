"""`calibrate cache`: what is stored, thin it out, take it along."""

from __future__ import annotations

import json
import sqlite3

import pytest

from calibrate.cache import Cache, Recorded, Recordings
from calibrate.completion import ChatMessage, Completion, Failure, FailureReason, Request, Usage

URL = "http://127.0.0.1:9/v1"  # the endpoint of the small project
LUNCH, FIRE = "Lunch on Thursday?", "The server room is on fire."


def asked(message: str, name: str = "small-1") -> Request:
    """What the small project asks its cheapest model about a message."""
    return Request(
        kind="openai",
        name=name,
        messages=(
            ChatMessage("system", "Answer with one word: urgent or normal."),
            ChatMessage("user", message),
        ),
        parameters={"temperature": 0, "max_output_tokens": 8},
        logprobs=True,
    )


def by(served: str, text: str = "normal") -> Completion:
    return Completion(Usage(1200, 1), served, 0.1, text=text)


@pytest.fixture
def stored(project):
    """A project with four answers of one model, of which one failed and one is set aside."""
    path = project.root / ".calibrate" / "cache.sqlite"
    with Cache(path) as cache:
        cache.put(asked("Not a case."), URL, by("[b]2025"))
        cache.put(asked(LUNCH), URL, by("[b]2026"))
        cache.put(asked(FIRE), URL, Failure(FailureReason.REJECTED, "no"))
        cache.put(asked("Not a case."), "http://127.0.0.1:7/v1", by("elsewhere"))
        cache.put(asked("Neither."), URL, by("[b]2026"))
        cache.put(asked("Gone."), URL, by("[b]2025"), name_counts=False)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE answers SET asked_at = '2026-01-0' || id || 'T00:00:00Z'")
    connection.close()
    return project


def test_info_is_a_table_of_models(calibrate, stored) -> None:
    status, stdout, stderr = calibrate("cache", "info")
    assert (status, stderr) == (0, "")
    head, *lines = [line.rstrip() for line in stdout.splitlines()]
    assert head.startswith(".calibrate/cache.sqlite: 6 answers, 0.")
    assert lines == [
        "model    at                     served as  answers  failed  set aside  tokens in  out  "
        "oldest                newest",
        "small-1  http://127.0.0.1:7/v1  elsewhere        1       0          0      1,200    1  "
        "2026-01-04T00:00:00Z  2026-01-04T00:00:00Z",
        "small-1  http://127.0.0.1:9/v1  [b]2026          5       1          2      4,800    4  "
        "2026-01-01T00:00:00Z  2026-01-06T00:00:00Z",
    ]


def test_info_as_json_has_the_same_figures(calibrate, stored) -> None:
    status, stdout, stderr = calibrate("cache", "info", "--json")
    assert (status, stderr) == (0, "")
    document = json.loads(stdout)
    assert document.pop("bytes") == (stored.root / ".calibrate/cache.sqlite").stat().st_size
    other, here = document.pop("models")
    assert document == {
        "schema": 1,
        "file": ".calibrate/cache.sqlite",
        "answers": 6,
        "failures": 1,
        "set_aside": 2,
    }
    assert other["base_url"] == "http://127.0.0.1:7/v1"
    assert here == {
        "base_url": URL,
        "kind": "openai",
        "name": "small-1",
        "served": ["[b]2026"],
        "answers": 5,
        "failures": 1,
        "set_aside": 2,
        "input_tokens": 4800,
        "output_tokens": 4,
        "oldest": "2026-01-01T00:00:00Z",
        "newest": "2026-01-06T00:00:00Z",
    }


def test_a_project_without_a_cache_has_none_and_gets_none(calibrate, project) -> None:
    before = project.files()
    empty = ".calibrate/cache.sqlite: no answers are stored\n"
    assert calibrate("cache", "info") == (0, empty, "")
    assert json.loads(calibrate("cache", "info", "--json").stdout)["models"] == []
    assert calibrate("cache", "prune", "--failed") == (0, "nothing to remove\n", "")
    assert calibrate("cache", "export", "a.jsonl") == (
        *(2, "", "error: .calibrate/cache.sqlite: holds no answer to export\n"),
    )
    assert project.files() == before


def test_prune_says_what_it_would_remove_and_then_removes_it(calibrate, stored) -> None:
    before = stored.files()
    dry = calibrate("cache", "prune", "--failed", "--dry-run")
    assert dry == (0, f"would remove 1 of small-1 at {URL}, 1 of them failures\n", "")
    assert stored.files() == before
    wet = calibrate("cache", "prune", "--failed")
    assert wet == (0, f"removed 1 of small-1 at {URL}, 1 of them failures\n", "")
    assert calibrate("cache", "prune", "--failed").stdout == "nothing to remove\n"


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--older-than", "1s"), 0),
        (("--older-than", "9999w"), 6),
        (("--model", "small-1"), 0),
        (("--set-aside",), 4),
        (("--set-aside", "--failed"), 6),
    ],
)
def test_prune_removes_what_all_options_select(calibrate, stored, options, left: int) -> None:
    status, stdout, stderr = calibrate("cache", "prune", *options, "--json")
    assert (status, stderr) == (0, "")
    document = json.loads(stdout)
    assert (document["dry_run"], document["removed"]["answers"]) == (False, 6 - left)
    assert sum(row["answers"] for row in document["models"]) == 6 - left
    assert json.loads(calibrate("cache", "info", "--json").stdout)["answers"] == left


def test_prune_without_a_choice_removes_nothing(calibrate, stored) -> None:
    before = stored.files()
    assert calibrate("cache", "prune") == (
        2,
        "",
        "error: say which answers to remove: --older-than AGE, --model NAME, --failed, "
        "--set-aside; to remove all of them, delete .calibrate/cache.sqlite\n",
    )
    assert stored.files() == before


@pytest.mark.parametrize("age", ["", "30", "d", "-3d", "3 d", "1.5h", "10000w", "\N{DIGIT TWO}x"])
def test_what_is_no_age_is_refused(calibrate, stored, age: str) -> None:
    status, stdout, stderr = calibrate("cache", "prune", f"--older-than={age}")
    assert (status, stdout) == (2, "")
    assert stderr.endswith(f"--older-than: {age!r} is not an age such as 12h, 30d or 8w\n")


def test_a_model_that_is_not_stored_gets_a_hint(calibrate, stored) -> None:
    assert calibrate("cache", "prune", "--model", "smal-1") == (
        2,
        "",
        "error: nothing is stored of a model 'smal-1'; did you mean 'small-1'? (known: small-1)\n",
    )


def test_export_writes_what_counts_as_recordings_that_can_be_read(calibrate, stored) -> None:
    for name in ("all.jsonl", "deep/all.jsonl.gz"):
        assert calibrate("cache", "export", name) == (0, f"4 answers written to {name}\n", "")
        recordings = Recordings(stored.root / name)
        assert len(recordings) == 4
        assert recordings.get(asked(LUNCH)) == by("[b]2026")
        assert recordings.get(asked("Not a case.")) == by("elsewhere")
        assert recordings.get(asked("Gone.")) is None


def test_export_of_a_workflow_is_a_recording_that_a_run_replays(calibrate, stored) -> None:
    again = Request(**{**vars(asked(LUNCH)), "repeat": 3})
    with Cache(stored.root / ".calibrate" / "cache.sqlite") as cache:
        cache.put(again, URL, by("[b]2026"))
        cache.put(asked(LUNCH), "http://127.0.0.1:7/v1", by("elsewhere"))
    file = "datasets/recordings/triage.jsonl.gz"
    status, stdout, stderr = calibrate("cache", "export", file, "triage", "--json")
    assert (status, stderr) == (0, "")
    assert json.loads(stdout) == {"schema": 1, "file": file, "answers": 3, "left_out": 0}
    assert {recorded.request.key for recorded in Recordings(stored.root / file).all()} == {
        request.key for request in (asked(LUNCH), asked(FIRE), again)
    }
    (stored.root / ".calibrate" / "cache.sqlite").unlink()
    (plan,) = json.loads(calibrate("plan", "--json").stdout)["workflows"]
    assert plan["candidates"][0]["stored"] == 2


def test_of_two_servers_answers_to_one_request_the_later_is_exported(calibrate, stored) -> None:
    with Cache(stored.root / ".calibrate" / "cache.sqlite") as cache:
        cache.put(asked(LUNCH), "http://127.0.0.1:7/v1", by("elsewhere"))
    assert calibrate("cache", "export", "all.jsonl") == (
        0,
        "4 answers written to all.jsonl\n"
        "1 left out: another server answered the same request later\n",
        "",
    )
    assert Recordings(stored.root / "all.jsonl").get(asked(LUNCH)) == by("elsewhere")


def test_an_unknown_workflow_gets_a_hint_and_no_file(calibrate, stored) -> None:
    before = stored.files()
    status, stdout, stderr = calibrate("cache", "export", "a.jsonl", "triag")
    assert (status, stdout) == (2, "")
    assert stderr.startswith("error: no workflow is called 'triag'; did you mean 'triage'?")
    assert stored.files() == before


def test_an_export_that_cannot_be_written_is_a_message(calibrate, stored) -> None:
    status, stdout, stderr = calibrate("cache", "export", "evals")
    assert (status, stdout) == (2, "")
    assert stderr == "error: evals: cannot be written: Is a directory\n"


def test_outside_a_project_there_is_no_cache(calibrate, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    hint = f"{tmp_path}: no evals/tiers.yaml here or above; run `calibrate init` or give --project"
    for action in (["info"], ["prune", "--failed"], ["export", "a.jsonl"]):
        status, stdout, stderr = calibrate("cache", *action)
        assert (status, stdout) == (2, "")
        assert stderr == f"error: {hint} DIR\n"
    assert calibrate("cache", "info", "--project", "gone") == (
        *(2, "", "error: gone: no such folder\n"),
    )
    assert calibrate("cache", "info", "--project", str(tmp_path)) == (
        *(2, "", f"error: {tmp_path}: no evals/tiers.yaml\n"),
    )


def test_a_project_may_be_named_and_need_not_be_in_order(calibrate, stored, monkeypatch) -> None:
    stored.write("evals/triage.yaml", "not: a workflow")
    monkeypatch.chdir(stored.root.parent)
    status, stdout, stderr = calibrate("cache", "info", "--project", "project", "--json")
    assert (status, json.loads(stdout)["answers"], stderr) == (0, 6, "")


def test_a_corrupt_cache_is_a_message(calibrate, project) -> None:
    project.write(".calibrate/cache.sqlite", b"not a database" * 100)
    for action in (["info"], ["prune", "--failed"], ["export", "a.jsonl"]):
        status, stdout, stderr = calibrate("cache", *action)
        assert (status, stdout) == (2, "")
        assert "the answer cache cannot be used: file is not a database; if it is" in stderr


def test_an_action_must_be_named(calibrate, project) -> None:
    assert calibrate("cache").status == 2
    status, stdout, _ = calibrate("cache", "drop")
    assert (status, stdout) == (2, "")


def test_each_action_has_help(calibrate) -> None:
    for action in ("info", "prune", "export"):
        status, stdout, stderr = calibrate("cache", action, "--help")
        assert (status, stderr) == (0, "")
        assert stdout.startswith(f"usage: calibrate cache {action} [-h]")


def test_a_recording_is_what_the_export_says_it_is(calibrate, stored) -> None:
    calibrate("cache", "export", "all.jsonl")
    lines = (stored.root / "all.jsonl").read_bytes().splitlines()
    assert Recorded(asked(LUNCH), by("[b]2026")).to_line() in lines
    assert lines == sorted(lines)
