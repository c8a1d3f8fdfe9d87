"""A decision as the policy's entry: the route with the evidence that it rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite
from typing import Any, Literal

from calibrate import __version__
from calibrate.candidates import Candidate
from calibrate.decide import Calibration, EscalatedRoute
from calibrate.drift import input_digests, override_of, serving_limits
from calibrate.fallbacks import FallbackOutcome, fallback_outcomes
from calibrate.gate import RULE, Reason, Verdict
from calibrate.ledger import attempts_after
from calibrate.policy import (
    CascadeEvidence,
    Escalation,
    Evidence,
    FallbackEvidence,
    Inputs,
    Policy,
    PolicyModel,
    PolicyOrigin,
    Rejected,
    Scale,
    WorkflowPolicy,
    sealed,
)
from calibrate.pricing import HourlyPrice, policy_price
from calibrate.project import Project
from calibrate.providers import provider
from calibrate.signals import SIGNALS

__all__ = [
    "Cost",
    "cost_of",
    "fallback_evidence",
    "policy_entry",
    "policy_models",
    "rounded",
    "route_cost",
    "saving",
    "with_entry",
]

_SIGNIFICANT = 6  # digits: beyond them floats of different machines may differ


@dataclass(frozen=True, slots=True)
class Cost:
    """What 1,000 requests cost, and whether that was measured or only estimated."""

    usd_per_1k: float
    basis: Literal["measured", "estimated"]
    is_ceiling: bool = False  # an hourly price before anything is timed: a call up to its time-out


def cost_of(candidate: Candidate, verdict: Verdict) -> Cost:
    """Return a candidate's cost, measured where it was asked."""
    return _cost(candidate, verdict.cost_usd_per_request)


def _cost(candidate: Candidate, usd_per_request: float | None) -> Cost:
    if usd_per_request is None:
        is_ceiling = isinstance(candidate.price, HourlyPrice)
        return Cost(rounded(float(candidate.estimated_usd * 1000)), "estimated", is_ceiling)
    return Cost(rounded(usd_per_request * 1000), "measured")


def route_cost(calibration: Calibration) -> Cost:
    """Return the cost of the route: of its model, or of the cascade that begins with it."""
    decision = calibration.decision
    if decision.escalation is None:
        return cost_of(decision.chosen, decision.verdict)
    return Cost(rounded(decision.escalation.cost_usd_per_request * 1000), "measured")


def saving(cost: Cost, baseline: Cost) -> float | None:
    """Return the share of the baseline's cost that is saved; None where that cannot be said.

    A baseline by the hour that was never asked has a ceiling and no cost; a free one saves nothing.
    """
    if baseline.usd_per_1k == 0 or baseline.is_ceiling or cost.is_ceiling:
        return None
    return rounded(1 - cost.usd_per_1k / baseline.usd_per_1k)


def with_entry(policy: Policy, calibration: Calibration, project: Project) -> Policy:
    """Return the policy with one workflow's entry replaced, and no model that nothing uses."""
    name = calibration.task.name
    entry = replace(
        policy_entry(calibration, project), attempts=attempts_after(calibration, project, policy)
    )
    models = {**policy.models, **policy_models(calibration, project)}
    workflows = {**policy.workflows, name: sealed(name, entry, models)}
    used = {alias for entry in workflows.values() for _, alias in entry.named}
    default = project.tiers.default_route
    return Policy(
        version=1,
        generated_by=f"calibrate {__version__}",
        default=default if default in workflows else None,
        models={alias: models[alias] for alias in sorted(models) if alias in used},
        workflows=dict(sorted(workflows.items())),
    )


def policy_entry(calibration: Calibration, project: Project) -> WorkflowPolicy:
    """Return a workflow's entry in the policy."""
    decision, inputs = calibration.decision, input_digests(calibration.task, project)
    return WorkflowPolicy(
        status=decision.status.value,
        tier=decision.chosen.tier,
        model=decision.chosen.alias,
        fallbacks=tuple(candidate.alias for candidate in decision.fallbacks),
        escalation=_escalation(decision.escalation),
        over_context=None if decision.over_context is None else decision.over_context.alias,
        limits=serving_limits(calibration.task),
        override=override_of(calibration.task),
        evidence=_evidence(calibration, inputs),
        inputs=inputs,
    )


def fallback_evidence(calibration: Calibration) -> tuple[FallbackEvidence, ...]:
    """Return what each fallback would give, as the policy has it."""
    return tuple(map(_fallback, fallback_outcomes(calibration)))


def _fallback(found: FallbackOutcome) -> FallbackEvidence:
    cost = _cost(found.answering, found.cost_usd_per_request)
    return FallbackEvidence(
        model=found.answering.alias,
        down=tuple(candidate.alias for candidate in found.down),
        meets_bar=found.standing.value,
        cases=found.cases,
        cost_usd_per_1k_requests=cost.usd_per_1k,
        cost_basis=cost.basis,
        failed_calls=found.failed_calls,
        estimate=_maybe(found.estimate),
        lower_bound=_maybe(found.lower_bound),
        latency_p95_s=found.latency_p95_s,
        misses=found.misses,
    )


def _escalation(route: EscalatedRoute | None) -> Escalation | None:
    if route is None:
        return None
    return Escalation(
        signal=route.signal,
        below=rounded(route.below),
        to=route.strong.alias,
        scale=_scale(route.signal),
        score=route.score,
    )


def _scale(name: str) -> Scale:
    signal = SIGNALS[name]
    low, high = (float(end) if isfinite(end) else None for end in (signal.low, signal.high))
    return Scale(signal.unit, low, high)


