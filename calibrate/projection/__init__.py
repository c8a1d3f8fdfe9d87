"""Traffic times prices: what a workflow's requests cost a day, a month and a year."""

from calibrate.projection.cost import (
    Basis,
    Call,
    RequestCost,
    Stated,
    call_usd,
    mean_cost,
    request_cost,
)
from calibrate.projection.money import (
    DAYS_A_MONTH,
    DAYS_A_YEAR,
    Amount,
    Line,
    Projection,
    saving,
    total,
)
from calibrate.projection.scenario import Scenario, load_scenario, project_scenario

__all__ = [
    "DAYS_A_MONTH",
    "DAYS_A_YEAR",
    "Amount",
    "Basis",
    "Call",
    "Line",
    "Projection",
    "RequestCost",
    "Scenario",
    "Stated",
    "call_usd",
    "load_scenario",
    "mean_cost",
    "project_scenario",
    "request_cost",
    "saving",
    "total",
]
