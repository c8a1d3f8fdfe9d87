"""What a method is: something that answers a case and says what a router would have seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from calibrate.client import Answer
from calibrate.completion import Request
from calibrate.dataset import Case

__all__ = ["Method", "Response"]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as text with its serve-time signals; the text is None where the call failed."""

    answer: Answer
    text: str | None
    signals: Mapping[str, float]


class Method(Protocol):
    """A way to answer cases with one model."""

    def requests(self, case: Case, repeat: int) -> list[Request]:
        """Return what answering this case asks, without asking it."""

    def preparation(self) -> list[Request]:
        """Return what must be asked once before the first case."""

    async def prepare(self) -> list[Answer]:
        """Ask that."""

    async def respond(self, case: Case, repeat: int) -> Response:
        """Answer one case."""
