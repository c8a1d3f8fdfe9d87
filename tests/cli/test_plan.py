"""`calibrate plan`: what a run would ask and cost. Asks nothing."""

from __future__ import annotations

import json

from calibrate.cache import Recorded, write_recordings
from calibrate.completion import ChatMessage, Completion, Request, Usage

TEXT = """\
triage: 6 cases, bar 50.0 %
model   tier      requests  stored  expected   likely  at most
small   cheap            6       0         4  $0.0000  $0.0001
medium  balanced         6       0         4  $0.0002  $0.0008
large   frontier         6       0         4  $0.0016  $0.0076
"""


def test_it_says_what_a_run_would_ask_and_cost(calibrate, project) -> None:
    before = project.files()
    status, stdout, stderr = calibrate("plan")
    assert (status, stderr) == (0, "")
    assert stdout.startswith(TEXT)
    # 0.75^6 = 0.178: only six faultless cases of six are enough
    assert (
        "a model whose true rate is 75.0 % has a chance of 18 % to be certified; "
        "it is asked 4 cases on average, 6 at most\n"
    ) in stdout
    assert project.files() == before


def test_json_has_the_same_figures(calibrate, project) -> None:
    status, stdout, stderr = calibrate("plan", "triage", "--json")
    assert (status, stderr) == (0, "")
    document = json.loads(stdout)
    assert list(document) == ["schema", "workflows"]
    (plan,) = document["workflows"]
    assert (plan["workflow"], plan["cases"], plan["floor"]) == ("triage", 6, 0.5)
    # 0.9 of 0.1 of error over three candidates: 0.5^5 = 0.031 is more than 0.03, 0.5^6 is less
    assert (plan["can_certify"], plan["cases_needed_at_least"]) == (True, 6)
    assert [row["requests"] for row in plan["candidates"]] == [6, 6, 6]
    assert plan["most_usd"] >= sum(row["likely_usd"] for row in plan["candidates"])


def test_a_set_that_is_too_small_for_its_bar_is_a_no(calibrate, project) -> None:
    project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.9")
    status, stdout, stderr = calibrate("plan")
    assert (status, stderr) == (1, "")
    assert "these 6 cases cannot certify 90.0 %" in stdout


def test_fewer_cases_can_be_planned(calibrate, project) -> None:
    status, stdout, _ = calibrate("plan", "--cases", "4", "--json")
    (plan,) = json.loads(stdout)["workflows"]
    assert (status, plan["cases"], plan["candidates"][0]["requests"]) == (1, 4, 4)


def test_what_is_recorded_is_not_asked_again(calibrate, project) -> None:
    request = Request(
        kind="openai",
        name="small-1",
        messages=(
            ChatMessage("system", "Answer with one word: urgent or normal."),
            ChatMessage("user", "Lunch on Thursday?"),
        ),
        parameters={"temperature": 0, "max_output_tokens": 8},
        logprobs=True,
    )
    reply = Completion(Usage(20, 1), "small-1", 0.1, text="normal")
    recording = project.root / "datasets/recordings/triage.jsonl.gz"
    write_recordings(recording, [Recorded(request, reply)])
    _, stdout, _ = calibrate("plan", "--json")
    (plan,) = json.loads(stdout)["workflows"]
    assert [row["stored"] for row in plan["candidates"]] == [1, 0, 0]


def test_a_model_that_cannot_answer_is_named(calibrate, project) -> None:
    project.edit("evals/tiers.yaml", "name: small-1", "name: small-1\n    method: nearest_example")
    _, stdout, _ = calibrate("plan")
    assert (
        "small (cheap) is no candidate: nearest_example needs a workflow with "
        "`labels` and `examples`\n"
    ) in stdout


def test_brackets_in_a_models_name_are_no_markup(calibrate, project) -> None:
    project.edit("evals/tiers.yaml", "  small:\n", "  '[/bold]small':\n")
    project.edit("evals/tiers.yaml", "cheap: [small]", "cheap: ['[/bold]small']")
    status, stdout, _ = calibrate("plan")
    assert (status, "\n[/bold]small  cheap" in stdout) == (0, True)


