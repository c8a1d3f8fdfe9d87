"""What noting a workflow's signals takes: a reader and, where declared, a verifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from calibrate.config import Tiers, Workflow
from calibrate.dataset import Case, Example
from calibrate.errors import ConfigError, gather
from calibrate.methods.verifying import VerifierModel, verifier_for
from calibrate.prompts import Prompt
from calibrate.signals import SignalReader, reader_for

__all__ = ["Noting", "noting_for"]


@dataclass(frozen=True, slots=True)
class Noting:
    """How the signals of a workflow are noted.

    None is paid for of the baseline's answers: a route that goes on from there costs more than
    the baseline itself.
    """

    reader: SignalReader
    verifier: VerifierModel | None = None
    baseline: str | None = None

    def __post_init__(self) -> None:
        if (self.reader.settings.verifier is None) != (self.verifier is None):
            raise ValueError("a verifier is declared, and none is ready (or the other way round)")


def noting_for(
    name: str,
    tiers: Tiers,
    workflow: Workflow,
    prompt: Prompt,
    cases: Sequence[Case],
    examples: Sequence[Example] = (),
) -> Noting:
    """Return how a workflow's signals are noted; raises `ConfigError` with all that is wrong.

    A verifier's prompt is rendered for each case, so that a template's mistake costs nothing.
    """
    place = f"evals/{name}.yaml"
    reader = reader_for(place, workflow)
    options = reader.settings.verifier
    if options is None:
        return Noting(reader, None, tiers.baseline_model)
    where = f"{place}: signals.verifier"
    verifier = verifier_for(where, name, options, tiers, workflow, examples)
    problems: list[str] = []
    for case in cases:
        gather(problems, partial(verifier.request, case, prompt.messages(case), ""))
    if problems:
        raise ConfigError(problems)
    return Noting(reader, verifier, tiers.baseline_model)
