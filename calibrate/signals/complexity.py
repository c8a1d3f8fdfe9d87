"""How much each feature of an input counts in `input_simplicity`, as a workflow has it."""

from __future__ import annotations

from collections.abc import Mapping

from calibrate.config import InputSimplicity
from calibrate.errors import ConfigError, did_you_mean
from calibrate.policy.inputs import FEATURES

__all__ = ["weights_of"]


def weights_of(place: str, options: InputSimplicity) -> Mapping[str, float]:
    """Return the weight of each feature that counts; raises `ConfigError` for unknown names."""
    if options.weights is None:
        return dict.fromkeys(FEATURES, 1 / len(FEATURES))
    problems = [
        f"{place}.weights.{name}: no feature is called so{did_you_mean(name, FEATURES)} "
        f"(known: {', '.join(FEATURES)})"
        for name in options.weights
        if name not in FEATURES
    ]
    if problems:
        raise ConfigError(problems)
    return options.weights
