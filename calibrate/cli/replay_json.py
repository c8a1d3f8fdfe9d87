"""What `calibrate replay --json` says of a task."""

from __future__ import annotations

from functools import partial
from typing import Any

from calibrate.cascade.curves import SignalQuality
from calibrate.certificate import rounded
from calibrate.cli.replay_text import cascade_sentence
from calibrate.replay import RULE, SIGNAL, Cascading, ReplayBar, Replayed, ReplayVerdict

__all__ = ["as_json"]

_REJECTED = (
    *("model", "verdict", "reason", "cases_used", "estimate", "lower_bound", "upper_bound"),
)


def as_json(found: Replayed) -> dict[str, Any]:
    """Return what `--json` says of a task, in the words of `calibrate run`."""
    return {
        "task": found.task,
        "status": found.status.value,
        "model": found.route.model,
        "route": {"model": found.route.model, "escalation": _escalation_json(found)},
        "baseline": found.baseline.model,
        "evidence": _evidence_json(found),
        "verdicts": [_verdict_json(found, verdict) for verdict in found.verdicts],
        "cost_usd_per_item": _maybe(found.route.cost_usd_per_item),
        "baseline_cost_usd_per_item": _maybe(found.baseline.cost_usd_per_item),
        "relative_cost": _maybe(found.relative_cost),
    }


def _escalation_json(found: Replayed) -> dict[str, Any] | None:
    route = found.escalation
    if route is None:
        return None
    return {"signal": SIGNAL, "below": rounded(route.below), "to": route.to}


def _evidence_json(found: Replayed) -> dict[str, Any]:
    route, relative, escalation = found.route, found.relative_cost, found.escalation
    evidence = {
        "bar": _bar_json(found.bar),
        "rule": RULE,
        "test": found.test,
        "floor": found.bar.pass_rate,
        "candidates": len(found.verdicts),
        "alpha_spent": found.bar.alpha,
        "adjusted_p_value": rounded(route.adjusted_p_value),
        "cases_used": found.cases,
        "cases": found.cases,
        "clusters": found.clusters,
        "items_left_out": found.left_out,
        "order": "name" if route.cost_usd_per_item is None else "cost",
        "passed": route.passed,
        "failed_calls": 0,
        "estimate": rounded(route.estimate),
        "lower_bound": _maybe(route.lower_bound),
        "cost_usd_per_1k_requests": _maybe(route.cost_usd_per_1k_requests),
        "cost_basis": _basis(route),
        "baseline": found.baseline.model,
        "baseline_cost_usd_per_1k_requests": _maybe(found.baseline.cost_usd_per_1k_requests),
        "baseline_cost_basis": _basis(found.baseline),
        "saving": None if relative is None else rounded(1 - relative),
        "latency_p95_s": None if escalation is None else _maybe(escalation.latency_p95_s),
        "signature": _signature(found),
        "rejected": [
            {key: row[key] for key in _REJECTED}
            for row in map(partial(_verdict_json, found), found.verdicts)
            if escalation or row["model"] != route.model
        ],
        "cases_to_settle": route.cases_to_settle,
    }
    if found.cascading is not None:
        evidence["cascades"] = _cascades_json(found, found.cascading)
    return evidence


def _bar_json(bar: ReplayBar) -> dict[str, Any]:
    parts = {"pass_rate": bar.pass_rate, "of_baseline": bar.of_baseline}
    given = {key: value for key, value in parts.items() if value is not None}
    return {**given, "baseline": bar.baseline, "confidence": bar.confidence}


def _cascades_json(found: Replayed, cascading: Cascading) -> dict[str, Any]:
    escalation = cascading.escalation
    return {
        "sentence": cascade_sentence(found, cascading),
        "escalation_rate": None if escalation is None else rounded(escalation.share),
        "break_even_rate": None if escalation is None else rounded(escalation.break_even),
        "grid": None if escalation is None else [rounded(below) for below in escalation.grid],
        "scale": f"the table's own, as in its `{SIGNAL}`",  # of the grid and the threshold
        "thresholds": cascading.thresholds,
        "tested": cascading.tested,
        "lacking": cascading.lacking,
        "signals": [
            _signal_json(verdict.model, signal)
            for verdict, signal in zip(found.verdicts, cascading.signals, strict=True)
            if signal is not None
        ],
    }


def _signal_json(model: str, signal: SignalQuality) -> dict[str, Any]:
    area = signal.auroc
    return {
        "model": model,
        "signal": SIGNAL,
        "known": rounded(signal.known),
        "worth": signal.worth,
        "auroc": None if area is None else rounded(area.estimate),
        "auroc_low": None if area is None else rounded(area.low),
        "auroc_high": None if area is None else rounded(area.high),
        "auroc_confidence": None if area is None else area.confidence,
        "over_confidence": _maybe(signal.over_confidence),
    }


def _verdict_json(found: Replayed, verdict: ReplayVerdict) -> dict[str, Any]:
    return {
        "model": verdict.model,
        "tier": None,
        "verdict": verdict.outcome.value,
        "reason": verdict.reason.value,
        "adjusted_p_value": rounded(verdict.adjusted_p_value),
        "cases_used": found.cases,
        "cases": found.cases,
        "passed": verdict.passed,
        "failed_calls": 0,
        "critical_missed": [],
        "estimate": rounded(verdict.estimate),
        "lower_bound": _maybe(verdict.lower_bound),
        "upper_bound": _maybe(verdict.upper_bound),
        "cost_usd_per_1k_requests": _maybe(verdict.cost_usd_per_1k_requests),
        "cost_basis": _basis(verdict),
        "latency_p95_s": None,
        "cases_to_settle": verdict.cases_to_settle,
    }


def _signature(found: Replayed) -> str:
    """Return the one line that names what the decision rests on, to be pasted."""
    bar = {key: value for key, value in _bar_json(found.bar).items() if key != "confidence"}
    route, escalation = found.route.model, found.escalation
    if escalation is not None:
        route += f",{SIGNAL}<{rounded(escalation.below)},{escalation.to}"
    parts = {
        "model": route,
        "n": found.cases,
        "bar": ",".join(f"{key}={value}" for key, value in bar.items()),
        "alpha": f"{found.bar.alpha:g}/{len(found.verdicts)}",
        "test": f"{found.test}-{RULE}" + ("" if found.cascading is None else "-cascades"),
    }
    return "|".join([found.task, *(f"{key}:{value}" for key, value in parts.items())])


def _basis(verdict: ReplayVerdict) -> str | None:
    return None if verdict.cost_usd_per_item is None else "measured"


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)
