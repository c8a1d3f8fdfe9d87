"""Text of models and data sets as something that a page can show: bounded, nothing unseen."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

__all__ = ["LIMIT", "Excerpt", "excerpt", "one_line", "unbroken", "visible"]

LIMIT = 2_000  # characters

_UNIT = re.compile(r"(?<=\d) (?=%|ms\b|s\b)")

# Overrides, embeddings and isolates can make a line read as something else; the marks that
# right-to-left text needs (U+200E, U+200F, U+061C) cannot, and stay.
_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_VISIBLE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **{code: f"\u27e8U+{code:04X}\u27e9" for code in (*range(0x80, 0xA0), *_BIDI)},
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
_UNSEEN = re.compile(f"[{re.escape(''.join(map(chr, _VISIBLE)))}]")


class Excerpt(NamedTuple):
    """The beginning of a text, and how much was left out (empty where nothing was)."""

    text: str
    note: str = ""


def excerpt(value: Any, limit: int = LIMIT) -> Excerpt:
    """Return a text, or any JSON value as text, cut after `limit` characters."""
    text = value if isinstance(value, str) else _as_json(value)
    if len(text) <= limit:
        return Excerpt(text)
    return Excerpt(text[:limit], f"the first {limit:,} of {len(text):,} characters")


def one_line(value: Any, limit: int) -> str:
    """Return a value as one short line."""
    text = value if isinstance(value, str) else _as_json(value)
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[:limit].rstrip() + "…"


def unbroken(text: str) -> str:
    """Return a sentence of ours in which no line ends between a number and its unit."""
    return _UNIT.sub("\u00a0", text)


def visible(text: str) -> str:
    """Return a text whose control characters can be seen, and which can be written as UTF-8."""
    if text.isprintable() or _UNSEEN.search(text) is None:  # nearly always, and far quicker
        return text
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
