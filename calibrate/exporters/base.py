"""What an exporter is: a policy in one gateway's words, and what those words cannot say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from calibrate.policy import Policy

__all__ = ["Exported", "Exporter", "Note", "printable"]


def printable(text: str) -> str:
    """Return a text on one line: what does not print is shown by its number."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the gateway does otherwise than the policy says; None is every route."""

    workflow: str | None
    text: str

    def __str__(self) -> str:
        return printable(self.text if self.workflow is None else f"{self.workflow}: {self.text}")


@dataclass(frozen=True, slots=True)
class Exported:
    """A gateway's configuration, what it cannot enforce, and the workflows it does not hold."""

    text: str
    notes: tuple[Note, ...] = ()
    left_out: tuple[str, ...] = ()


class Exporter(Protocol):
    """One gateway; a module with these names fits."""

    SUMMARY: str

    def export(self, policy: Policy) -> Exported:
        """Return the policy for this gateway, which refuses unknown names unless it has a default.

        The text depends on the policy alone, and on the day only where an override ends.
        """
