"""A policy file to a policy, or every problem in it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from policy.sample import POLICY, TEXT, changed, parsed

from calibrate.errors import PolicyError
from calibrate.policy import (
    Override,
    Policy,
    Routes,
    dump_policy,
    dump_routes,
    find_policy,
    load_policy,
    load_routes,
    sealed,
    write_policy,
)

OLD = Path(__file__).parent / "old"


def problems_of(text: str, *, verify: bool = False) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        parsed(text, verify=verify)
    return caught.value.problems


def problems_in(path: Path, text: str, load: Any = load_routes) -> tuple[str, ...]:
    path.write_text(text)
    with pytest.raises(PolicyError) as caught:
        load(path)
    return tuple(problem.removeprefix(f"{path}") for problem in caught.value.problems)


def test_a_policy_is_read_as_it_was_written() -> None:
    assert parsed(TEXT) == POLICY


def test_a_missing_policy_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "p.yaml")
    assert caught.value.problems == (
        f"{tmp_path / 'p.yaml'}: no such file; `calibrate run` makes a policy",
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "version: 1",
            "version: 2",
            "p.yaml: version 2 is newer than this calibrate understands (1); upgrade calibrate-llm",
        ),
        ("version: 1", "version: 0", "p.yaml:1: version: expected one of 1, got 0"),
        ("version: 1", "version: '1'", "p.yaml:1: version: expected one of 1, got '1'"),
        ("version: 1", "version: true", "p.yaml:1: version: expected one of 1, got True"),
        (
            "status: certified",
            "status: certifed",
            "p.yaml:27: workflows.triage.status: expected one of 'certified', 'uncertified', "
            "'unmet', got 'certifed'",
        ),
        (
            "    tier: cheap",
            "    teir: cheap\n    tier: cheap",
            "p.yaml:28: workflows.triage.teir: unknown key; did you mean 'tier'?",
        ),
        (
            "    tier: cheap\n",
            "    tier: cheap\n    tier: dear\n",
            "p.yaml:29: key 'tier' was given on line 28 already",
        ),
        ("    endpoint: local\n", "", "p.yaml:10: models.small.endpoint: is missing"),
        (
            "timeout_s: 10.0",
            "timeout_s: .nan",
            "p.yaml:36: workflows.triage.limits.timeout_s: expected a number, got nan",
        ),
        (
            "    kind: openai\n    name: small-1",
            "    kind: [sk-abcdefghijklmnopqrstuvwxyz]\n    name: small-1",
            "p.yaml:12: models.small.kind: expected a text, got what looks like a key",
        ),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(old: str, new: str, problem: str) -> None:
    assert problems_of(changed(old, new)) == (problem,)


@pytest.mark.parametrize("text", ["", "[]", "words"])
def test_a_file_that_is_no_policy_is_refused(text: str) -> None:
    assert problems_of(text) == ("p.yaml: not a routing policy",)


def test_every_problem_of_a_policy_is_told_at_once() -> None:
    assert len(problems_of("version: 1\nmodels: 5\nworkflows: 6\n")) == 3


@pytest.mark.parametrize("file", sorted(OLD.iterdir()), ids=lambda path: path.stem)
def test_a_policy_of_an_older_calibrate_stays_readable(file: Path) -> None:
    policy = load_policy(file)
    assert [(name, entry.model) for name, entry in policy.workflows.items()] == [
        ("order-extract", "qwen2.5-coder-0.5b"),
        ("review-sentiment", "qwen2.5-coder-0.5b"),
        ("support-complex", "minilm"),
        ("support-simple", "minilm"),
    ]
    assert policy.route("support-simple", input_tokens=500).over_context
    with pytest.raises(PolicyError) as caught:
        load_policy(file, verify=True)
    assert [problem.split(": ", 1)[1] for problem in caught.value.problems] == [
        f"workflows.{name}: it has no digests: an older calibrate or a person wrote it; "
        f"run `calibrate run {name}`"
        for name in policy.workflows
    ]


def test_an_anchor_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert problems_in(tmp_path / "p.yaml", bomb, load_policy) == (
        ": more than 500,000 values once its aliases are expanded",
    )


@pytest.mark.parametrize("name", ["p.yaml", "p.json"])
def test_fifty_megabytes_are_refused(tmp_path: Path, name: str) -> None:
    assert problems_in(tmp_path / name, "# x\n" * (50 * 2**18)) == (": over 8,388,608 bytes",)


def test_routes_are_read_from_json_without_the_evidence(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_text(dump_routes(POLICY))
    routes = load_routes(path)
    assert type(routes) is Routes
    assert not hasattr(routes.workflows["triage"], "evidence")
    assert routes.models == POLICY.models
    for tokens in (None, 12, 93):
        assert routes.route("triage", input_tokens=tokens) == POLICY.route(
            "triage", input_tokens=tokens
        )
    assert dump_routes(routes) == path.read_text()


def test_a_whole_policy_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    write_policy(path, POLICY)
    assert load_policy(path) == load_routes(path) == POLICY
    assert "evidence" in json.loads(path.read_text())["workflows"]["triage"]


def test_routes_are_no_policy(tmp_path: Path) -> None:
    assert problems_in(tmp_path / "r.json", dump_routes(POLICY), load_policy) == (
        ": routes without their evidence; `load_routes` reads them",
    )


def test_routes_are_read_from_a_policy_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(TEXT)
    assert load_routes(str(path)) == POLICY


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", ":1: not JSON: Expecting property name enclosed in double quotes"),
        ('{\n"a": 1,\n}', ":3: not JSON: "),
        ('{"a": 1, "a": 2}', ": key 'a' was given twice"),
        ('{"a": NaN}', ": NaN is no number"),
        ('{"a": -Infinity}', ": -Infinity is no number"),
        ('{"a": ' + "9" * 5000 + "}", ": Exceeds the limit"),
        ('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", ": nested too deep"),
        ('{"a": "\\ud800"}', ": a: not Unicode text"),
        ("[]", ": not a routing policy"),
        (
            '{"version": 1, "generated_by": "x", "workflows": [1]}',
            ": workflows: expected an object, got [1]",
        ),
        ('{"version": 2}', ": version 2 is newer"),
        ('{"version": 1, "generated_by": "x", "default": "y"}', ": default: no workflow is "),
        ('{"version": 1, "generated_by": "x", "workflows": {"w": {"tier": 1e999}}}', ": workflows"),
    ],
)
def test_json_is_read_as_strictly_as_yaml(tmp_path: Path, text: str, problem: str) -> None:
    assert problems_in(tmp_path / "r.json", text)[0].startswith(problem)


def test_the_text_of_an_escape_is_no_half_of_a_character(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"version": 1, "generated_by": "\\u00e9 \\ud83d\\ude00"}')
    assert load_routes(path).generated_by == "é 😀"


def test_a_policy_is_found_upwards(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_policy(inner) == inner / "routing-policy.yaml"
    (tmp_path / "routing-policy.yaml").write_text(TEXT)
    assert find_policy(inner) == tmp_path / "routing-policy.yaml"


def test_a_verified_policy_is_as_a_run_wrote_it(tmp_path: Path) -> None:
    entry = sealed("triage", POLICY.workflows["triage"], POLICY.models)
    text = dump_policy(replace(POLICY, workflows={"triage": entry}))
    path = tmp_path / "p.yaml"
    path.write_text(text)
    assert load_policy(path, verify=True).workflows == {"triage": entry}
    line = text[: text.index("  triage:")].count("\n") + 1
    assert problems_in(path, text.replace("    tier: cheap", "    tier: dear"), verified) == (
        f":{line}: workflows.triage: the route was edited; run `calibrate run triage`",
    )
    assert load_policy(path).workflows["triage"].tier == "dear"


def verified(path: Path) -> Policy:
    return load_policy(path, verify=True)


def test_verified_routes_need_no_evidence(tmp_path: Path) -> None:
    entry = sealed("triage", POLICY.workflows["triage"], POLICY.models)
    path = tmp_path / "r.json"
    text = dump_routes(replace(POLICY, workflows={"triage": entry}))
    path.write_text(text)
    assert load_routes(path, verify=True).route("triage").alias == "small"
    path.write_text(text.replace('"name":"small-1"', '"name":"small-2"'))
    with pytest.raises(PolicyError, match="a model that the route names is not as it was"):
        load_routes(path, verify=True)


def test_the_day_of_a_loaded_policy_may_be_given(tmp_path: Path) -> None:
    override = Override("large", "frontier", "ana", "an incident", "2026-03-31")
    entry = replace(POLICY.workflows["triage"], override=override)
    path = tmp_path / "p.yaml"
    write_policy(path, replace(POLICY, workflows={"triage": entry}))
    assert load_policy(path, today=date(2026, 3, 31)).route("triage").alias == "large"
    assert load_policy(path, today=date(2026, 4, 1)).route("triage").alias == "small"


def test_reading_routes_loads_nothing_but_the_standard_library_and_yaml(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(dump_routes(POLICY))
    program = (
        "import sys; from calibrate.policy import load_routes\n"
        f"load_routes({str(tmp_path / 'r.json')!r}).route('triage')\n"
        "from importlib.metadata import packages_distributions as known\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & set(known())))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) <= {"_yaml", "calibrate", "yaml"}
