"""Outcomes that already exist, as one matrix of scores for each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.fingerprint import seeded_order_key

__all__ = ["SignalCosts", "TaskOutcomes"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SignalCosts:
    """What each model's signal takes on top of its answer, a row a model and a column an item.

    A signal that is known `before` the call spares the call where it sends the request on.
    """

    usd: Floats
    wait_s: Floats
    before: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class TaskOutcomes:
    """What several models scored on the same items of one task.

    `scores` and `costs_usd` have one row a model and one column an item. `groups` numbers the
    items that depend on each other; an item without a group is one by itself. `costs_usd`,
    `groups` and `latencies_s` are None where the table does not have them for the whole task.
    `signals` (higher: more trust) has NaN where one is missing, and is None where all are.
    """

    task: str
    models: tuple[str, ...]
    items: tuple[str, ...]
    scores: Floats
    costs_usd: Floats | None
    groups: Codes | None
    left_out: int = 0  # items that some model lacks
    signals: Floats | None = None
    latencies_s: Floats | None = None
    signal_costs: SignalCosts | None = None  # None: the signals are free, and of the answers

    @property
    def is_binary(self) -> bool:
        """Whether every score says passed or not."""
        return bool(np.isin(self.scores, (0.0, 1.0)).all())

    def drawn(self, seed: int, cases: int | None = None) -> TaskOutcomes:
        """Return the first `cases` items (or all) of the order that `seed` and the ids fix."""
        keys = [(seeded_order_key(seed, item), item) for item in self.items]
        return self.at(sorted(range(len(keys)), key=keys.__getitem__)[:cases])

    def at(self, places: Sequence[int]) -> TaskOutcomes:
        """Return the items at these places alone, in their order."""
        chosen, costs = list(places), self.signal_costs
        if costs is not None:
            costs = replace(costs, usd=costs.usd[:, chosen], wait_s=costs.wait_s[:, chosen])
        return replace(
            self,
            items=tuple(self.items[at] for at in chosen),
            scores=self.scores[:, chosen],
            costs_usd=None if self.costs_usd is None else self.costs_usd[:, chosen],
            groups=None if self.groups is None else self.groups[chosen],
            signals=None if self.signals is None else self.signals[:, chosen],
            latencies_s=None if self.latencies_s is None else self.latencies_s[:, chosen],
            signal_costs=costs,
        )
