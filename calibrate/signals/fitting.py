"""Fit the score of an input's features on some cases, and keep the others to certify it on.

A signal that was fitted on a case knows that case's grade, so a bound over it would be too good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibrate.fingerprint import seeded_order_key
from calibrate.policy import InputScore
from calibrate.policy.inputs import DIGITS, FEATURES

__all__ = ["Split", "fit_simplicity", "split_by_group"]

RIDGE = 1.0  # about one case's worth of doubt; features are from 0 to 1


@dataclass(frozen=True, slots=True)
class Split:
    """The places of the cases to fit on, and of those to certify on."""

    fit: tuple[int, ...]
    certify: tuple[int, ...]


def split_by_group(
    ids: Sequence[str],
    groups: Sequence[str | None],
    texts: Sequence[str],
    *,
    seed: int,
    share: float = 0.3,
) -> Split:
    """Return a split fixed by the seed and the ids, about a `share` of the cases to fit on.

    Cases of one group, and cases of the same text, are on one side: each tells of the others.
    """
    units = _units(groups, texts)
    order = sorted(
        units, key=lambda unit: seeded_order_key(seed, f"fit {min(ids[at] for at in unit)}")
    )
    fit: list[int] = []
    for unit in order:
        is_nearer = len(fit) + len(unit) / 2 <= share * len(ids)
        if is_nearer and len(fit) + len(unit) < len(ids):
            fit += unit
    rest = set(range(len(ids))) - set(fit)
    return Split(tuple(sorted(fit)), tuple(sorted(rest)))


def fit_simplicity(
    features: Sequence[Mapping[str, float]], scores: Sequence[float], split: Split
) -> InputScore:
    """Return the ridge regression of the scores on the features, fitted on `split.fit` alone.

    Scores of the other cases are not looked at; whatever they are, the result is the same.
    """
    if not split.fit:
        raise ValueError("no case to fit on")
    names = list(FEATURES)
    x = np.array([[features[at][name] for name in names] for at in split.fit])
    y = np.array([scores[at] for at in split.fit], dtype=np.float64)
    centred = x - x.mean(axis=0)
    slope = np.linalg.solve(
        centred.T @ centred + RIDGE * np.eye(len(names)), centred.T @ (y - y.mean())
    )
    weights = {name: round(-float(b), DIGITS) + 0.0 for name, b in zip(names, slope, strict=True)}
    return InputScore(round(float(y.mean() - x.mean(axis=0) @ slope), DIGITS), weights)


def _units(groups: Sequence[str | None], texts: Sequence[str]) -> list[list[int]]:
    """Return the cases that hang together, by a common group or text, in chains too."""
    head = list(range(len(groups)))

    def found(at: int) -> int:
        while head[at] != at:
            head[at] = head[head[at]]
            at = head[at]
        return at

    first: dict[tuple[str, str], int] = {}
    for at, (group, text) in enumerate(zip(groups, texts, strict=True)):
        shared = [("text", text)] if group is None else [("text", text), ("group", group)]
        for key in shared:
            head[found(at)] = found(first.setdefault(key, at))
    units: dict[int, list[int]] = {}
    for at in range(len(groups)):
        units.setdefault(found(at), []).append(at)
    return list(units.values())
