"""The signals of one request and its answer, of which each half is shared by many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

__all__ = ["both"]


def both(before: Mapping[str, float], after: Mapping[str, float]) -> Mapping[str, float]:
    """Return the signals of a request with those of its answer; no name is in both.

    Every model gets the same requests, and short answers are often the same: a run of many cases
    has no room for a copy with each answer.
    """
    return _Both(before, after) if before and after else before or after


class _Both(Mapping[str, float]):
    __slots__ = ("_after", "_before")

    def __init__(self, before: Mapping[str, float], after: Mapping[str, float]) -> None:
        self._before = before
        self._after = after

    def __getitem__(self, name: str) -> float:
        found = self._before.get(name)
        return self._after[name] if found is None else found

    def __iter__(self) -> Iterator[str]:
        return chain(self._before, self._after)

    def __len__(self) -> int:
        return len(self._before) + len(self._after)

    def __repr__(self) -> str:
        return repr(dict(self))