def test_a_terminal_gets_bold(calibrate, project, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert calibrate("plan").stdout.startswith("\x1b[1mtriage\x1b[0m: 6 cases")


def test_every_problem_of_the_project_is_one_line_and_nothing_is_written(
    calibrate, project
) -> None:
    project.edit("evals/triage.yaml", "- one_of", "- one_off")
    project.edit("datasets/triage.jsonl", '"m-2"', '"m-1"')
    before = project.files()
    assert calibrate("plan") == (
        2,
        "",
        "error: datasets/triage.jsonl:2: id 'm-1' was given at datasets/triage.jsonl:1 already\n"
        "error: evals/triage.yaml: graders[0]: no calibrate.graders plugin is called 'one_off'; "
        "did you mean 'one_of'? (known: contains, exact_match, json_fields, json_schema, numeric, "
        "one_of, regex)\n",
    )
    assert project.files() == before


def test_a_pasted_key_is_never_printed(calibrate, project) -> None:
    key = "sk-abcdefghijklmnopqrstuvwxyz"
    project.edit("evals/tiers.yaml", "kind: openai,", f"kind: openai, api_key: {key},")
    project.edit("evals/triage.yaml", "seed: 7", f"{key}: 7")
    status, stdout, stderr = calibrate("plan")
    assert (status, stdout, key[5:] in stderr) == (2, "", False)
    assert stderr == (
        "error: evals/tiers.yaml:3: endpoints.local.api_key: this looks like a key; "
        "name the environment variable that holds it\n"
        "error: evals/tiers.yaml:3: endpoints.local.api_key: unknown key; "
        "did you mean 'api_key_env'?\n"
        "error: evals/triage.yaml:12: [key]: this looks like a key; "
        "name the environment variable that holds it\n"
        "error: evals/triage.yaml:12: [key]: unknown key\n"
    )


def test_a_folder_that_is_no_project_is_a_message(calibrate, project, tmp_path) -> None:
    assert calibrate("plan", "--project", "gone") == (2, "", "error: gone: no such folder\n")
    assert calibrate("plan", "--project", str(tmp_path)) == (
        *(2, "", "error: evals/tiers.yaml: no such file\n"),
    )


def test_a_corrupt_cache_is_a_message(calibrate, project) -> None:
    project.write(".calibrate/cache.sqlite", b"not a database" * 100)
    status, stdout, stderr = calibrate("plan")
    assert (status, stdout) == (2, "")
    assert "cache.sqlite: the answer cache cannot be used: file is not a database" in stderr


def test_a_long_static_part_is_told_with_what_its_caching_saves(calibrate, project) -> None:
    local = "base_url: http://127.0.0.1:9/v1"
    project.edit("evals/tiers.yaml", local, "base_url: https://api.openai.com/v1")
    project.edit("evals/tiers.yaml", "0.1, output", "0.1, cached_input_usd_per_mtok: 0.01, output")
    rules = "Mind the rules of the house. " * 200  # 29 * 200 characters
    project.edit("evals/triage.yaml", "'Answer with", f"'{rules}Answer with")
    before = project.files()
    stdout = calibrate("plan").stdout
    # Of the system message 5,800 and 39 characters, 1,460 tokens, and 4 that it takes itself.
    assert " input tokens are the same at the start of every prompt\n" in stdout
    assert "about 1,464 of 1,474 " in stdout
    assert (
        "small: the provider's prompt caching reads them at $0.01 instead of $0.1 a million\n"
    ) in stdout
    assert "medium: the provider caches prompts, but the price has no `cached_input" in stdout
    (plan,) = json.loads(calibrate("plan", "--json").stdout)["workflows"]
    assert plan["candidates"][0]["prompt_caching"] == {
        "caching": "automatic",
        "input_tokens": 1474,
        "same_at_start": 1464,
        "same_elsewhere": 0,
        "input_usd_per_mtok": 0.1,
        "cached_input_usd_per_mtok": 0.01,
        "cache_write_usd_per_mtok": 0.1,
    }
    assert project.files() == before


def test_a_static_part_behind_the_case_is_a_warning(calibrate, project) -> None:
    rules = "Mind the rules of the house. " * 200
    project.edit("evals/triage.yaml", '"{{ input.message }}"', f"'{{{{ input.message }}}} {rules}'")
    stdout = calibrate("plan").stdout
    assert "stand behind a part that changes, where no cache can give them: move the" in stdout


def test_a_machine_by_the_hour_has_no_prompt_caching_to_tell_of(calibrate, project) -> None:
    price = "{input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}"
    project.edit("evals/tiers.yaml", price, "{usd_per_hour: 1}")
    (plan,) = json.loads(calibrate("plan", "--json").stdout)["workflows"]
    caching = [row["prompt_caching"] for row in plan["candidates"]]
    assert caching[0] is None
    assert caching[1]["caching"] == "unknown"
