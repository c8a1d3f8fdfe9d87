"""The decision for outcomes that already exist: the full-data rule.

Nothing is asked, so nothing is saved by stopping early: each model is tested once, on all of the
items that count, in an order that the seed and the item ids fix.
"""

from __future__ import annotations

from calibrate.cascade.hypotheses import BEST, ReplayBar
from calibrate.replay.deciding import replay, replay_all
from calibrate.replay.found import (
    RULE,
    SIGNAL,
    Cascading,
    Escalation,
    Replayed,
    ReplayVerdict,
)

__all__ = [
    "BEST",
    "RULE",
    "SIGNAL",
    "Cascading",
    "Escalation",
    "ReplayBar",
    "ReplayVerdict",
    "Replayed",
    "replay",
    "replay_all",
]
