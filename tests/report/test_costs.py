from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from calibrate.completion import Failure, Usage
from calibrate.dataset import Case
from calibrate.decide import Calibration, EscalatedRoute
from calibrate.methods import SignalCost
from calibrate.policy import InputScore
from calibrate.pricing import HourlyPrice, TokenPrice
from calibrate.report.costs import CostTable, cost_table
from calibrate.report.render import render_page
from calibrate.report.route_cost import route_cost_of, route_parts
from calibrate.report.view import build_page

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
    assert (row.rests_on, row.failed) == (f"{used - 1} answers", "1, $0.50")


def test_a_failed_call_whose_cost_is_not_stored_is_not_called_free(
    calibrated: Make, outage: Failure
) -> None:
    made = calibrated({"small": [outage, *["billing", "shipping", "other"] * 20][:60]})
    (row,) = table_of(made).rows
    assert row.failed == "1, cost not stored"
    assert table_of(calibrated({"small": 0})).rows[0].failed == "none"


def test_a_signal_that_asks_again_stands_beside_the_total(calibrated: Make) -> None:
    made = calibrated({"small": 0, "medium": 0}, cases=[Case("a", {"ticket": "t"}, "billing")])
    verdict = SignalCost(1, Decimal("0.003"), 0.2)
    (first,) = made.calibration.trials["small"]
    judged = replace(first, signal_costs={"verifier": verdict})
    table = table_of(
        replace(
            made,
            calibration=replace(
                made.calibration, trials={**made.calibration.trials, "small": (judged,)}
            ),
        )
    )
    assert table.signals == ("verifier",)
    assert [row.signals for row in table.rows] == [("$3.00",), ("–",)]
    assert table.rows[0].total == "$0.01"  # as without it


def test_of_a_verdict_at_the_critical_cases_they_are_what_is_paid_for(calibrated: Make) -> None:
    cases = [Case(f"c-{i}", {"ticket": "t"}, "billing", critical=i > 7) for i in range(10)]
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    made = calibrated({"small": "other"}, cases=cases, bar=bar)
    assert table_of(made).rows[0].rests_on == "2 answers"


def test_of_a_model_that_no_verdict_needed_all_answers_count(calibrated: Make) -> None:
    rows = table_of(calibrated({"small": 0, "medium": 0})).rows
    assert [row.rests_on for row in rows] == ["22 answers", "60 answers"]


SURE = [0.9, 0.2, 0.8, None]  # the second is below the threshold, and the last has none


def escalated(calibrated: Make, signal: str, **changes: Any) -> Calibration:
    """`small` first and `large` where a signal is below 0.5 or missing, on four cases."""
    cases = [Case(f"c-{i}", {"ticket": "t"}, "billing") for i in range(4)]
    made = calibrated({"small": 0, "large": 0}, cases=cases).calibration
    small, _, large = made.task.field.candidates
    made.trials["small"] = tuple(
        replace(
            trial,
            signals={} if sure is None else {signal: sure},
            signal_costs={"verifier": SignalCost(1, Decimal("0.002"), 0.1)},
        )
        for trial, sure in zip(made.trials["small"], SURE, strict=True)
    )
    given: dict[str, Any] = {
        "cheap": small,
        "strong": large,
        "signal": signal,
        "below": 0.5,
        "escalated": 0.5,
        "break_even": 0.9,
        "alpha": 0.01,
        "cases": 4,
        "estimate": 1.0,
        "passed": 4,
        "lower_bound": 0.9,
        "cost_usd_per_request": 0.0,
        "latency_p95_s": 0.5,
        "failed_calls": 0,
    }
    route = EscalatedRoute(**{**given, **changes})
    return replace(made, decision=replace(made.decision, chosen=small, escalation=route))


def test_a_cascade_pays_for_first_answers_its_signal_and_what_it_escalates(
    calibrated: Make,
) -> None:
    made = escalated(calibrated, "verifier")
    found = route_cost_of(made)
    assert found is not None
    # 100 x $0.1/M + 2 x $0.2/M a first answer, fifty times that an escalated one
    assert (found.first, found.signal) == (Decimal("0.0104"), Decimal(2))
    assert (found.escalated, found.share) == (Decimal("0.26"), 0.5)
    assert found.total == Decimal("2.2704")
    assert [(part.name, part.how, part.usd) for part in route_parts(made)] == [
        ("First answers of small", "of every request", "$0.01"),
        ("Signal verifier", "of every request", "$2.00"),
        ("Escalation to large", "50.0 % of requests; all of them would be $0.52", "$0.26"),
        ("Total", "", "$2.27"),
    ]


def test_where_the_request_decides_nobody_pays_for_both_answers(calibrated: Make) -> None:
    found = route_cost_of(escalated(calibrated, "input_brevity"))
    assert found is not None
    assert (found.first, found.signal, found.escalated) == (
        Decimal("0.0052"),
        Decimal(0),
        Decimal("0.26"),
    )
    assert route_parts(escalated(calibrated, "input_brevity"))[0].how == "of the requests that stay"


def test_of_a_fitted_signal_the_cases_it_was_fitted_on_do_not_count(calibrated: Make) -> None:
    score = InputScore(1.0, {})
    fitted = escalated(
        calibrated, "input_simplicity", score=score, fitted_on=("c-0", "c-1"), below=0.5
    )
    found = route_cost_of(fitted)
    assert found is not None
    assert (found.share, found.first) == (0.0, Decimal("0.0104"))  # everything is simple
    hard = route_cost_of(replace_route(fitted, score=InputScore(-3.0, {})))
    assert hard is not None
    assert (hard.share, hard.escalated) == (1.0, Decimal("0.52"))


def replace_route(made: Calibration, **changes: Any) -> Calibration:
    assert made.decision.escalation is not None
    route = replace(made.decision.escalation, **changes)
    return replace(made, decision=replace(made.decision, escalation=route))


def test_a_route_to_one_model_has_no_such_parts(certified: Any) -> None:
    assert route_parts(certified.calibration) == ()


def test_the_page_shows_the_parts_of_a_cascade(calibrated: Make, certified: Any) -> None:
    text = render_page(build_page(escalated(calibrated, "verifier"), certified.project))
    assert 'aria-label="Cost of the route"' in text
    assert "On top: verifier" in text
    assert "what the attempts before an answer cost is not stored with it" in text
    plain = render_page(build_page(certified.calibration, certified.project))
    assert 'aria-label="Cost of the route"' not in plain


def test_without_an_answer_there_is_no_cost(calibrated: Make, outage: Failure) -> None:
    assert cost_table(calibrated({}).calibration) is None
    assert cost_table(calibrated({"small": outage}).calibration) is None
