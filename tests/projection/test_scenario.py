"""Scenario files: what they may say, and every way in which they may be wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from calibrate.errors import ConfigError
from calibrate.projection import Stated, load_scenario, project_scenario

D = Decimal
TEXT = """\
version: 1
traffic: {requests_per_day: 1000, input_tokens: 1000, output_tokens: 0}
prices:
  small: {input_usd_per_mtok: 1, output_usd_per_mtok: 4}
  large:
    input_usd_per_mtok: 10
    output_usd_per_mtok: 40
    cached_input_usd_per_mtok: 1
    batch_discount: 0.5
baseline: large
mixes:
  half: {small: 0.5, large: 0.5}
"""


def load(folder: Path, old: str = "", new: str = ""):
    assert old in TEXT
    path = folder / "what-if.yaml"
    path.write_text(TEXT.replace(old, new) if old else TEXT)
    return load_scenario(path)


def problems(folder: Path, old: str, new: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(folder, old, new)
    return [problem.replace(str(folder), "") for problem in raised.value.problems]


def days(folder: Path, stated: Stated, old: str = "", new: str = "") -> list[Decimal]:
    found = project_scenario("x", load(folder, old, new), stated)
    return [line.day.usd for line in found.lines]


def test_a_mix_costs_its_shares_of_each_model(tmp_path: Path) -> None:
    found = project_scenario("x", load(tmp_path), Stated())
    assert (found.baseline.name, found.baseline.day.usd) == ("large", 10)
    assert found.route is None
    mix = found.lines[1]
    assert (mix.name, mix.day.usd, mix.day.half_width) == ("half", D("5.5"), None)
    assert [(part.name, part.share, part.day.usd) for part in mix.parts] == [
        ("small", D("0.5"), D("0.5")),
        ("large", D("0.5"), D(5)),
    ]


def test_discounts_are_those_of_each_model(tmp_path: Path) -> None:
    assert days(tmp_path, Stated(batch_share=D(1))) == [D(5), D(3)]
    assert days(tmp_path, Stated(cached_share=D("0.5"))) == [D("5.5"), D("3.25")]


def test_no_requests_cost_nothing(tmp_path: Path) -> None:
    assert days(tmp_path, Stated(), "requests_per_day: 1000", "requests_per_day: 0") == [0, 0]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "small: 0.5, large: 0.5",
            "small: 0.5, large: 0.45",
            "/what-if.yaml:12: mixes.half: the shares sum to 0.95 and not to 1",
        ),
        ("small: 0.5, large: 0.5", "", "/what-if.yaml:12: mixes.half: the shares sum to 0"),
        (
            "small: 0.5, large: 0.5",
            "small: -0.5, large: 1",
            "/what-if.yaml:12: mixes.half.small: expected greater than or equal to 0, got -0.5",
        ),
        (
            "small: 0.5, large: 0.5",
            "large: 1.5",
            "/what-if.yaml:12: mixes.half.large: expected less than or equal to 1, got 1.5",
        ),
        (
            "small: 0.5, large: 0.5",
            "smal: 0.5, large: 0.5",
            "/what-if.yaml:12: mixes.half.smal: no price is stated for 'smal'; "
            "did you mean 'small'?",
        ),
        (
            "baseline: large",
            "baseline: huge",
            "/what-if.yaml:10: baseline: no price is stated for 'huge'",
        ),
        (
            "requests_per_day: 1000, ",
            "",
            "/what-if.yaml:2: traffic.requests_per_day: is missing",
        ),
        (
            "requests_per_day: 1000",
            "requests_per_day: -1",
            "/what-if.yaml:2: traffic.requests_per_day: expected greater than or equal to 0",
        ),
        (
            "requests_per_day: 1000",
            "requests_per_day: 10000000000000000",
            "/what-if.yaml:2: traffic.requests_per_day: expected less than or equal to "
            "1000000000000000",
        ),
        (", output_tokens: 0", "", "/what-if.yaml:2: traffic.output_tokens: is missing"),
        (
            "input_usd_per_mtok: 10",
            "input_usd_per_mtok: .nan",
            "/what-if.yaml:6: prices.large.input_usd_per_mtok: expected",
        ),
        ("  half: {small: 0.5, large: 0.5}", "  {}", "/what-if.yaml:11: mixes: expected at least"),
        ("version: 1", "version: 2", "/what-if.yaml:1: version: is 2, and this calibrate reads 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    (problem,) = problems(tmp_path, old, new)
    assert problem.startswith(told)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "baseline: large\nmixes:\n", "baseline: lage\nmixes:\n  b: {x: 1}\n")
    assert found == [
        "/what-if.yaml:10: baseline: no price is stated for 'lage'; did you mean 'large'?",
        "/what-if.yaml:12: mixes.b.x: no price is stated for 'x'",
    ]