def policy_models(calibration: Calibration, project: Project) -> dict[str, PolicyModel]:
    """Return what a gateway needs to call each model that the route may use."""
    decision, override = calibration.decision, override_of(calibration.task)
    used = [decision.chosen, *decision.fallbacks]
    if decision.over_context is not None:
        used.append(decision.over_context)
    if override is not None:
        used += [c for c in calibration.task.field.candidates if c.alias == override.model]
    return {candidate.alias: _model(candidate, project) for candidate in used}


def rounded(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT}g}")


def _evidence(calibration: Calibration, inputs: Inputs) -> Evidence:
    task, verdict = calibration.task, calibration.decision.verdict
    by_model = {v.model: v for v in calibration.verdicts}
    baseline = task.field.baseline
    cost = route_cost(calibration)
    baseline_cost = cost_of(baseline, by_model[baseline.alias])
    evidence = Evidence(
        bar=_plain_bar(task.workflow.bar.model_dump(exclude_defaults=True)),
        rule=RULE,
        test=verdict.test,
        floor=task.workflow.bar.floor,
        candidates=len(task.field.candidates),
        # Whole where it is no simple share: the report is made again from it.
        alpha_spent=rounded(verdict.alpha) if calibration.family is None else verdict.alpha,
        attempt=verdict.attempt,
        cases_used=verdict.cases_used,
        cases=verdict.cases,
        passed=verdict.passed,
        failed_calls=verdict.failed_calls,
        estimate=_maybe(verdict.estimate),
        lower_bound=_maybe(verdict.lower_bound),
        cost_usd_per_1k_requests=cost.usd_per_1k,
        cost_basis=cost.basis,
        baseline=baseline.alias,
        baseline_cost_usd_per_1k_requests=baseline_cost.usd_per_1k,
        baseline_cost_basis=baseline_cost.basis,
        saving=saving(cost, baseline_cost),
        latency_p95_s=verdict.latency_p95_s,
        signature=_signature(calibration, inputs),
        rejected=tuple(
            _rejected(other)
            for other in calibration.verdicts
            if other is not verdict and other.reason is not Reason.NOT_ASKED
        ),
        family=calibration.family,
        of_baseline=_maybe(verdict.of_baseline),
        cases_to_settle=verdict.cases_to_settle,
        when_down=fallback_evidence(calibration),
    )
    return _of_cascade(evidence, calibration)


def _of_cascade(evidence: Evidence, calibration: Calibration) -> Evidence:
    """Return the evidence with the figures of the cascade, where the route is one."""
    route, found = calibration.decision.escalation, calibration.cascades
    if route is None or found is None:
        return evidence
    return replace(
        evidence,
        rule="full",
        test="betting" if route.passed is None else "exact",
        alpha_spent=rounded(route.alpha),
        attempt=found.attempt,
        cases_used=route.cases,
        passed=round(route.estimate * route.cases) if route.passed is None else route.passed,
        failed_calls=route.failed_calls,
        estimate=rounded(route.estimate),
        lower_bound=_maybe(route.lower_bound),
        latency_p95_s=_maybe(route.latency_p95_s),
        of_baseline=None,
        cascade=CascadeEvidence(
            escalated=rounded(route.escalated),
            break_even=rounded(route.break_even),
            thresholds=found.thresholds,
            tested=found.tested,
            fitted_cases=len(route.fitted_on) or None,
        ),
        cases_to_settle=None,
    )


def _plain_bar(bar: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: float(item) if isinstance(item, Decimal) else item for key, item in bar.items()},
        "confidence": bar.get("confidence", 0.95),
    }


def _rejected(verdict: Verdict) -> Rejected:
    return Rejected(
        model=verdict.model,
        verdict=verdict.outcome.value,
        reason=verdict.reason.value,
        cases_used=verdict.cases_used,
        estimate=_maybe(verdict.estimate),
        lower_bound=_maybe(verdict.lower_bound),
        upper_bound=_maybe(verdict.upper_bound),
    )


def _signature(calibration: Calibration, inputs: Inputs) -> str:
    """Return the one line that names everything which could change the number, to be pasted."""
    verdict, bar = calibration.decision.verdict, calibration.task.workflow.bar
    route = calibration.decision.escalation
    if route is None:
        model, used, alpha = verdict.model, verdict.cases_used, verdict.alpha
        test = f"{verdict.test}-{RULE}"
    else:
        model = f"{route.cheap.alias},{route.signal}<{rounded(route.below):g},{route.strong.alias}"
        used, alpha = route.cases, route.alpha
        test = f"{'betting' if route.passed is None else 'exact'}-full-cascades"
    parts = {
        "model": model,
        "n": used,
        "bar": f"{bar.measure}>={bar.floor:g}",
        "alpha": f"{rounded(alpha):g}",
        "test": test,
        "graders": _short(inputs.graders),
        "data": _short(inputs.dataset),
        "prompt": _short(inputs.prompt),
        "prices": _short(inputs.prices),
        "procedure": inputs.procedure,
    }
    return "|".join([calibration.task.name, *(f"{key}:{value}" for key, value in parts.items())])


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _model(candidate: Candidate, project: Project) -> PolicyModel:
    model, endpoint = candidate.model, project.tiers.endpoints[candidate.model.endpoint]
    origin = model.origin
    return PolicyModel(
        endpoint=model.endpoint,
        kind=candidate.kind,
        name=model.name,
        base_url=endpoint.base_url or provider(candidate.kind).DEFAULT_BASE_URL,
        api_key_env=endpoint.api_key_env,
        method=model.method,
        context_window=candidate.context_window,
        parameters=model.parameters,
        price=policy_price(candidate.price),
        origin=None if origin is None else PolicyOrigin(origin.verified, origin.note),
    )


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)
