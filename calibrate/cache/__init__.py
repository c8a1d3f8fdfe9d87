"""Answers already paid for: committed recordings, above a live cache that survives a crash."""

from __future__ import annotations

from calibrate.cache.layers import Move, StoredAnswers
from calibrate.cache.live import Cache, ModelId
from calibrate.cache.recordings import Recorded, Recordings, write_recordings

__all__ = [
    "Cache",
    "ModelId",
    "Move",
    "Recorded",
    "Recordings",
    "StoredAnswers",
    "write_recordings",
]
