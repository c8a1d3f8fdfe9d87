"""A decision as the policy's entry: the route with the evidence that it rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from calibrate import __version__
from calibrate.candidates import Candidate
from calibrate.decide import Calibration
from calibrate.drift import input_digests, serving_limits
from calibrate.gate import RULE, Reason, Verdict
from calibrate.ledger import attempts_after
from calibrate.policy import (
    Evidence,
    Inputs,
    Policy,
    PolicyModel,
    PolicyOrigin,
    Rejected,
    WorkflowPolicy,
)
from calibrate.pricing import HourlyPrice
from calibrate.project import Project
from calibrate.providers import provider

__all__ = ["Cost", "cost_of", "policy_entry", "policy_models", "rounded", "saving", "with_entry"]

_SIGNIFICANT = 6  # digits: beyond them floats of different machines may differ


@dataclass(frozen=True, slots=True)
class Cost:
    """What 1,000 requests cost, and whether that was measured or only estimated."""

    usd_per_1k: float
    basis: Literal["measured", "estimated"]
    is_ceiling: bool = False  # an hourly price before anything is timed: a call up to its time-out


def cost_of(candidate: Candidate, verdict: Verdict) -> Cost:
    """Return a candidate's cost, measured where it was asked."""
    if verdict.cost_usd_per_request is None:
        is_ceiling = isinstance(candidate.price, HourlyPrice)
        return Cost(rounded(float(candidate.estimated_usd * 1000)), "estimated", is_ceiling)
    return Cost(rounded(verdict.cost_usd_per_request * 1000), "measured")


def saving(cost: Cost, baseline: Cost) -> float | None:
    """Return the share of the baseline's cost that is saved; None where that cannot be said.

    A baseline by the hour that was never asked has a ceiling and no cost; a free one saves nothing.
    """
    if baseline.usd_per_1k == 0 or baseline.is_ceiling or cost.is_ceiling:
        return None
    return rounded(1 - cost.usd_per_1k / baseline.usd_per_1k)


def with_entry(policy: Policy, calibration: Calibration, project: Project) -> Policy:
    """Return the policy with one workflow's entry replaced, and no model that nothing uses."""
    entry = replace(
        policy_entry(calibration, project), attempts=attempts_after(calibration, project, policy)
    )
    workflows = {**policy.workflows, calibration.task.name: entry}
    models = {**policy.models, **policy_models(calibration, project)}
    used = {
        alias
        for entry in workflows.values()
        for alias in (entry.model, *entry.fallbacks, entry.over_context)
    }
    return Policy(
        version=1,
        generated_by=f"calibrate {__version__}",
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
        escalation=None,
        over_context=None if decision.over_context is None else decision.over_context.alias,
        limits=serving_limits(calibration.task),
        evidence=_evidence(calibration, inputs),
        inputs=inputs,
    )


def policy_models(calibration: Calibration, project: Project) -> dict[str, PolicyModel]:
    """Return what a gateway needs to call each model that the route may use."""
    decision = calibration.decision
    used = [decision.chosen, *decision.fallbacks]
    if decision.over_context is not None:
        used.append(decision.over_context)
    return {candidate.alias: _model(candidate, project) for candidate in used}


def rounded(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT}g}")


def _evidence(calibration: Calibration, inputs: Inputs) -> Evidence:
    task, verdict = calibration.task, calibration.decision.verdict
    by_model = {v.model: v for v in calibration.verdicts}
    baseline = task.field.baseline
    cost = cost_of(calibration.decision.chosen, verdict)
    baseline_cost = cost_of(baseline, by_model[baseline.alias])
    return Evidence(
        bar=_plain_bar(task.workflow.bar.model_dump(exclude_defaults=True)),
        rule=RULE,
        test=verdict.test,
        floor=task.workflow.bar.floor,
        candidates=len(task.field.candidates),
        alpha_spent=rounded(verdict.alpha),
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
    parts = {
        "model": verdict.model,
        "n": verdict.cases_used,
        "bar": f"{bar.measure}>={bar.floor:g}",
        "alpha": f"{rounded(verdict.alpha):g}",
        "test": f"{verdict.test}-{RULE}",
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
        price=candidate.price.to_json(),
        origin=None if origin is None else PolicyOrigin(origin.verified, origin.note),
    )


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)
