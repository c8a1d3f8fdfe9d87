"""What to measure, on which models, and the bar to clear."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from calibrate.errors import ConfigError, UsageError
from calibrate.project import find_root, load_project


def problems_of(project) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_project(project.root)
    return caught.value.problems


def test_a_project_is_read(project) -> None:
    found = load_project(project.root)
    assert list(found.workflows) == ["triage"]
    assert found.tiers.baseline_model == "large"
    assert found.tiers.tiers["balanced"] == ["medium"]
    assert found.tiers.models["small"].price.output_usd_per_mtok == Decimal("0.2")
    bar = found.workflow("triage").bar
    assert (bar.floor, bar.alpha) == (0.5, 0.1)


def test_the_floor_is_the_pass_rate_less_the_tolerance(project) -> None:
    project.edit("evals/triage.yaml", "pass_rate: 0.5", "pass_rate: 0.9, tolerance: 0.2")
    # 0.9 - 0.2 = 0.7 and not 0.7000000000000001
    assert load_project(project.root).workflow("triage").bar.floor == 0.7


def test_the_project_is_found_upwards(project, monkeypatch) -> None:
    inner = project.root / "some" / "folder"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert load_project().root == project.root
    assert find_root(inner) == project.root


def test_no_project_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_root(tmp_path)
    assert caught.value.problems == (
        f"{tmp_path}: no evals/tiers.yaml here or above; "
        "run `calibrate init` or give --project DIR",
    )


def test_another_tiers_file_is_no_workflow(project) -> None:
    other = (project.root / "evals/tiers.yaml").read_text().replace("small-1", "tiny-1")
    project.write("evals/tiers.other.yaml", other)
    found = load_project(project.root, "evals/tiers.other.yaml")
    assert (list(found.workflows), found.tiers.models["small"].name) == (["triage"], "tiny-1")


def test_the_problems_of_all_files_are_told_at_once(project) -> None:
    project.edit("evals/tiers.yaml", "baseline: frontier", "baseline: fronteir")
    project.edit("evals/triage.yaml", "seed: 7", "sead: 7")
    project.write("evals/other.yaml", "version: 1\n")
    project.write("evals/third.yml", "version: 1\n")
    assert problems_of(project) == (
        "evals/tiers.yaml:26: baseline: no tier is called 'fronteir'; did you mean 'frontier'?",
        "evals/third.yml: call it third.yaml, or it would not be read",
        "evals/other.yaml:1: dataset: is missing",
        "evals/other.yaml:1: prompt: is missing",
        "evals/other.yaml:1: max_output_tokens: is missing",
        "evals/other.yaml:1: graders: is missing",
        "evals/other.yaml:1: bar: is missing",
        "evals/triage.yaml:12: sead: unknown key; did you mean 'seed'?",
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "cheap: [small]",
            "cheap: [smal]",
            "23: tiers.cheap[0]: no model is called 'smal'; did you mean 'small'?",
        ),
        (
            "balanced: [medium]",
            "balanced: [medium, small]",
            "24: tiers.balanced[1]: 'small' stands in tier 'cheap' already",
        ),
        ("cheap: [small]", "cheap: []", "23: tiers.cheap: names no model"),
        (
            "endpoint: local\n    name: small-1",
            "endpoint: lokal\n    name: small-1",
            "7: models.small.endpoint: no endpoint is called 'lokal'; did you mean 'local'?",
        ),
        (
            "    price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}\n",
            "",
            "6: models.small.price: is missing; write `price: auto` or `price: "
            '{"input_usd_per_mtok": 0.25, "output_usd_per_mtok": 2.0}` or '
            '`price: {"usd_per_hour": 1.2}`',
        ),
        (
            "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}",
            "price: free",
            "9: models.small.price: expected `auto`, {input_usd_per_mtok: …, "
            "output_usd_per_mtok: …} or {usd_per_hour: …}",
        ),
        (
            "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}",
            "price: {output_usd_per_mtok: 0.2}",
            "9: models.small.price: give either `input_usd_per_mtok` or `usd_per_hour`",
        ),
        (
            "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}",
            "price: {usd_per_hour: 1, output_usd_per_mtok: 0.2}",
            "9: models.small.price: a price is by the hour or by the token, not both",
        ),
        (
            "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}",
            "price: {usd_per_hour: 1, cache_write_usd_per_mtok: 1}",
            "9: models.small.price: a price is by the hour or by the token, not both",
        ),
        (
            "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}",
            "price: {input_usd_per_mtok: 0.1}",
            "6: models.small: `price` has no `output_usd_per_mtok` (0 where answers are free)",
        ),
        (
            "parameters: {temperature: 0}",
            "parameters: {until: 2026-01-31}",
            "11: models.small.parameters: until: a date is not plain JSON; put it in quotes",
        ),
        ("version: 1", "version: 2", "1: version: is 2, and this calibrate reads 1; upgrade it"),
        (
            "recordings: datasets/recordings",
            "recordings: ../shared",
            "4: recordings: '../shared' leaves the project; give a path inside it",
        ),
        (
            "base_url: http://127.0.0.1:9/v1",
            "base_url: http://127.0.0.1:9/v1, api_key_env: sk-abcdefghijklmnopqrstuvwxyz",
            "3: endpoints.local.api_key_env: this looks like a key; "
            "name the environment variable that holds it",
        ),
    ],
)
def test_a_wrong_tiers_file_names_line_and_key(project, old: str, new: str, problem: str) -> None:
    project.edit("evals/tiers.yaml", old, new)
    assert problems_of(project)[0] == f"evals/tiers.yaml:{problem}"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://host", "expected an http(s) URL"),
        ("localhost:8080", "expected an http(s) URL"),
        ("'http://a b/v1'", "expected an http(s) URL"),
        ("'http://[::1'", "Invalid IPv6 URL"),
        ("http://host:99999", "Port out of range 0-65535"),
        ("http://me:secret@host", "a URL with credentials, a query or a fragment is refused"),
        ("http://host/v1?key=secret", "a URL with credentials, a query or a fragment is refused"),
    ],
)
def test_a_wrong_address_is_refused_without_its_secrets(project, url: str, problem: str) -> None:
    project.edit("evals/tiers.yaml", "http://127.0.0.1:9/v1", url)
    assert problems_of(project) == (f"evals/tiers.yaml:3: endpoints.local.base_url: {problem}",)


def test_an_address_is_kept_without_its_last_slash(project) -> None:
    project.edit("evals/tiers.yaml", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/")
    endpoint = load_project(project.root).tiers.endpoints["local"]
    assert endpoint.base_url == "http://127.0.0.1:9/v1"


def test_what_is_no_variable_name_is_refused_and_not_shown(project) -> None:
    project.edit("evals/tiers.yaml", "kind: openai,", "kind: openai, api_key_env: my-secret!,")
    assert problems_of(project) == (
        "evals/tiers.yaml:3: endpoints.local.api_key_env: expected the name of an environment "
        "variable; never write the key itself into a file",
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("{pass_rate: 0.5,", "{pass_rate: 1,", "11: bar.pass_rate: expected less than 1, got 1"),
        (
            "confidence: 0.9",
            "tolerance: 0.5",
            "11: bar: `tolerance` must be smaller than `pass_rate`",
        ),
        (
            "confidence: 0.9",
            "tolerance: .nan",
            "11: bar.tolerance: expected less than 1, got nan",
        ),
        (
            "confidence: 0.9",
            "latency_p95_s: .inf",
            "11: bar.latency_p95_s: expected a finite number, got inf",
        ),
        ("timeout_s: 10", "timeout_s: -1", "13: limits.timeout_s: expected greater than 0, got -1"),
        (
            "timeout_s: 10",
            "timeout_s: .nan",
            "13: limits.timeout_s: expected a finite number, got nan",
        ),
        (
            "budget_usd_per_day: 100",
            "budget_usd_per_day: -1",
            "13: limits.budget_usd_per_day: expected greater than or equal to 0, got -1",
        ),
        (
            "max_output_tokens: 8",
            "max_output_tokens: 8.5",
            "8: max_output_tokens: expected integer, got 8.5",
        ),
        (
            "labels: [urgent, normal]",
            "labels: [yes, 'no']",
            "4: labels[0]: expected string, got True; put it in quotes",
        ),
        (
            "labels: [urgent, normal]",
            "labels: [a]",
            "4: labels: expected at least 2 of them, got ['a']",
        ),
        (
            "role: user",
            "role: usr",
            "7: prompt[1].role: expected 'system', 'user' or 'assistant', got 'usr'",
        ),
        (
            "- one_of",
            "- {one_of: {}, regex: {}}",
            "10: graders[0]: expected one grader: its name, or its name with a mapping of options",
        ),
        (
            "- one_of",
            "- one_of: 5",
            "10: graders[0]: expected one grader: its name, or its name with a mapping of options",
        ),
        (
            "seed: 7",
            "tiers: [cheep]",
            "12: tiers[0]: no tier is called 'cheep'; did you mean 'cheap'?",
        ),
        ("seed: 7", "seed: 7\nseed: 8", "13: key 'seed' was given on line 12 already"),
        (
            "seed: 7",
            "output_schema: {minimum: .nan}",
            "12: output_schema: minimum: not a finite number",
        ),
        (
            "dataset: datasets/triage.jsonl",
            "dataset: ../other.jsonl",
            "3: dataset: '../other.jsonl' leaves the project; give a path inside it",
        ),
        (
            "dataset: datasets/triage.jsonl",
            "dataset: /etc/passwd",
            "3: dataset: '/etc/passwd' leaves the project; give a path inside it",
        ),
        (
            "dataset: datasets/triage.jsonl",
            r"dataset: datasets\..\..\x.jsonl",
            r"3: dataset: 'datasets\\..\\..\\x.jsonl' leaves the project; give a path inside it",
        ),
        (
            "dataset: datasets/triage.jsonl",
            "dataset: ''",
            "3: dataset: expected a path inside the project",
        ),
        (
            "dataset: datasets/triage.jsonl",
            r'dataset: "a\0b.jsonl"',
            "3: dataset: expected a path inside the project",
        ),
    ],
)
def test_a_wrong_workflow_file_names_line_and_key(
    project, old: str, new: str, problem: str
) -> None:
    project.edit("evals/triage.yaml", old, new)
    assert problems_of(project) == (f"evals/triage.yaml:{problem}",)


def test_a_mistake_in_a_message_or_in_shots_is_told_once(project) -> None:
    project.edit(
        "evals/triage.yaml",
        "prompt:\n",
        "prompt:\n  - examples: [{role: user, contnt: x}]\n  - {role: user, contnt: x}\n  - 5\n",
    )
    assert problems_of(project) == (
        "evals/triage.yaml:6: prompt[0].examples[0].content: is missing",
        "evals/triage.yaml:6: prompt[0].examples[0].contnt: unknown key; did you mean 'content'?",
        "evals/triage.yaml:7: prompt[1].content: is missing",
        "evals/triage.yaml:7: prompt[1].contnt: unknown key; did you mean 'content'?",
        "evals/triage.yaml:8: prompt[2]: expected a mapping of keys, got 5",
    )


def test_a_workflow_is_not_blamed_for_tiers_that_cannot_be_read(project) -> None:
    project.write("evals/tiers.yaml", "version: 1\n")
    project.edit("evals/triage.yaml", "seed: 7", "tiers: [cheap]")
    assert problems_of(project) == (
        "evals/tiers.yaml:1: endpoints: is missing",
        "evals/tiers.yaml:1: models: is missing",
        "evals/tiers.yaml:1: tiers: is missing",
        "evals/tiers.yaml:1: baseline: is missing",
    )


def test_a_workflow_whose_name_is_no_name_is_refused(project) -> None:
    project.write("evals/my flow.yaml", "version: 1\n")
    assert problems_of(project) == (
        "evals/my flow.yaml: a workflow's name is letters, digits, `.`, `_` and `-`",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"version: 1\nbaseline: \xe4\n", "evals/tiers.yaml:2: not UTF-8; save the file as UTF-8"),
        (b"", "evals/tiers.yaml: expected a mapping of keys, got an empty or other file"),
        (
            b"a: !!python/object/apply:os.system ['true']",
            "evals/tiers.yaml:1: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        (b"[" * 100_000, "evals/tiers.yaml:1: nested more than 100 levels deep"),
    ],
)
def test_a_tiers_file_that_is_no_yaml_of_ours_is_a_message(project, content, problem) -> None:
    project.write("evals/tiers.yaml", content)
    assert problems_of(project) == (problem,)


def test_a_missing_tiers_file_is_a_message(project) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(project.root, "evals/tiers.nope.yaml")
    assert caught.value.problems == ("evals/tiers.nope.yaml: no such file",)


def test_an_unknown_workflow_is_named_with_the_known_ones(project) -> None:
    with pytest.raises(UsageError) as caught:
        load_project(project.root).workflow("tirage")
    assert caught.value.problems == (
        "no workflow is called 'tirage'; did you mean 'triage'? (known: triage)",
    )


def test_a_link_inside_the_project_is_followed_and_one_that_leaves_is_refused(
    project, tmp_path: Path
) -> None:
    (project.root / "inside.jsonl").symlink_to(project.root / "datasets/triage.jsonl")
    (project.root / "outside.jsonl").symlink_to(project.write("../outside.jsonl", ""))
    (project.root / "linked").symlink_to(tmp_path)
    found = load_project(project.root)
    assert found.path("inside.jsonl") == project.root / "datasets/triage.jsonl"
    for leaving in ("outside.jsonl", "linked/outside.jsonl"):
        with pytest.raises(ConfigError) as caught:
            found.path(leaving)
        assert caught.value.problems == (f"{leaving}: leaves the project through a link",)


def test_a_loop_of_links_is_a_message(project) -> None:
    (project.root / "loop.jsonl").symlink_to(project.root / "loop.jsonl")
    project.edit("evals/triage.yaml", "datasets/triage.jsonl", "loop.jsonl")
    from calibrate.task import load_task

    with pytest.raises(ConfigError, match=r"^loop\.jsonl: "):
        load_task(load_project(project.root), "triage")
