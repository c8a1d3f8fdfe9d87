"""The JSON Schema of every file format."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema_rs import Draft202012Validator, meta

import calibrate.schemas
from calibrate.cli.schema import NAMES
from calibrate.schemas import build_schema, write_schemas

PROJECT = Path(__file__).parent.parent


def validator(name: str) -> Draft202012Validator:
    text = (files("calibrate") / "schemas" / f"{name}.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))


def problems_of(name: str, value: Any) -> list[str]:
    return [error.message for error in validator(name).iter_errors(value)]


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_schema_is_what_the_records_say(name: str) -> None:
    """Where this fails: `write_schemas(Path("calibrate/schemas"))`."""
    assert (PROJECT / f"calibrate/schemas/{name}.schema.json").read_text("utf-8") == (
        build_schema(name)
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_a_schema(name: str) -> None:
    meta.validate(json.loads(build_schema(name)))


def test_all_schemas_are_written_and_no_other_file_ships(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    shipped = {path.name for path in Path(calibrate.schemas.__path__[0]).glob("*.json")}
    assert written == shipped == {f"{name}.schema.json" for name in NAMES}


def shipped_files() -> Iterator[tuple[str, Path]]:
    for path in sorted((PROJECT / "evals").glob("*.yaml")):
        yield ("tiers" if path.stem.split(".")[0] == "tiers" else "workflow"), path
    for path in sorted((PROJECT / "evals/projections").glob("*.yaml")):
        yield "projection", path
    if (PROJECT / "routing-policy.yaml").exists():
        yield "routing-policy", PROJECT / "routing-policy.yaml"


@pytest.mark.parametrize(
    ("name", "path"), [pytest.param(*found, id=found[1].name) for found in shipped_files()]
)
def test_the_shipped_projects_files_fit(name: str, path: Path) -> None:
    assert problems_of(name, yaml.safe_load(path.read_text("utf-8"))) == []


def test_the_shipped_cases_fit() -> None:
    case = validator("case")
    for path in sorted((PROJECT / "datasets").glob("*.jsonl")):
        if not path.name.endswith(".examples.jsonl"):
            for line in path.read_text("utf-8").splitlines():
                case.validate(json.loads(line))


TIERS = {
    "version": 1,
    "endpoints": {"e": {"kind": "openai"}},
    "models": {"m": {"endpoint": "e", "name": "n", "price": "auto"}},
    "tiers": {"cheap": ["m"]},
    "baseline": "cheap",
}
WORKFLOW = {
    "version": 1,
    "dataset": "datasets/d.jsonl",
    "prompt": [{"role": "user", "content": "x"}],
    "max_output_tokens": 8,
    "graders": ["exact_match", {"one_of": {"ignore_case": False}}, {"theirs": {"any": 1}}],
    "bar": {"pass_rate": 0.9},
}
CASE = {"id": "a", "input": {"x": "y"}, "expected": None}
PROJECTION = {
    "version": 1,
    "traffic": {"requests_per_day": 0, "input_tokens": 0, "output_tokens": 0},
    "prices": {"m": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 0}},
    "baseline": "m",
    "mixes": {"all": {"m": 1}},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [("tiers", TIERS), ("workflow", WORKFLOW), ("case", CASE), ("projection", PROJECTION)],
)
def test_the_smallest_file_fits(name: str, value: dict[str, Any]) -> None:
    assert problems_of(name, value) == []


@pytest.mark.parametrize(
    ("name", "value", "path", "wrong"),
    [
        ("tiers", TIERS, ["version"], 2),
        ("tiers", TIERS, ["basline"], "cheap"),
        ("tiers", TIERS, ["models", "m", "price"], "free"),
        ("tiers", TIERS, ["models", "m", "price"], {"input_usd_per_mtok": -1}),
        ("tiers", TIERS, ["models", "m", "method"], "magic"),
        ("tiers", TIERS, ["endpoints"], {}),
        ("workflow", WORKFLOW, ["bar"], {}),
        ("workflow", WORKFLOW, ["bar", "pass_rate"], 1.5),
        ("workflow", WORKFLOW, ["graders"], []),
        ("workflow", WORKFLOW, ["graders", 0], {"one_of": {"ignore_cas": True}}),
        ("workflow", WORKFLOW, ["graders", 0], {"one_of": {}, "regex": {}}),
        ("workflow", WORKFLOW, ["prompt", 0, "role"], "usr"),
        ("workflow", WORKFLOW, ["traffic"], {"requests_per_day": 1, "batch_share": 1.5}),
        ("projection", PROJECTION, ["mixes", "all", "m"], -0.5),
        ("projection", PROJECTION, ["mixes"], {}),
        ("projection", PROJECTION, ["traffic", "input_tokens"], None),
        ("projection", PROJECTION, ["prices", "m"], {"usd_per_hour": 1}),
        ("case", CASE, ["input"], 5),
        ("case", CASE, ["tags"], {"a": 1}),
        ("case", CASE, ["answer"], "x"),
        ("routing-policy", {"version": 1, "generated_by": "x"}, ["version"], 2),
        ("recording", {}, ["v"], 2),
    ],
)
def test_a_wrong_value_does_not_fit(
    name: str, value: dict[str, Any], path: list[str | int], wrong: object
) -> None:
    changed: Any = copy.deepcopy(value)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = wrong
    assert problems_of(name, changed) != []


@pytest.mark.parametrize("key", sorted(TIERS))
def test_a_tiers_file_needs_each_key(key: str) -> None:
    assert problems_of("tiers", {name: TIERS[name] for name in TIERS if name != key}) == [
        f'"{key}" is a required property'
    ]


def test_a_model_needs_a_price() -> None:
    tiers = copy.deepcopy(TIERS)
    del tiers["models"]["m"]["price"]  # type: ignore[attr-defined]
    assert problems_of("tiers", tiers) == ['"price" is a required property']
