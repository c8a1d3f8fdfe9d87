"""Providers' batch APIs: a round of requests is handed in as a whole, and collected later."""

from __future__ import annotations

from calibrate.batches.api import Outcome, Remote
from calibrate.batches.journal import Batch, Journal
from calibrate.batches.post import Post
from calibrate.batches.results import Collected, Keep
from calibrate.batches.rounds import Detached, Rounds

__all__ = [
    "Batch",
    "Collected",
    "Detached",
    "Journal",
    "Keep",
    "Outcome",
    "Post",
    "Remote",
    "Rounds",
]
