"""The bar that a route must clear, and how sure one must be of it."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from calibrate.record import Rate, Record, Seconds

__all__ = ["Bar"]


class Bar(Record):
    """The least that is acceptable: a pass rate, or a mean score."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["pass_rate"]}, {"required": ["mean_score"]}]}
    )

    pass_rate: Rate | None = None
    mean_score: Rate | None = None
    tolerance: float = Field(0.0, ge=0, lt=1)
    of_baseline: Rate | None = None
    confidence: float = Field(0.95, gt=0.5, lt=1)
    critical: Literal["must_pass"] | None = None
    slices: dict[str, Rate] = Field(default_factory=dict)
    latency_p95_s: Seconds | None = None
    cascades: bool = False

    @model_validator(mode="after")
    def _one_positive_floor(self) -> Bar:
        if (self.pass_rate is None) == (self.mean_score is None):
            raise ValueError("give either `pass_rate` or `mean_score`")
        if self.tolerance >= self.least:
            raise ValueError(f"`tolerance` must be smaller than `{self.measure}`")
        return self

    @property
    def measure(self) -> Literal["pass_rate", "mean_score"]:
        """What the bar is about: the share of cases that pass, or their mean score."""
        return "mean_score" if self.pass_rate is None else "pass_rate"

    @property
    def least(self) -> float:
        """The bar itself, before any tolerance."""
        return self.pass_rate or self.mean_score or 0.0

    @property
    def floor(self) -> float:
        """What is tested: a route at or below this must not be certified."""
        return round(self.least - self.tolerance, 12)

    @property
    def alpha(self) -> float:
        return round(1 - self.confidence, 12)
