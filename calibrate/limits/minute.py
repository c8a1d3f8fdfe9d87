"""At most so much in any 60 seconds."""

from __future__ import annotations

from collections import deque

__all__ = ["Minute", "Taken"]

WINDOW_S = 60.0


class Taken:
    """What was taken at one moment; it is part of the sum until it is a minute old."""

    __slots__ = ("amount", "at")

    def __init__(self, at: float, amount: int) -> None:
        self.at = at
        self.amount = amount


class Minute:
    """A limit that holds in every 60 seconds, wherever they begin, and not by the calendar."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken: deque[Taken] = deque()
        self._sum = 0

    def wait_s(self, now: float, amount: int) -> float:
        """Return how long until `amount` fits; what is over the limit waits for all the others."""
        self._forget(now)
        too_much = self._sum + amount - self.limit
        if too_much <= 0 or not self._taken:
            return 0.0
        for taken in self._taken:
            too_much -= taken.amount
            if too_much <= 0:
                break
        return taken.at + WINDOW_S - now

    def take(self, now: float, amount: int) -> Taken:
        """Count an amount from now on."""
        taken = Taken(now, amount)
        self._taken.append(taken)
        self._sum += amount
        return taken

    def correct(self, taken: Taken, amount: int) -> None:
        """Count what an amount turned out to be; nothing where its minute is over."""
        if self._taken and taken.at >= self._taken[0].at:
            self._sum += amount - taken.amount
            taken.amount = amount

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0].at <= now - WINDOW_S:
            self._sum -= self._taken.popleft().amount
