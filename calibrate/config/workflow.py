"""`evals/<workflow>.yaml`: one task with its prompt, graders, bar and limits."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from calibrate.config.bar import Bar
from calibrate.config.plain_json import Json
from calibrate.config.prompt import PromptItem
from calibrate.config.signals import SignalSpecs
from calibrate.config.traffic import Traffic
from calibrate.record import Money, ProjectPath, Record, Seconds

__all__ = ["Limits", "Overrides", "Workflow"]


class Limits(Record):
    """What a gateway enforces when it serves the workflow."""

    timeout_s: Seconds | None = None
    budget_usd_per_day: Money | None = None


class Overrides(Record):
    """A person's decision against the evidence, for a while; the policy shows it as such."""

    model: str = Field(description="The candidate that serves the workflow meanwhile.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    reason: str = Field(min_length=1)
    expires: date = Field(description="The last day of its use, in UTC.")


def _one_grader(value: Any) -> Any:
    options = list(value.values()) if isinstance(value, dict) else []
    if isinstance(value, str) or (len(options) == 1 and isinstance(options[0], dict | None)):
        return value
    raise ValueError("expected one grader: its name, or its name with a mapping of options")


GraderSpec = Annotated[str | dict[str, dict[str, Any] | None], BeforeValidator(_one_grader)]


class Workflow(Record):
    """`evals/<workflow>.yaml`: one LLM task of a product."""

    version: Literal[1]
    description: str = ""
    dataset: ProjectPath
    prompt: list[PromptItem] = Field(min_length=1)
    max_output_tokens: int = Field(ge=1, le=1_000_000)
    stop: list[str] | None = Field(None, min_length=1, max_length=4)
    output_schema: Json | None = None
    labels: list[str] | None = Field(None, min_length=2)
    examples: ProjectPath | None = None
    graders: list[GraderSpec] = Field(min_length=1)
    score: Literal["worst", "mean"] = "worst"  # of several graders, which counts
    signals: SignalSpecs | None = Field(
        None,
        description="What is noted of each answer for routing; where omitted, all that is free.",
    )
    bar: Bar
    tiers: list[str] | None = Field(None, min_length=1)
    repeats: int = Field(1, ge=1, le=100)
    seed: int = 0
    traffic: Traffic | None = None
    limits: Limits = Limits()
    overrides: Overrides | None = None
    max_usd: Money | None = None

    @model_validator(mode="after")
    def _one_answer_to_escalate(self) -> Workflow:
        if self.bar.cascades and self.repeats > 1:
            raise ValueError("`bar.cascades` needs `repeats: 1`: a request is escalated once")
        return self

    @model_validator(mode="after")
    def _a_cascade_to_fit_for(self) -> Workflow:
        specs = [spec for spec in self.signals or () if not isinstance(spec, str)]
        options = [spec.input_simplicity for spec in specs if spec.input_simplicity is not None]
        if any(each.fit for each in options) and not self.bar.cascades:
            raise ValueError("`signals`: input_simplicity.fit needs `bar.cascades: true`")
        return self

    @model_validator(mode="after")
    def _a_format_to_be_valid_in(self) -> Workflow:
        if "valid_format" in (self.signals or ()) and not (self.labels or self.output_schema):
            raise ValueError("`signals`: valid_format needs `labels` or `output_schema`")
        return self
