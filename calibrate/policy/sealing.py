"""Is an entry still what a run wrote? Digests of its parts, and figures computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from calibrate.fingerprint import digest
from calibrate.policy.records import (
    Digests,
    Evidence,
    FallbackEvidence,
    PolicyModel,
    RoutedWorkflow,
    WorkflowPolicy,
    plain,
)

__all__ = ["edits", "sealed"]

_TEXTS = {
    "route": "the route was edited",
    "models": "a model that the route names is not as it was when the route was decided",
    "evidence": "the evidence or its inputs were edited",
    "attempts": "the attempts were edited",
}
_CLOSE = 2e-6  # figures are kept to six digits
_HAIR = 1e-9


def sealed(name: str, entry: WorkflowPolicy, models: Mapping[str, PolicyModel]) -> WorkflowPolicy:
    """Return the entry with the digests of what it says, under its workflow's name."""
    return replace(entry, digests=Digests(**_digests(name, entry, models)))


def edits(
    name: str, entry: RoutedWorkflow, models: Mapping[str, PolicyModel]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what of an entry is not as a run wrote it, each with its place in the entry.

    Figures that follow from others are computed again; the digests notice every other edit, but
    anyone can compute new ones, and an entry's removal is only seen against its project.
    """
    if entry.digests is None:
        yield (), "it has no digests: an older calibrate or a person wrote it"
    else:
        now = _digests(name, entry, models)
        for item in fields(Digests):
            if item.name in now and now[item.name] != getattr(entry.digests, item.name):
                yield (), _TEXTS[item.name]
    if isinstance(entry, WorkflowPolicy):
        for key, text in _wrong_figures(entry):
            yield ("evidence", *key), text


def _digests(name: str, entry: RoutedWorkflow, models: Mapping[str, PolicyModel]) -> dict[str, str]:
    parts = {item.name: plain(getattr(entry, item.name)) for item in fields(entry)}
    kept = {key: parts.pop(key, None) for key in ("evidence", "inputs", "attempts")}
    del parts["digests"]
    found = {
        "route": digest({"workflow": name, **parts}),
        "models": digest({alias: plain(models[alias]) for _, alias in entry.named}),
    }
    if isinstance(entry, WorkflowPolicy):
        found["evidence"] = digest([kept["evidence"], kept["inputs"]])
        found["attempts"] = digest(kept["attempts"])
    return found


def _wrong_figures(entry: WorkflowPolicy) -> Iterator[tuple[tuple[str | int, ...], str]]:
    evidence = entry.evidence
    yield from _wrong_counts(evidence)
    for key, implied in (
        ("floor", _floor(evidence.bar)),
        ("estimate", _estimate(evidence)),
        ("saving", _saving(evidence)),
    ):
        given = getattr(evidence, key)
        if implied is not None and given is not None and not _is_close(given, implied):
            yield (key,), f"the evidence implies {implied:.6g}, not {given:g}"
    yield from _crossed_bounds((), evidence.estimate, evidence.lower_bound, None)
    for index, other in enumerate(evidence.rejected):
        place = ("rejected", index)
        yield from _crossed_bounds(place, other.estimate, other.lower_bound, other.upper_bound)
    for index, fallback in enumerate(evidence.when_down):
        yield from _of_fallback(("when_down", index), fallback, entry)
    is_below = evidence.estimate is not None and evidence.estimate < evidence.floor - _CLOSE
    if entry.status == "certified" and is_below:
        yield ("estimate",), "is below the floor, and yet the status is certified"


def _wrong_counts(evidence: Evidence) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not 0 <= evidence.cases_used <= evidence.cases:
        yield ("cases_used",), f"{evidence.cases_used} of {evidence.cases} cases cannot be used"
    if not 0 <= evidence.passed <= evidence.cases_used:
        yield ("passed",), f"{evidence.passed} of {evidence.cases_used} cases cannot have passed"
    confidence = evidence.bar.get("confidence")
    if isinstance(confidence, float) and not 0 < evidence.alpha_spent <= 1 - confidence + _CLOSE:
        yield ("alpha_spent",), f"is no share of the error at confidence {confidence:g}"


def _of_fallback(
    place: tuple[str | int, ...], found: FallbackEvidence, entry: WorkflowPolicy
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    to = None if entry.escalation is None else entry.escalation.to
    route = (entry.model, to, *entry.fallbacks)
    yield from _crossed_bounds(place, found.estimate, found.lower_bound, None)
    for key, aliases in (("model", (found.model,)), ("down", found.down)):
        for alias in aliases:
            if alias not in route:
                yield (*place, key), f"{alias!r} is no model of the route"
    if (found.meets_bar == "missed") != bool(found.misses):
        yield (*place, "misses"), f"does not go with {found.meets_bar!r}"
    if (found.cases == 0) != (found.meets_bar == "not_measured"):
        yield (*place, "cases"), f"{found.cases} do not go with {found.meets_bar!r}"


def _crossed_bounds(
    place: tuple[str | int, ...],
    estimate: float | None,
    lower: float | None,
    upper: float | None,
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if estimate is None:
        return
    if lower is not None and lower > estimate + _HAIR:
        yield (*place, "lower_bound"), f"{lower:g} is above the estimate of {estimate:g}"
    if upper is not None and upper < estimate - _HAIR:
        yield (*place, "upper_bound"), f"{upper:g} is below the estimate of {estimate:g}"


def _floor(bar: Mapping[str, Any]) -> float | None:
    least, tolerance = bar.get("pass_rate", bar.get("mean_score")), bar.get("tolerance", 0.0)
    if isinstance(least, float | int) and isinstance(tolerance, float | int):
        return least - tolerance
    return None


def _estimate(evidence: Evidence) -> float | None:
    """Return the share of cases that passed, where that is the estimate."""
    if evidence.test != "exact" or evidence.cases_used < 1:
        return None
    return evidence.passed / evidence.cases_used


def _saving(evidence: Evidence) -> float | None:
    baseline = evidence.baseline_cost_usd_per_1k_requests
    return 1 - evidence.cost_usd_per_1k_requests / baseline if baseline > 0 else None


def _is_close(given: float, implied: float) -> bool:
    return math.isclose(given, implied, rel_tol=_CLOSE, abs_tol=_CLOSE)
