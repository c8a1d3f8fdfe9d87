"""What the results of a batch stand for: answers, failures for good, requests to ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from calibrate.batches.api import BatchApi, Line, Outcome, Remote
from calibrate.batches.journal import Batch, Item
from calibrate.batches.reading import lines
from calibrate.client.costs import most_usd, paid_usd
from calibrate.client.retries import ATTEMPTS, FATAL
from calibrate.completion import Completion, Failure, FailureReason, Reply, Request
from calibrate.errors import ModelMoved
from calibrate.providers import provider
from calibrate.providers.base import Malformed

__all__ = ["Collected", "Keep", "Sorting", "own_lines", "worst_usd"]

Keep = Callable[[Batch, Request, Reply, Decimal], None]

MOST_ATTEMPTS = 3  # a request that no batch answers is then a failed call


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of a batch."""

    batch: Batch
    answered: int
    failed: int  # for good
    left: int  # to be asked again
    paid_usd: Decimal
    problem: str = ""  # that somebody must mend, or know of, before they are
    moved: ModelMoved | None = None  # what `keep` raised, once everything was kept


def worst_usd(request: Request, batch: Batch, factor: Decimal) -> Decimal:
    """Return the most that a request can cost in a batch."""
    return factor * most_usd(request, batch.price, 0.0)


class Sorting:
    """Which results of a batch are answers, which failed for good, and which are asked again."""

    def __init__(self, batch: Batch, remote: Remote, factor: Decimal, keep: Keep) -> None:
        self._batch = batch
        self._remote = remote
        self._factor = factor
        self._keep = keep
        self._answered = 0
        self._failed = 0
        self._paid = Decimal(0)
        self._problem = ""
        self.left: list[int] = []
        self._moved: ModelMoved | None = None

    def take(self, number: int, item: Item, line: Line | None) -> None:
        """Keep the result of one request, or remember it as left."""
        reply, paid = self._reply(item.request, line)
        self._paid += paid
        if isinstance(reply, Failure):
            is_fatal = reply.reason in FATAL
            if is_fatal:
                self._problem = self._problem or reply.message
            is_last = item.attempts >= MOST_ATTEMPTS and not self._is_cancelled
            if is_fatal or (reply.reason in ATTEMPTS and not is_last):
                self.left.append(number)
                return
        self._failed += isinstance(reply, Failure)
        self._answered += isinstance(reply, Completion)
        try:
            self._keep(self._batch, item.request, reply, paid)
        except ModelMoved as moved:
            self._moved = self._moved or moved

    def collected(self) -> Collected:
        """Return what came of all that was taken."""
        problem = self._problem
        if self._is_cancelled and self.left:
            problem = problem or "somebody cancelled it; run again to ask what is left"
        counts = (self._answered, self._failed, len(self.left))
        return Collected(self._batch, *counts, self._paid, problem, self._moved)

    @property
    def _is_cancelled(self) -> bool:
        return self._remote.outcome is Outcome.CANCELLED

    def _reply(self, request: Request, line: Line | None) -> tuple[Reply, Decimal]:
        """Return what a result stands for, and what was paid for it."""
        worst = worst_usd(request, self._batch, Decimal(1))
        if line is None:
            # In a batch that went to its end, what left no trace may have been billed all the same.
            is_whole = self._remote.outcome is Outcome.COMPLETED
            paid = self._factor * worst if is_whole else Decimal(0)
            return _no_answer("it is not among the results"), paid
        if not line.status:
            return _no_answer(line.why), Decimal(0)
        wire = provider(self._batch.kind)
        reply = replace(wire.decode(request, line.status, line.body, 0.0), latency_s=None)
        return reply, self._factor * paid_usd(reply, self._batch.price, worst)


def own_lines(batch: Batch, api: BatchApi, content: bytes) -> Iterator[tuple[int, Line]]:
    """Yield the lines of the results that are of this batch, with their numbers."""
    for value in lines(content):
        try:
            line = api.line(value)
        except Malformed:
            continue
        tag, _, number = line.custom_id.partition("-")
        if tag == batch.tag and number.isascii() and number.isdigit() and len(number) < 10:
            yield int(number), line


def _no_answer(why: str) -> Failure:
    return Failure(FailureReason.TIMEOUT, f"no answer in its batch: {why}", None)
