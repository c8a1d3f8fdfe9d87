from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from calibrate.completion import Failure, Usage
from calibrate.dataset import Case
from calibrate.pricing import HourlyPrice, TokenPrice
from calibrate.report.costs import CostTable, cost_table

Make = Callable[..., Any]


def table_of(sample: Any) -> CostTable:
    table = cost_table(sample.calibration)
    assert table is not None
    return table


def with_price(sample: Any, price: Any, **changes: Any) -> Any:
    """Return the sample with another price of its first model, and its answers changed."""
    task = sample.calibration.task
    first, *others = task.field.candidates
    field = replace(task.field, candidates=(replace(first, price=price), *others))
    trials = {
        model: tuple(replace(trial, **changes) for trial in found)
        for model, found in sample.calibration.trials.items()
    }
    calibration = replace(sample.calibration, task=replace(task, field=field), trials=trials)
    return replace(sample, calibration=calibration)


def test_the_parts_of_a_row_add_up_to_the_cost_that_decides(certified: Any) -> None:
    table = table_of(certified)
    assert table.parts == ("Input", "Output")
    # 100 x $0.1/M and 2 x $0.2/M a request; ten times that
    assert [(row.model, *row.parts, row.total) for row in table.rows] == [
        ("small", "$0.01", "$0.0004", "$0.01"),
        ("medium", "$0.10", "$0.004", "$0.10"),
    ]
    assert [row.rests_on for row in table.rows] == ["6 answers", "43 answers"]
    assert [row.tokens for row in table.rows] == ["100 in, 2 out"] * 2


def test_what_a_cache_gave_and_took_stands_apart(calibrated: Make) -> None:
    price = TokenPrice(Decimal(10), Decimal(100), Decimal(1), Decimal(20))
    usage = Usage(1000, 10, cached_input_tokens=500, cache_write_tokens=100)
    made = calibrated({"small": 0}, cases=[Case("a", {"ticket": "t"}, "billing")])
    cost = price.cost(usage, 0.1)
    table = table_of(with_price(made, price, usage=usage, cost_usd=cost))
    assert table.parts == ("Input", "Cached input", "Cache writes", "Output")
    # 400 x $10/M, 500 x $1/M, 100 x $20/M and 10 x $100/M, of 1,000 requests
    assert table.rows[0].parts == ("$4.00", "$0.50", "$2.00", "$1.00")
    assert table.rows[0].total == "$7.50"
    assert table.rows[0].rests_on == "1 answer"


def test_a_machine_by_the_hour_costs_time(calibrated: Make) -> None:
    price = HourlyPrice(Decimal(36), 1)  # a cent a second
    made = calibrated({"small": 0}, cases=[Case("a", {"ticket": "t"}, "billing")])
    table = table_of(with_price(made, price, latency_s=0.5, cost_usd=Decimal("0.005")))
    assert (table.parts, table.rows[0].parts) == (("Machine time",), ("$5.00",))


def test_what_a_provider_charges_beyond_its_tokens_is_not_hidden(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=[Case("a", {"ticket": "t"}, "billing")])
    price = TokenPrice(Decimal(10), Decimal(0))
    table = table_of(with_price(made, price, usage=Usage(100, 0), cost_usd=Decimal("0.003")))
    assert table.parts == ("Input", "Other charges")
    assert table.rows[0].parts == ("$1.00", "$2.00")


def test_calls_without_an_answer_are_counted_apart(calibrated: Make, outage: Failure) -> None:
    made = calibrated({"small": [outage, *["billing", "shipping", "other"] * 20][:60]})
    used = made.calibration.verdicts[0].cases_used
    first, *others = made.calibration.trials["small"]
    paid = {"small": (replace(first, cost_usd=Decimal("0.5")), *others)}
    (row,) = table_of(replace(made, calibration=replace(made.calibration, trials=paid))).rows
    assert (row.rests_on, row.failed) == (f"{used - 1} answers", "$0.50")


def test_of_a_verdict_at_the_critical_cases_they_are_what_is_paid_for(calibrated: Make) -> None:
    cases = [Case(f"c-{i}", {"ticket": "t"}, "billing", critical=i > 7) for i in range(10)]
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    made = calibrated({"small": "other"}, cases=cases, bar=bar)
    assert table_of(made).rows[0].rests_on == "2 answers"


def test_of_a_model_that_no_verdict_needed_all_answers_count(calibrated: Make) -> None:
    rows = table_of(calibrated({"small": 0, "medium": 0})).rows
    assert [row.rests_on for row in rows] == ["22 answers", "60 answers"]


def test_without_an_answer_there_is_no_cost(calibrated: Make, outage: Failure) -> None:
    assert cost_table(calibrated({}).calibration) is None
    assert cost_table(calibrated({"small": outage}).calibration) is None
