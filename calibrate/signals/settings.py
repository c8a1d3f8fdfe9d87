"""Which signals a workflow notes, and with which options."""

from __future__ import annotations

from dataclasses import dataclass

from calibrate.config import (
    Agreement,
    InputSimplicity,
    NotRefused,
    SelfReported,
    Verifier,
    Workflow,
)
from calibrate.signals.table import SIGNALS

__all__ = ["Settings", "settings_of"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The signals that are noted; those with options have them where they are noted."""

    names: frozenset[str]
    not_refused: NotRefused
    input_simplicity: InputSimplicity
    self_reported: SelfReported | None
    agreement: Agreement | None
    verifier: Verifier | None


def settings_of(workflow: Workflow) -> Settings:
    """Return a workflow's settings; without a `signals:` of its own, all that is free."""
    specs = workflow.signals
    if specs is None:
        specs = [signal.name for signal in SIGNALS.values() if signal.is_default]
    names = frozenset(spec if isinstance(spec, str) else spec.name for spec in specs)
    given = {
        spec.name: options
        for spec in specs
        if not isinstance(spec, str) and (options := getattr(spec, spec.name)) is not None
    }
    return Settings(
        names=names,
        not_refused=given.get("not_refused", NotRefused()),
        input_simplicity=given.get("input_simplicity", InputSimplicity()),
        self_reported=given.get(
            "self_reported", SelfReported() if "self_reported" in names else None
        ),
        agreement=given.get("agreement", Agreement() if "agreement" in names else None),
        verifier=given.get("verifier"),
    )
