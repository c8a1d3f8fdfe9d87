"""What a method is: something that answers a case and says what a router would have seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from calibrate.client import Answer
from calibrate.completion import Request
from calibrate.dataset import Case
from calibrate.pricing import Price

__all__ = ["NO_COSTS", "Ask", "Method", "Response", "SignalCost"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request with its endpoint, price, time-out, and the model on whose behalf it is asked."""

    endpoint: str
    request: Request
    price: Price
    timeout_s: float
    account: str = ""


@dataclass(frozen=True, slots=True)
class SignalCost:
    """What a signal took beyond the answer: its calls, dollars, and seconds of further waiting.

    Samples are asked together with the answer and a verifier after it, as a service would do;
    the wait is None where one of the times was not measured.
    """

    calls: int
    usd: Decimal
    wait_s: float | None


NO_COSTS: Mapping[str, SignalCost] = {}  # one for all of the many answers without


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as text with its serve-time signals; the text is None where the call failed."""

    answer: Answer
    text: str | None
    signals: Mapping[str, float]
    costs: Mapping[str, SignalCost] = field(default_factory=lambda: NO_COSTS)  # if not free


class Method(Protocol):
    """A way to answer cases with one model."""

    def requests(self, case: Case, repeat: int) -> list[Request]:
        """Return what answering this case asks of the model, samples too, without asking it."""

    def others(self, case: Case, repeat: int) -> list[Ask]:
        """Return what is asked of other models besides; about, before there is an answer."""

    def preparation(self) -> list[Request]:
        """Return what must be asked once before the first case."""

    async def prepare(self) -> list[Answer]:
        """Ask that."""

    def look_ahead(self, asked: Sequence[tuple[Case, int]]) -> None:
        """Be told which cases, and repeats of them, are to be answered next, in this order."""

    async def respond(self, case: Case, repeat: int) -> Response:
        """Answer one case."""
