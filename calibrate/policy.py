"""The routing policy: schema, load, dump, `route(workflow, input_tokens=…)`.

A run produces it and a service reads it, so nothing of the harness is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from calibrate.document import Document, load_document, read_text
from calibrate.errors import PolicyError, did_you_mean
from calibrate.files import replace_file
from calibrate.structure import read_structure

__all__ = [
    "Attempt",
    "Escalation",
    "Evidence",
    "Inputs",
    "Policy",
    "PolicyModel",
    "Rejected",
    "Route",
    "ServingLimits",
    "WorkflowPolicy",
    "dump_policy",
    "load_policy",
    "parse_policy",
    "write_policy",
]

VERSION = 1
DEFAULT_PATH = "routing-policy.yaml"


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
    price: dict[str, float] = field(default_factory=dict)
    origin: PolicyOrigin | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """Send a request on to `to` when `signal` is below the threshold."""

    signal: str
    below: float
    to: str


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """What a gateway enforces."""

    max_output_tokens: int
    timeout_s: float | None = None
    budget_usd_per_day: float | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield each limit that nothing could keep to."""
        if self.max_output_tokens < 1:
            yield "max_output_tokens", f"must be at least 1, got {self.max_output_tokens}"
        if self.timeout_s is not None and self.timeout_s <= 0:
            yield "timeout_s", f"must be greater than 0, got {self.timeout_s:g}"
        if self.budget_usd_per_day is not None and self.budget_usd_per_day < 0:
            yield "budget_usd_per_day", f"must not be negative, got {self.budget_usd_per_day:g}"


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
    cases_to_settle: int | None = None


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
class WorkflowPolicy:
    """One workflow's route with its evidence."""

    status: Literal["certified", "uncertified", "unmet"]
    tier: str
    model: str
    fallbacks: tuple[str, ...]
    escalation: Escalation | None
    over_context: str | None
    limits: ServingLimits
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

    @property
    def name(self) -> str:
        """The provider's name of the model."""
        return self.model.name


@dataclass(frozen=True, slots=True)
class Policy:
    """Every workflow's route."""

    version: Literal[1]
    generated_by: str
    models: dict[str, PolicyModel] = field(default_factory=dict)
    workflows: dict[str, WorkflowPolicy] = field(default_factory=dict)

    def route(self, workflow: str, *, input_tokens: int | None = None) -> Route:
        """Return where a request of `workflow` goes.

        With `input_tokens`, an input that the route's model cannot hold together with its answer
        goes to the route's `over_context` model, and fallbacks that are too small are left out.
        Raises `PolicyError` for an unknown workflow, and where no model can take the input.
        """
        found = self.workflows.get(workflow)
        if found is None:
            hint = did_you_mean(workflow, self.workflows)
            known = ", ".join(self.workflows) or "none"
            raise PolicyError(f"the policy has no workflow {workflow!r}{hint} (known: {known})")
        alias = found.model
        over_context = not self._fits(alias, found, input_tokens)
        if over_context:
            if found.over_context is None or not self._fits(
                found.over_context, found, input_tokens
            ):
                raise PolicyError(
                    f"{workflow}: no model of the policy can take {input_tokens:,} input tokens"
                )
            alias = found.over_context
        return Route(
            workflow=workflow,
            status=found.status,
            tier=found.tier,
            alias=alias,
            model=self.models[alias],
            limits=found.limits,
            fallbacks=tuple(
                self.models[name]
                for name in found.fallbacks
                if name != alias and self._fits(name, found, input_tokens)
            ),
            escalation=found.escalation,
            over_context=over_context,
        )

    def _fits(self, alias: str, found: WorkflowPolicy, input_tokens: int | None) -> bool:
        window = self.models[alias].context_window
        if input_tokens is None or window is None:
            return True
        return input_tokens + found.limits.max_output_tokens <= window


def load_policy(path: str | os.PathLike[str] = DEFAULT_PATH) -> Policy:
    """Read a policy file; raises `PolicyError` with every problem in it."""
    file = Path(path)
    if not file.exists():
        raise PolicyError(f"{path}: no such file; `calibrate run` makes a policy")
    return parse_policy(load_document(str(path), read_text(file, PolicyError), PolicyError))


def parse_policy(document: Document) -> Policy:
    """Return the policy in a document; raises `PolicyError` with every problem in it."""
    value = document.value
    if not isinstance(value, dict):
        raise PolicyError(f"{document.place}: not a routing policy")
    version = value.get("version")
    if isinstance(version, int) and version > VERSION:
        raise PolicyError(
            f"{document.place}: version {version} is newer than this calibrate understands "
            f"({VERSION}); upgrade calibrate-llm"
        )
    problems: list[str] = []
    policy = read_structure(Policy, document, problems)
    if problems or policy is None:
        raise PolicyError(problems)
    problems += [document.at(path, text) for path, text in _contradictions(policy)]
    if problems:
        raise PolicyError(problems)
    return policy


def dump_policy(policy: Policy) -> str:
    """Return the policy as YAML: the same evidence, the same bytes."""
    return yaml.dump(
        _plain(policy),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def write_policy(path: Path, policy: Policy) -> None:
    """Replace the file at once: a reader sees the old policy or the new one, never half."""
    replace_file(path, dump_policy(policy).encode())


class _Dumper(yaml.SafeDumper):
    """Never write anchors: each value stands where it is read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Unicode's own line breaks come back as spaces unless they are escaped.
    style = '"' if _LINE_BREAKS.intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_LINE_BREAKS = frozenset("\x85\u2028\u2029\ufeff")
_Dumper.add_representer(str, _text)


def _plain(value: Any) -> Any:
    """Return a record as plain values, without those that are None or empty by default."""
    if is_dataclass(value) and not isinstance(value, type):
        found = [(item, getattr(value, item.name)) for item in fields(value)]
        return {item.name: _plain(part) for item, part in found if not _is_left_out(item, part)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _is_left_out(item: Field[Any], value: Any) -> bool:
    is_empty = item.default_factory is not MISSING and not value
    return is_empty or (item.default is None and value is None)


def _contradictions(policy: Policy) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what is wrong although each value is of the right type: names, windows, limits."""
    for alias, model in policy.models.items():
        if model.context_window is not None and model.context_window < 1:
            yield ("models", alias, "context_window"), "must be at least 1"
    for name, workflow in policy.workflows.items():
        place = ("workflows", name)
        for key, text in workflow.limits.problems():
            yield (*place, "limits", key), text
        for path, used in _names(workflow):
            if used not in policy.models:
                hint = did_you_mean(used, policy.models)
                yield (*place, *path), f"no model is called {used!r}{hint}"
        if workflow.model in workflow.fallbacks:
            yield (*place, "fallbacks"), f"{workflow.model!r} falls back to itself"


def _names(workflow: WorkflowPolicy) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every model that a workflow's entry names, with its place."""
    yield ("model",), workflow.model
    for index, alias in enumerate(workflow.fallbacks):
        yield ("fallbacks", index), alias
    if workflow.escalation is not None:
        yield ("escalation", "to"), workflow.escalation.to
    if workflow.over_context is not None:
        yield ("over_context",), workflow.over_context
