"""Charts as specifications: what is drawn where, without drawing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from calibrate.gate import Outcome
from calibrate.report.chart import Chart, label
from calibrate.report.costs import cost_table
from calibrate.report.frontier import frontier_of
from calibrate.report.latency import latency_chart

Make = Callable[..., Any]


def layers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every layer that draws, with the data that it inherits."""
    for layer in spec["layer"]:
        if "layer" in layer:
            yield from ({"data": layer["data"], **inner} for inner in layers(layer))
        else:
            yield layer


def rows(chart: Chart, kind: str, field: str, of: str = "y") -> list[Mapping[str, Any]]:
    """Return the data of the layer of this mark that draws this field."""
    found = [
        layer
        for layer in layers(chart.spec)
        if layer["mark"]["type"] == kind
        and layer.get("encoding", {}).get(of, {}).get("field") == field
    ]
    return [row for layer in found for row in layer["data"]["values"]]


def test_the_frontier_has_each_rate_with_its_bounds_at_its_cost(certified: Any) -> None:
    chart = frontier_of(certified.calibration).chart
    assert chart is not None
    points = rows(chart, "point", "rate")
    assert [(p["label"], p["shape"]) for p in points] == [("medium", "good"), ("small", "bad")]
    for point, verdict in zip(points, certified.calibration.verdicts[1::-1], strict=True):
        assert point["rate"] == verdict.estimate
        assert (point["low"], point["high"]) == (verdict.lower_bound, verdict.upper_bound)
    # 100 x $1/M + 2 x $2/M a request, and a tenth of it for the small one
    assert [p["cost"] for p in points] == [pytest.approx(0.104), pytest.approx(0.0104)]
    assert rows(chart, "rule", "low") != []
    assert chart.title == (
        "Bar 80.0 %. small: 16.7 %, from 0.3 % to 67.9 %, at $0.01 per 1,000 requests; "
        "medium: 95.3 %, from 82.9 % to 99.6 %, at $0.10 per 1,000 requests."
    )


def test_the_bar_is_a_line_with_its_number(certified: Any) -> None:
    chart = frontier_of(certified.calibration).chart
    assert chart is not None
    texts = [
        row
        for layer in layers(chart.spec)
        if layer["mark"]["type"] == "text"
        for row in layer["data"]["values"]
    ]
    assert {"low": 0.8, "label": "bar 80.0 %"} in texts


def test_a_model_without_a_rate_has_no_place_and_says_why(certified: Any, calibrated: Make) -> None:
    assert frontier_of(certified.calibration).without == ("large (not asked)",)
    nothing = frontier_of(calibrated({"small": 0}, asked=0).calibration)
    assert nothing.chart is None
    assert nothing.without[0] == "small (no case yet)"


def test_costs_that_are_far_apart_are_on_a_logarithmic_scale(
    certified: Any, calibrated: Make
) -> None:
    def scale(sample: Any) -> Mapping[str, Any]:
        chart = frontier_of(sample.calibration).chart
        assert chart is not None
        (found,) = {
            str(layer["encoding"]["x"]["scale"]): layer["encoding"]["x"]["scale"]
            for layer in layers(chart.spec)
            if layer["mark"]["type"] == "text" and "scale" in layer["encoding"]["x"]
        }.values()
        return found

    assert scale(certified)["type"] == "log"
    one = scale(calibrated({"small": 0}))
    assert "type" not in one
    assert one["domain"][0] == 0


def test_names_that_would_lie_on_each_other_become_numbers(calibrated: Make) -> None:
    apart = frontier_of(calibrated({"small": 1, "medium": 30}).calibration)
    assert not apart.numbered
    made = calibrated({"small": 1, "medium": 1, "large": 0}).calibration
    verdicts = tuple(replace(v, cost_usd_per_request=0.001) for v in made.verdicts)
    together = frontier_of(replace(made, verdicts=verdicts))
    assert together.numbered
    assert together.chart is not None
    assert {p["label"] for p in rows(together.chart, "point", "rate")} == {"1", "2", "3"}


def test_free_models_have_a_place_on_the_scale(calibrated: Make) -> None:
    made = calibrated({"small": 0}).calibration
    free = replace(made.verdicts[0], cost_usd_per_request=0.0)
    chart = frontier_of(replace(made, verdicts=(free, *made.verdicts[1:]))).chart
    assert chart is not None
    assert rows(chart, "point", "rate")[0]["cost"] == 0.0


def test_latency_has_a_lane_a_model_and_its_target(calibrated: Make) -> None:
    bar = {"pass_rate": 0.8, "latency_p95_s": 0.5}
    chart = latency_chart(calibrated({"small": 2, "medium": 0}, bar=bar).calibration)
    assert chart is not None
    lanes = rows(chart, "rule", "p5", "x")
    assert [lane["model"] for lane in lanes] == ["small", "medium"]
    assert {lane[name] for lane in lanes for name in ("p5", "p50", "p95", "longest")} == {0.25}
    assert rows(chart, "rule", "target", "x") == [{"target": 0.5}]
    assert chart.title.endswith("the target is a p95 of 500 ms.")


def test_where_nothing_took_time_there_is_no_distribution(calibrated: Make) -> None:
    assert latency_chart(calibrated({"small": 0}, latency_s=0.0).calibration) is None
    assert latency_chart(calibrated({}).calibration) is None


def test_a_latency_that_was_not_measured_has_no_lane(calibrated: Make) -> None:
    made = calibrated({"small": 2, "medium": 0}).calibration
    made.trials["small"] = tuple(replace(t, latency_s=None) for t in made.trials["small"])
    chart = latency_chart(made)
    assert chart is not None
    assert [lane["model"] for lane in rows(chart, "rule", "p5", "x")] == ["medium"]


def test_costs_are_stacked_in_the_order_of_the_table(certified: Any) -> None:
    table = cost_table(certified.calibration)
    assert table is not None
    (bars,) = list(layers(table.chart.spec))
    assert [(b["model"], b["part"], b["order"]) for b in bars["data"]["values"]] == [
        ("small", "Input", 0),
        ("small", "Output", 1),
        ("medium", "Input", 0),
        ("medium", "Output", 1),
    ]
    # 1,000 x 100 x $1/M and 1,000 x 2 x $2/M
    assert [b["usd"] for b in bars["data"]["values"][2:]] == [0.1, 0.004]


def test_every_state_has_a_shape_besides_its_colour(calibrated: Make) -> None:
    made = calibrated({"small": 1, "medium": 8, "large": 0}).calibration
    assert {v.outcome for v in made.verdicts} == set(Outcome)
    chart = frontier_of(made).chart
    assert chart is not None
    shapes = {
        layer["mark"]["shape"]: layer["mark"]["color"]
        for layer in layers(chart.spec)
        if layer["mark"]["type"] == "point"
    }
    assert shapes == {"circle": "var(--good)", "square": "var(--bad)", "diamond": "var(--open)"}


def test_a_label_is_bounded_and_shows_what_cannot_be_seen() -> None:
    assert label("small") == "small"
    assert label("a\u202eb\x00") == "a⟨U+202E⟩b␀"
    assert label("x" * 200) == "x" * 39 + "…"
