"""Amounts a day, and the total of several workflows."""

from __future__ import annotations

from decimal import Decimal

from calibrate.projection import Amount, Basis, Line, Projection, RequestCost, saving, total

D = Decimal


def projection(name: str, baseline: Amount, route: Amount | None) -> Projection:
    lines = [Line("large", baseline, is_baseline=True)]
    lines += [] if route is None else [Line("small", route, is_route=True)]
    return Projection(name, 10, tuple(lines))


def test_an_amount_grows_with_its_interval_which_never_falls_below_nothing() -> None:
    cost = RequestCost(D("0.002"), Basis.MEASURED, D("0.003"), 5)
    day = Amount.of(cost, 1000)
    assert (day.usd, day.low, day.high) == (2, 0, 5)
    month = day.times(30)
    assert (month.usd, month.low, month.high) == (60, 0, 150)
    assert (Amount(D(1)).low, Amount(D(1)).high) == (None, None)


def test_a_trillion_requests_a_day_lose_no_cent() -> None:
    year = Amount.of(RequestCost(D("0.03012345"), Basis.STATED), 10**12).times(365)
    assert year.usd == D("10995059250000.00")


def test_a_saving_may_be_negative_and_is_unknown_against_nothing_and_ceilings() -> None:
    assert saving(Amount(D(660)), Amount(D(3000))) == D("0.78")
    assert saving(Amount(D(3)), Amount(D(2))) == D("-0.5")
    assert saving(Amount(D(0)), Amount(D(2))) == 1
    assert saving(Amount(D(1)), Amount(D(0))) is None
    assert saving(Amount(D(1)), Amount(D(2), None, True)) is None
    assert saving(Amount(D(1), None, True), Amount(D(2))) is None


def test_the_total_adds_costs_and_the_squares_of_half_widths() -> None:
    found = total(
        [
            projection("a", Amount(D(100), D(3)), Amount(D(10), D(1))),
            projection("b", Amount(D(200), D(4)), Amount(D(20))),
        ]
    )
    assert found is not None
    assert (found.name, found.requests_per_day, found.notes) == ("total", 20, ())
    assert found.baseline.day == Amount(D(300), D(5))
    assert found.route is not None
    assert found.route.day == Amount(D(30), None)  # one of them is no measured cost


def test_a_workflow_without_a_route_is_in_neither_total() -> None:
    routed = projection("a", Amount(D(100), None, True), Amount(D(10)))
    unrouted = projection("b", Amount(D(200)), None)
    found = total([routed, unrouted])
    assert found is not None
    assert [line.day for line in found.lines] == [Amount(D(100), None, True), Amount(D(10))]
    assert found.notes == ("without b: no route",)
    assert total([unrouted]) is None
