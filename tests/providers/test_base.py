from __future__ import annotations

from calibrate.providers.base import bounded


def test_foreign_words_are_short_and_move_no_cursor() -> None:
    assert bounded("a\x1b[2Jb\x07c\N{RIGHT-TO-LEFT OVERRIDE}d") == "a [2Jb c d"
    assert bounded("x" * 301) == "x" * 299 + "…"
    assert bounded("x" * 300) == "x" * 300
