from __future__ import annotations

import gzip
import zlib

import pytest

from calibrate.transports.unpacking import Unpacker

TEXT = b"It was sent twice, and twice it came back. " * 9


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:99]) + gzip.compress(b"") + gzip.compress(TEXT[99:])),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", bare(TEXT)),
    ],
    ids=["gzip", "its other name", "several members", "deflate", "without its head"],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_body_is_unpacked_in_parts_of_any_size(coding: str, packed: bytes, size: int) -> None:
    unpacker = Unpacker(coding)
    parts = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(unpacker.unpack(part, 1_000) for part in parts) == TEXT
    assert unpacker.is_whole


def test_a_body_that_is_cut_short_is_not_whole() -> None:
    unpacker = Unpacker("gzip")
    unpacker.unpack(gzip.compress(TEXT)[:-1], 1_000)
    assert not unpacker.is_whole


def test_no_bytes_at_all_are_a_whole_body() -> None:
    assert Unpacker("gzip").is_whole


def test_no_more_is_unpacked_than_is_wanted() -> None:
    bomb = gzip.compress(bytes(1_000)) + gzip.compress(bytes(10_000_000))
    assert Unpacker("gzip").unpack(bomb, 1_500) == bytes(1_500)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", b"plain"),
        ("gzip", zlib.compress(TEXT)),
        ("gzip", gzip.compress(TEXT) + b"more"),
        ("gzip", gzip.compress(TEXT)[:-8] + bytes(8)),
        ("deflate", zlib.compress(TEXT) + b"more"),
        ("deflate", b"\xff\xff"),
    ],
    ids=["plain", "another", "more after it", "wrong sum", "more after it", "nonsense"],
)
def test_what_was_never_packed_so_is_an_error(coding: str, packed: bytes) -> None:
    with pytest.raises(zlib.error):
        Unpacker(coding).unpack(packed, 10_000)
