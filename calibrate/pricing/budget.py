"""The cap on what a run may spend, and the attempts that are in flight under it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from calibrate.errors import BudgetError, CalibrateError

__all__ = ["Account", "Budget"]


@dataclass(slots=True)
class Account:
    """What was begun and paid on behalf of one model."""

    begun: int = 0
    in_flight: int = 0
    spent_usd: Decimal = Decimal(0)


class Budget:
    """A spending cap that is never passed: the worst case is reserved before a request is sent.

    A reservation is an attempt that begins, and ends as it is settled; once `is_shut` is set, none
    begins any more.
    """

    def __init__(self, limit_usd: Decimal | None) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = Decimal(0)
        self.begun = 0
        self.in_flight = 0
        self.is_shut = False
        self.accounts: defaultdict[str, Account] = defaultdict(Account)
        self._reserved_usd = Decimal(0)
        self._settled: asyncio.Event | None = None  # made once somebody waits

    async def room_for(self, worst_usd: Decimal) -> None:
        """Wait while nothing but what is in flight, at its worst, keeps an amount from the cap."""
        while (
            self.limit_usd is not None
            and not self.is_shut
            and self.spent_usd + worst_usd <= self.limit_usd
            and self.spent_usd + self._reserved_usd + worst_usd > self.limit_usd
        ):
            await self._next_settled()

    def reserve(self, worst_usd: Decimal, account: str = "") -> None:
        """Set an amount aside; raises `BudgetError` where it could pass the cap.

        Raises `CalibrateError` once no attempt may begin any more.
        """
        if self.is_shut:
            raise CalibrateError("interrupted")
        taken = self.spent_usd + self._reserved_usd
        if self.limit_usd is not None and taken + worst_usd > self.limit_usd:
            raise BudgetError(
                f"the cap of ${self.limit_usd} is reached: ${self.spent_usd:.6f} spent, "
                f"${self._reserved_usd:.6f} in flight, the next request may cost "
                f"${worst_usd:.6f}; every answer is kept: raise --max-usd and run again to go on"
            )
        self._reserved_usd += worst_usd
        self.begun += 1
        self.in_flight += 1
        booked = self.accounts[account]
        booked.begun += 1
        booked.in_flight += 1

    def settle(self, worst_usd: Decimal, actual_usd: Decimal, account: str = "") -> None:
        """Replace a reservation by what was really paid."""
        self._reserved_usd -= worst_usd
        self.spent_usd += actual_usd
        self.in_flight -= 1
        booked = self.accounts[account]
        booked.in_flight -= 1
        booked.spent_usd += actual_usd
        if self._settled is not None:
            self._settled.set()
            self._settled = None

    def refund(self, usd: Decimal, account: str = "") -> None:
        """Take back some of what was spent: it had been counted at its worst."""
        self.spent_usd -= usd
        self.accounts[account].spent_usd -= usd

    async def all_settled(self) -> None:
        """Wait until nothing is in flight."""
        while self.in_flight:
            await self._next_settled()

    async def _next_settled(self) -> None:
        self._settled = self._settled or asyncio.Event()
        await self._settled.wait()
