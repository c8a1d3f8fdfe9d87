"""How fast a model answers, and how long what is left of it may take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf

__all__ = ["Pace", "Pacer", "Seen"]

WINDOW_S = 10.0
LEAST_S = 1.0  # of less, a pace says nothing
WAVES = 4  # of as many answers as are in flight: then a model's own pace is all that counts


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it goes; None where that cannot be said yet."""

    requests_per_s: float | None = None
    left_s: float | None = None  # at most: a verdict may fall before the last case


@dataclass(frozen=True, slots=True)
class Seen:
    """What had been counted of a model at a time: requests that ended, and cases answered."""

    at: float
    requests: int
    answered: int


class Pacer:
    """Measures the pace of one model over about the last ten seconds in which it was looked at.

    A model whose answers are only beginning to come has the pace that the run had before it, but
    never a faster one than what is in flight allows; its own takes over as they come. Where there
    was none before it, the time that is left is not told until as much has come as is in flight.
    """

    def __init__(self) -> None:
        self._window: deque[Seen] = deque()
        self._began = Seen(0.0, 0, 0)
        self._before: float | None = None  # answers a second
        self._gone_at = -inf

    def come(self, seen: Seen, answers_per_s: float | None) -> None:
        """The model is asked from now on, in a run that had this pace until now, if it had one.

        Where it was asked a moment ago, the run goes to and fro: the time elsewhere counts, too.
        """
        if seen.at - self._gone_at > WINDOW_S:
            self._window = deque([seen])
            self._began = seen
            self._before = self._before or answers_per_s

    def go(self, seen: Seen) -> float | None:
        """Another model is asked from now on; return the answers a second of this one at last."""
        self._gone_at = seen.at
        self._before = self._own(seen) or self._before
        return self._before

    def pace(self, seen: Seen, *, left: int, in_flight: int) -> Pace:
        """Look at the model while it is asked; `left` are the cases that it may still take."""
        self._window.append(seen)
        while len(self._window) > 1 and self._window[1].at <= seen.at - WINDOW_S:
            self._window.popleft()
        first = self._window[0]
        elapsed_s = seen.at - first.at
        requests_per_s = None
        if elapsed_s >= LEAST_S:
            requests_per_s = (seen.requests - first.requests) / elapsed_s
        rate = self._rate(seen, in_flight)
        return Pace(requests_per_s, left / rate if rate else None)

    def _rate(self, seen: Seen, in_flight: int) -> float | None:
        """Return the answers a second by which to expect those that are left."""
        own, came = self._own(seen), seen.answered - self._began.answered
        if self._before is None:
            return own if came >= in_flight else None
        first = self._window[0]
        elapsed_s = seen.at - first.at
        most = (seen.answered - first.answered + in_flight) / elapsed_s if elapsed_s else inf
        likely = min(self._before, most)
        if own is None:
            return likely
        trust = min(1.0, came / (WAVES * max(in_flight, 1)))
        return trust * own + (1 - trust) * likely

    def _own(self, seen: Seen) -> float | None:
        first = self._window[0]
        elapsed_s = seen.at - first.at
        return (seen.answered - first.answered) / elapsed_s if elapsed_s >= LEAST_S else None
