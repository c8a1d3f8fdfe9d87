"""The numbers of a page beyond its verdicts, as they go into JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from calibrate.certificate import rounded
from calibrate.decide import Calibration
from calibrate.report.breakdown import measured, tag_counts
from calibrate.report.confusion import LabelCount, label_counts
from calibrate.report.costs import ModelCost, model_costs
from calibrate.report.fields import field_counts
from calibrate.report.latency import model_latencies
from calibrate.report.route_cost import route_cost_of
from calibrate.report.sensitivity import what_would_change
from calibrate.trial import passes

__all__ = ["details"]


def details(calibration: Calibration) -> dict[str, Any]:
    """Return costs by part, latencies, and counts by tag, label and field, of each model.

    Costs are in US dollars per 1,000 requests and rest on the cases that a verdict used; all else
    rests on every answer that was asked for.
    """
    labels = label_counts(calibration)
    return {
        "answers": [
            {"model": verdict.model, "asked": len(trials), "passed": sum(map(passes, trials))}
            for verdict, trials in measured(calibration)
        ],
        "costs": list(map(_cost, model_costs(calibration))),
        "route_cost": _route_cost(calibration),
        "latency": _listed(model_latencies(calibration)),
        "tags": [
            {**asdict(one), "rate": _rate(one.passed, one.cases)} for one in tag_counts(calibration)
        ],
        "labels": _listed(labels),
        "label_totals": _label_totals(labels),
        "fields": [
            {**asdict(one), "rate": _rate(one.right, one.compared)}
            for one in field_counts(calibration)
        ],
        "what_would_change": list(what_would_change(calibration)),
    }


def _cost(cost: ModelCost) -> dict[str, Any]:
    return {
        "model": cost.model,
        "answers": cost.answers,
        "parts": {part: rounded(float(usd)) for part, usd in cost.parts.items() if usd},
        "total": rounded(float(cost.total)),
        "signals": {name: rounded(float(usd)) for name, usd in cost.signals.items()},
        "input_tokens": cost.input_tokens,
        "output_tokens": cost.output_tokens,
        "failed_calls": cost.failed_calls,
        "failed_usd": float(cost.failed_usd) if cost.failed_usd else None,
    }


def _route_cost(calibration: Calibration) -> dict[str, float] | None:
    found = route_cost_of(calibration)
    if found is None:
        return None
    return {
        "first": rounded(float(found.first)),
        "signal": rounded(float(found.signal)),
        "escalated": rounded(float(found.escalated)),
        "share": rounded(found.share),
        "strong": rounded(float(found.strong)),
        "total": rounded(float(found.total)),
    }


def _label_totals(labels: Iterable[LabelCount]) -> list[dict[str, Any]]:
    totals: dict[tuple[str, str], int] = {}
    for one in labels:
        at = one.model, one.expected
        totals[at] = totals.get(at, 0) + one.cases
    return [{"model": m, "expected": label, "cases": n} for (m, label), n in totals.items()]


def _rate(right: int, of: int) -> float | None:
    return rounded(right / of) if of else None


def _listed(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [asdict(one) for one in found]
