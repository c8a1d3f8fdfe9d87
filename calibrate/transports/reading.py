"""Reading answers: what the parser (httptools) finds in the bytes of one connection."""

from __future__ import annotations

import re
import zlib
from contextlib import suppress

import httptools
from multidict import CIMultiDict

from calibrate.completion import Failure
from calibrate.transports.base import Sent, broken, too_large
from calibrate.transports.unpacking import CODINGS, Unpacker

__all__ = ["MAX_HEAD_BYTES", "Reading"]

MAX_HEAD_BYTES = 64 * 1024
_KNOWN_CODINGS = CODINGS | {"", "identity"}
_KEPT_S = re.compile(r"\btimeout=(\d{1,6})\b", re.IGNORECASE)


class _Enough(Exception):
    """Nothing more is read: raised to the parser, which gives up the rest of its bytes."""


class Reading:
    """The answers of a connection, one after another: `expect`, `feed`, look at `outcome`, `begin`.

    The parser calls the methods whose names start with `on_`.
    """

    _headers: CIMultiDict[str]
    _unpacker: Unpacker | None

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._most_bytes = 0
        self.begin()

    def expect(self, most_bytes: int) -> None:
        """Expect an answer whose body has at most so many bytes."""
        self._most_bytes = most_bytes

    def begin(self) -> None:
        """Forget the answer before."""
        self.outcome: Sent | Failure | None = None
        self.is_reusable = False  # the connection may serve a further call, as far as is known
        self._bare_bytes = 0  # since there last was something of a body: a head, or trailers
        self._restart()

    def feed(self, data: bytes) -> None:
        """Read what has arrived; bytes beyond the answer make the connection unusable."""
        self._bare_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._give_up(broken(error))
        if self._bare_bytes > MAX_HEAD_BYTES:
            self._give_up(broken(ValueError(f"a head of over {MAX_HEAD_BYTES:,} bytes")))

    def end(self, error: Exception | None) -> Sent | Failure:
        """Return what there is now that the connection is closed, which is how some bodies end."""
        if error is None and self._is_headed and not self._is_measured:
            with suppress(_Enough):
                self.on_message_complete()
        if self.outcome is None:
            error = error or ConnectionResetError("closed before the whole answer")
            self.outcome = broken(error)
        return self.outcome

    def on_message_begin(self) -> None:
        if self.outcome is not None:
            raise _Enough  # a second answer to one question

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_headed:
            return  # a trailer
        key = name.decode("latin-1").lower()
        self._headers.add(key, value.decode("latin-1"))
        self._is_measured |= key in ("content-length", "transfer-encoding")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:
            self._stop(broken(ValueError("another protocol, which was not asked for")))
        self._is_headed = status >= 200
        if self._is_headed and "content-encoding" in self._headers:
            coding = ", ".join(self._headers.getall("content-encoding")).strip().lower()
            if coding not in _KNOWN_CODINGS:
                self._stop(broken(ValueError(f"packed as {coding!r}, which was not asked for")))
            self._unpacker = Unpacker(coding) if coding in CODINGS else None

    def on_body(self, part: bytes) -> None:
        self._bare_bytes = 0
        room = self._most_bytes - len(self._body)
        if self._unpacker is not None:
            try:
                part = self._unpacker.unpack(part, room + 1)
            except zlib.error as error:
                self._stop(broken(error))
        self._body += part
        if len(part) > room:
            self._stop(too_large(self._most_bytes))

    def on_message_complete(self) -> None:
        if not self._is_headed:  # 100 Continue and its like: the answer is still to come
            self._restart()
            return
        if self._unpacker is not None and not self._unpacker.is_whole:
            self._stop(broken(EOFError("a packed body that is cut short")))
        self.is_reusable = self._parser.should_keep_alive()
        self.outcome = Sent(self._parser.get_status_code(), bytes(self._body), self._headers)

    @property
    def kept_s(self) -> float | None:
        """For how long the server says it keeps the connection open, if it does."""
        header = self._headers.get("keep-alive")
        said = _KEPT_S.search(header) if header else None
        return float(said[1]) if said else None

    def _restart(self) -> None:
        self._headers = CIMultiDict()
        self._body = bytearray()
        self._unpacker = None
        self._is_headed = False  # the head of the answer itself is there
        self._is_measured = False  # the head says where the body ends

    def _stop(self, failure: Failure) -> None:
        self._give_up(failure)
        raise _Enough

    def _give_up(self, failure: Failure) -> None:
        self.outcome = self.outcome or failure
        self.is_reusable = False
