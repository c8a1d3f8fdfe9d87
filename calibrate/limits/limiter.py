"""How fast one endpoint may be asked: slots that adapt, pauses, and amounts a minute."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType

from calibrate.limits.notice import Notice
from calibrate.limits.quota import Quota, Share

__all__ = ["MAX_PAUSE_S", "Limiter", "Slot"]

MAX_PAUSE_S = 300.0  # what asks for more than minutes has to be asked another day
# A round of answers gives back 1/16 of the slots and at least one; a round of refusals takes half.
# So one chance refusal in ten stops nothing, and at a server's true limit few are refused.
_LOST_BY_A_REFUSAL = 0.5
_LEAST_GAINED_BY_AN_ANSWER = 1 / 16


class Limiter:
    """One endpoint's turns, given in the order in which they were asked for.

    At most `concurrency` slots are held at a time, and fewer while the server refuses for its rate
    limit: a refusal takes half a slot away, an answer gives a share of one back. In any 60 seconds
    at most `requests_per_minute` turns begin, with at most `tokens_per_minute` tokens. What the
    server says of its own limits is kept, too, up to a pause of `MAX_PAUSE_S`.
    """

    def __init__(
        self,
        concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._most = concurrency
        self._slots = float(concurrency)
        self._held = 0
        self._waiting: deque[Slot] = deque()
        self._requests = Quota(requests_per_minute)
        self._tokens = Quota(tokens_per_minute)
        self._paused_until = 0.0
        self._clock = clock
        self._sleep = sleep
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0.0

    @property
    def slots(self) -> int:
        """How many requests may be in flight now."""
        return int(self._slots)

    def slot(self, tokens: int = 0) -> Slot:
        """Return a slot to hold with `async with`, for a request of at most so many tokens."""
        return Slot(self, tokens)

    async def _enter(self, slot: Slot) -> None:
        now = self._clock()
        if not self._waiting and self._may_begin(slot, now):
            self._begin(slot, now)
            return
        slot.turn = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        self._give_turns()
        try:
            await slot.turn
        except asyncio.CancelledError:
            # Its turn may have come in the very moment in which it was given up.
            self._held -= not slot.turn.cancelled()
            self._give_turns()
            raise

    def _leave(self) -> None:
        self._held -= 1
        self._give_turns()

    def _may_begin(self, slot: Slot, now: float) -> bool:
        """Return whether a turn can begin now; where only time is in the way, set the alarm."""
        if self._held >= self.slots:
            return False
        wait_s = max(
            self._paused_until - now,
            self._requests.wait_s(now, 1),
            self._tokens.wait_s(now, slot.tokens),
        )
        if wait_s > 0:
            self._set_alarm(now, wait_s)
        return wait_s <= 0

    def _begin(self, slot: Slot, now: float) -> None:
        self._held += 1
        slot.shares = self._requests.take(now, 1), self._tokens.take(now, slot.tokens)

    def _give_turns(self) -> None:
        """Begin what may begin, first come first."""
        while self._waiting:
            slot, now = self._waiting[0], self._clock()
            is_given_up = slot.turn.cancelled()
            if not is_given_up and not self._may_begin(slot, now):
                return
            self._waiting.popleft()
            if not is_given_up:
                self._begin(slot, now)
                slot.turn.set_result(None)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _set_alarm(self, now: float, wait_s: float) -> None:
        if self._alarm is not None:
            if self._alarm_at <= now + wait_s:
                return
            self._alarm.cancel()
        self._alarm_at = now + wait_s
        self._alarm = asyncio.get_running_loop().create_task(self._ring(wait_s))

    async def _ring(self, wait_s: float) -> None:
        await self._sleep(wait_s)
        self._alarm = None
        self._give_turns()

    def _answered(self, slot: Slot, tokens: int) -> None:
        self._tokens.correct(slot.shares[1], tokens)
        gained = max(1 / self._slots, _LEAST_GAINED_BY_AN_ANSWER)
        self._slots = min(float(self._most), self._slots + gained)

    def _refused(self) -> None:
        self._slots = max(1.0, self._slots - _LOST_BY_A_REFUSAL)

    def _heed(self, slot: Slot, notice: Notice) -> None:
        now = self._clock()
        if notice.retry_after_s is not None:
            pause_s = min(notice.retry_after_s, MAX_PAUSE_S)
            self._paused_until = max(self._paused_until, now + pause_s)
        if notice.requests is not None:
            self._requests.heed(now, slot.shares[0], notice.requests)
        if notice.tokens is not None:
            self._tokens.heed(now, slot.shares[1], notice.tokens)


class Slot:
    """One request's turn. While it is held, tell it what came of the request."""

    __slots__ = ("_limiter", "shares", "tokens", "turn")

    turn: asyncio.Future[None]  # there only while the slot waits
    shares: tuple[Share, Share]  # of requests and tokens, there once it is held

    def __init__(self, limiter: Limiter, tokens: int) -> None:
        self._limiter = limiter
        self.tokens = tokens

    async def __aenter__(self) -> Slot:
        await self._limiter._enter(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._limiter._leave()

    def answered(self, tokens: int) -> None:
        """The request was answered, and took so many tokens."""
        self._limiter._answered(self, tokens)

    def refused(self) -> None:
        """The request was refused for the server's rate limit: 429, and nothing else."""
        self._limiter._refused()

    def heed(self, notice: Notice) -> None:
        """Keep to what the server said of its limits."""
        self._limiter._heed(self, notice)
