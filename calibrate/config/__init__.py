"""What to measure, on which models, and the bar to clear: `tiers.yaml` and the workflow files."""

from __future__ import annotations

from calibrate.config.bar import Bar
from calibrate.config.prompt import Message, Shots
from calibrate.config.signals import (
    MOST_SAMPLES,
    Agreement,
    InputSimplicity,
    NotRefused,
    SelfReported,
    SignalName,
    SignalOptions,
    Verifier,
)
from calibrate.config.tiers import Endpoint, Model, Origin, PriceRow, Tiers
from calibrate.config.traffic import Share, Traffic
from calibrate.config.workflow import Limits, Overrides, Workflow

__all__ = [
    "MOST_SAMPLES",
    "Agreement",
    "Bar",
    "Endpoint",
    "InputSimplicity",
    "Limits",
    "Message",
    "Model",
    "NotRefused",
    "Origin",
    "Overrides",
    "PriceRow",
    "SelfReported",
    "Share",
    "Shots",
    "SignalName",
    "SignalOptions",
    "Tiers",
    "Traffic",
    "Verifier",
    "Workflow",
]
