"""How much of one thing, requests or tokens, may be asked: by the project, and by the server."""

from __future__ import annotations

from dataclasses import dataclass

from calibrate.limits.minute import Minute, Taken
from calibrate.limits.notice import Left

__all__ = ["Quota", "Share"]


@dataclass(frozen=True, slots=True)
class Share:
    """What one request took, and how much had been taken when it began, itself included."""

    taken: Taken | None
    so_far: int


class Quota:
    """A limit a minute of our own, where there is one, and what the server last said of its own."""

    def __init__(self, per_minute: int | None) -> None:
        self._minute = None if per_minute is None else Minute(per_minute)
        self._so_far = 0
        self._left: int | None = None
        self._whole_at = 0.0

    def wait_s(self, now: float, amount: int) -> float:
        """Return how long until `amount` may be asked, 0 if it may be now."""
        wait_s = 0.0 if self._minute is None else self._minute.wait_s(now, amount)
        if self._left is None:
            return wait_s
        if now >= self._whole_at:
            self._left = None
        elif amount > self._left:
            return max(wait_s, self._whole_at - now)
        return wait_s

    def take(self, now: float, amount: int) -> Share:
        self._so_far += amount
        if self._left is not None:
            self._left -= amount
        taken = None if self._minute is None else self._minute.take(now, amount)
        return Share(taken, self._so_far)

    def correct(self, share: Share, amount: int) -> None:
        """Count what a request really took instead of what was set aside for it."""
        if self._minute is not None and share.taken is not None:
            self._minute.correct(share.taken, amount)

    def heed(self, now: float, share: Share, left: Left) -> None:
        """Believe the server, which counted when it let the request in: what began since is off."""
        self._left = left.amount - (self._so_far - share.so_far)
        self._whole_at = now + left.reset_s
