"""What a policy is made of; nothing here reads, writes or decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, Literal

from calibrate.policy.escalation import Escalation, InputScore, Scale
from calibrate.policy.price import PolicyPrice

__all__ = [
    "VERSION",
    "Attempt",
    "CascadeEvidence",
    "Digests",
    "Escalation",
    "Evidence",
    "FallbackEvidence",
    "InputScore",
    "Inputs",
    "Override",
    "PolicyModel",
    "PolicyOrigin",
    "Rejected",
    "Route",
    "RoutedWorkflow",
    "Scale",
    "ServingLimits",
    "WorkflowPolicy",
    "plain",
]

VERSION = 1


@dataclass(frozen=True, slots=True)
class PolicyOrigin:
    """Where self-hosted weights came from, as `tiers.yaml` says."""

    verified: bool
    note: str


@dataclass(frozen=True, slots=True)
class PolicyModel:
    """What a gateway needs to call a model. The key stays in the environment."""

    endpoint: str
    kind: str
    name: str
    base_url: str | None = None
    api_key_env: str | None = None
    method: Literal["chat", "nearest_example"] = "chat"
    context_window: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    price: PolicyPrice | None = None
    origin: PolicyOrigin | None = None


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """What a gateway enforces."""

    max_output_tokens: int
    timeout_s: float | None = None
    budget_usd_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """A person's decision against the evidence, as the workflow file has it.

    `expires` is the last day of its use, in UTC, as `YYYY-MM-DD`.
    """

    model: str
    tier: str
    owner: str
    reason: str
    expires: str


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of an entry's parts as they were decided, so that an edited one is noticed.

    Anyone can compute them: they are no signature.
    """

    route: str
    models: str  # those that the route names
    evidence: str  # and its inputs
    attempts: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate that was looked at and not chosen, and why."""

    model: str
    verdict: Literal["certified", "failed", "undecided"]
    reason: str
    cases_used: int
    estimate: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None


@dataclass(frozen=True, slots=True)
class FallbackEvidence:
    """What `model` gives when the models in `down` give no answer, replayed from stored answers.

    The figures describe and promise nothing beyond a verdict: `certified` is that of the gate;
    `missed` names in `misses` the parts of the bar that the answers are short of as they stand;
    `undecided` misses none of them, or had too many failed calls to tell. `lower_bound` is
    one-sided at the model's own share of the error.
    """

    model: str
    down: tuple[str, ...]
    meets_bar: Literal["certified", "undecided", "missed", "not_measured"]
    cases: int
    cost_usd_per_1k_requests: float
    cost_basis: Literal["measured", "estimated"]
    failed_calls: int = 0
    estimate: float | None = None
    lower_bound: float | None = None
    latency_p95_s: float | None = None
    misses: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class CascadeEvidence:
    """What a cascade's figures rest on: the share that escalates, and the thresholds tried.

    At the share `break_even` it would cost as much as the stronger model by itself. A signal with
    fitted weights was fitted on `fitted_cases` further ones, which no figure counts.
    """

    escalated: float
    break_even: float
    thresholds: int
    tested: int
    fitted_cases: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a route rests on. Bounds are one-sided at `alpha_spent`."""

    bar: dict[str, Any]
    rule: Literal["sequential", "full"]
    test: Literal["exact", "betting"] = field(default="exact", kw_only=True)
    floor: float
    candidates: int
    alpha_spent: float
    attempt: int = field(default=1, kw_only=True)
    cases_used: int
    cases: int
    passed: int
    failed_calls: int
    estimate: float | None
    lower_bound: float | None
    cost_usd_per_1k_requests: float
    cost_basis: Literal["measured", "estimated"]
    baseline: str
    baseline_cost_usd_per_1k_requests: float
    baseline_cost_basis: Literal["measured", "estimated"]
    saving: float | None
    latency_p95_s: float | None
    signature: str
    rejected: tuple[Rejected, ...] = ()
    family: Literal["holm", "bh"] | None = None  # decided with others, at one error for all
    of_baseline: float | None = None  # the share of its quality, on the same cases
    cascade: CascadeEvidence | None = None  # the route is a cascade, and the figures are its own
    cases_to_settle: int | None = None
    when_down: tuple[FallbackEvidence, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Digests of everything that determined the route, by kind."""

    prompt: str
    dataset: str
    graders: str
    models: str
    prices: str
    bar: str
    procedure: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to certify a model: what was claimed, on which evidence, and what came of it.

    Another attempt at the same claim after one that did not certify has less error to spend.
    """

    model: str
    number: int
    verdict: Literal["certified", "failed", "undecided"]
    claim: str
    evidence: str


@dataclass(frozen=True, slots=True)
class RoutedWorkflow:
    """One workflow's route: what a service needs of its entry."""

    status: Literal["certified", "uncertified", "unmet"]
    tier: str
    model: str
    fallbacks: tuple[str, ...]
    escalation: Escalation | None
    over_context: str | None
    limits: ServingLimits
    override: Override | None = field(default=None, kw_only=True)
    digests: Digests | None = field(default=None, kw_only=True)

    @property
    def named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Every model that the entry names, with its place in it."""
        yield ("model",), self.model
        for index, alias in enumerate(self.fallbacks):
            yield ("fallbacks", index), alias
        if self.escalation is not None:
            yield ("escalation", "to"), self.escalation.to
        if self.over_context is not None:
            yield ("over_context",), self.over_context
        if self.override is not None:
            yield ("override", "model"), self.override.model


@dataclass(frozen=True, slots=True)
class WorkflowPolicy(RoutedWorkflow):
    """One workflow's route with its evidence."""

    evidence: Evidence
    inputs: Inputs
    attempts: tuple[Attempt, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Route:
    """Where one request goes."""

    workflow: str
    status: str
    tier: str
    alias: str
    model: PolicyModel
    limits: ServingLimits
    fallbacks: tuple[PolicyModel, ...]
    escalation: Escalation | None
    over_context: bool  # the chosen model's window was too small for this input
    override: Override | None = None  # in force: a person's decision, and not the evidence's

    @property
    def name(self) -> str:
        """The provider's name of the model."""
        return self.model.name

    def input_signals(self, contents: Sequence[str]) -> dict[str, float]:
        """Return the signal that the route goes by, where it is the request's and not the answer's.

        `contents` are those of the request's messages, the last one being the input. By what is
        returned `should_escalate` says whom to ask, before anyone is. It is empty where a route
        goes by the answer, or is not escalated at all. Raises `TypeError` for a single text.
        """
        if isinstance(contents, str):
            raise TypeError("expected a list of texts, one a message, and got a single text")
        found = self.escalation
        if found is None or not found.is_before_call:
            return {}
        if found.signal == "input_brevity":
            from calibrate.policy.inputs import estimated_tokens

            return {found.signal: -float(estimated_tokens(contents))}
        return dict(found.completed({}, contents))

    def should_escalate(self, signals: Mapping[str, float]) -> bool:
        """Return whether an answer with these signals goes on to `escalation.to`.

        That is where `Escalation.reason` has one: the signal is below the threshold, missing, not
        a number, or on another scale. Where the route has no escalation, or another model
        answered than the one it was calibrated for, nothing is escalated.
        """
        if self.escalation is None or self.over_context or self.override is not None:
            return False
        return self.escalation.reason(signals) is not None


def plain(value: Any) -> Any:
    """Return a record as plain values, without those that are None or empty by default."""
    if is_dataclass(value) and not isinstance(value, type):
        found = [(item, getattr(value, item.name)) for item in fields(value)]
        return {item.name: plain(part) for item, part in found if not _is_left_out(item, part)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _is_left_out(item: Field[Any], value: Any) -> bool:
    is_empty = item.default_factory is not MISSING and not value
    return is_empty or (item.default is None and value is None)
