"""Ask a model: recordings, cache, budget, limits, retries, journal."""

from __future__ import annotations

from calibrate.client.answers import Answer, Client, Source
from calibrate.client.costs import most_usd

__all__ = ["Answer", "Client", "Source", "most_usd"]
