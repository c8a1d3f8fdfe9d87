"""One of the few numbers at the top of a page."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with what it is and what it rests on."""

    label: str
    value: str
    note: str
