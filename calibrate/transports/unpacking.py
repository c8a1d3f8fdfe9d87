"""Packed bodies: `gzip` and `deflate`, unpacked as they arrive and no further than is wanted."""

from __future__ import annotations

import zlib

__all__ = ["CODINGS", "Unpacker"]

CODINGS = frozenset(["gzip", "x-gzip", "deflate"])


class Unpacker:
    """Unpacks one body. A `gzip` body may have several members, which follow each other."""

    def __init__(self, coding: str) -> None:
        self._is_gzip = coding != "deflate"
        self._member: zlib._Decompress | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all that was begun has ended; a body of no bytes at all is whole."""
        return self._member is None or self._member.eof

    def unpack(self, part: bytes, most: int) -> bytes:
        """Return what a part of the body holds, cut off at so many bytes; raises `zlib.error`."""
        unpacked = b""
        while part and len(unpacked) < most:
            if self._member is None or self._member.eof:
                self._member = self._next_member(part)
            unpacked += self._member.decompress(part, most - len(unpacked))
            part = self._member.unused_data
        return unpacked

    def _next_member(self, start: bytes) -> zlib._Decompress:
        if self._is_gzip:
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        if self._member is not None:
            raise zlib.error("data after the end of the packed body")
        # Some servers leave out the head that `deflate` should have.
        is_bare = start[0] & 0x0F != zlib.DEFLATED
        return zlib.decompressobj(-zlib.MAX_WBITS if is_bare else zlib.MAX_WBITS)
