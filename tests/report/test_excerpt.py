"""Text that comes from elsewhere, made fit to be shown."""

from __future__ import annotations

import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from calibrate.report.excerpt import visible


def is_shown_as_it_is(code: int) -> bool:
    """Controls, what changes the direction of a line, and half characters are not."""
    kind = unicodedata.category(chr(code))
    turns = 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    return chr(code) in "\t\n" or not (kind in ("Cc", "Cs") or turns)


def test_each_character_is_shown_as_it_is_or_made_visible() -> None:
    for code in range(sys.maxunicode + 1):
        for text in (chr(code), f"a\n{chr(code)} b"):
            assert (visible(text) == text) is is_shown_as_it_is(code), hex(code)


@given(st.text())
def test_a_text_is_shown_character_by_character_but_for_line_ends(text: str) -> None:
    pieces = text.split("\r\n")
    assert visible(text) == "\n".join("".join(map(visible, piece)) for piece in pieces)
    visible(text).encode()
