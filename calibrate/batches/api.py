"""What a batch API is: calls that hand in, look after and fetch a batch, without any I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from calibrate.completion import Request
from calibrate.providers.base import Call

__all__ = ["BatchApi", "Line", "Outcome", "Page", "Remote", "Server"]


class Outcome(StrEnum):
    """How far a batch is, or how it ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUSED = "refused"  # as a whole: nothing of it was asked
    UNKNOWN = "unknown"  # it never arrived


@dataclass(frozen=True, slots=True)
class Server:
    """Where batches are handed in. The key is never shown."""

    base_url: str
    api_key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Remote:
    """A batch as its server tells of it."""

    id: str
    outcome: Outcome
    total: int | None  # requests; None where the server has not counted them yet
    done: int
    created_at: float  # by the server's clock, in seconds since 1970
    tag: str | None = None  # what calibrate wrote on it, where the API takes such a note
    files: tuple[str, ...] = ()  # that hold its results
    why: str = ""  # it was refused


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the batches that a server knows, newest first, and where the list goes on."""

    batches: tuple[Remote, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one request: an HTTP answer, or none at all because of `why`."""

    custom_id: str
    status: int = 0
    body: bytes = b""
    why: str = ""


class BatchApi(Protocol):
    """A batch API; a module with these names fits. What reads a body raises `Malformed`."""

    MOST_REQUESTS: int
    MOST_BYTES: int
    KEEPS_TAGS: bool  # a note of ours on a batch can be read again

    def row(self, request: Request, base_url: str, custom_id: str) -> bytes:
        """Return the JSON object of one request in a batch, without a line break."""

    def target(self, request: Request) -> str:
        """Return what all requests of one batch must have in common beside the model."""

    def upload(self, server: Server, rows: Sequence[bytes], tag: str) -> Call | None:
        """Return the call that brings the requests there, where that is a call of its own."""

    def uploaded(self, body: bytes) -> str:
        """Return the name that the upload was given."""

    def create(
        self, server: Server, rows: Sequence[bytes], tag: str, target: str, upload: str
    ) -> Call:
        """Return the call from which on the batch runs and is paid for."""

    def look(self, server: Server, remote: str) -> Call:
        """Return the call that asks how far a batch is."""

    def remote(self, body: bytes) -> Remote:
        """Return what the server says of a batch: to `create` and to `look`."""

    def listing(self, server: Server, after: str | None) -> Call:
        """Return the call for a page of the server's batches."""

    def page(self, body: bytes) -> Page:
        """Return that page."""

    def results(self, server: Server, remote: Remote) -> list[Call]:
        """Return the calls that fetch the results of a batch that has ended."""

    def line(self, value: Mapping[str, Any]) -> Line:
        """Return what one line of the results says."""
