"""Several decisions that bet, computed side by side.

`bet_many` takes long for each call and little for each row: decisions that are written as
generators, which ask for p-values and are sent them, share its calls.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibrate.stats.betting import bet_many

__all__ = ["Bets", "Steps", "side_by_side"]

Floats = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bets:
    """Samples whose p-values against `mean <= this` are asked for; bets aim at `level`."""

    stakes: Floats
    mean: float
    level: float


Steps = Generator[Bets, Any, T]  # asks for p-values and is sent them


def side_by_side(runs: Sequence[Steps[T]]) -> list[T]:
    """Run several decisions side by side: `bet_many` takes long for each call, not each row."""
    done: dict[int, T] = {}
    answers: dict[int, Floats | None] = dict.fromkeys(range(len(runs)))
    while answers:
        asked: dict[tuple[int, float, float], list[tuple[int, Floats]]] = {}
        for at, answer in answers.items():
            try:
                bets = runs[at].send(answer)
            except StopIteration as end:
                done[at] = end.value
            else:
                alike = (bets.stakes.shape[1], bets.mean, bets.level)
                asked.setdefault(alike, []).append((at, bets.stakes))
        answers = {}
        for (_, mean, level), parts in asked.items():
            stakes = np.concatenate([part for _, part in parts])
            found = bet_many(stakes, mean, alpha=level).p_values
            ends = np.cumsum([len(part) for _, part in parts])[:-1]
            answers |= zip((at for at, _ in parts), np.split(found, ends), strict=True)
    return [done[at] for at in range(len(runs))]
