"""API keys: read from the environment only, and blotted out wherever a server echoes them."""

from __future__ import annotations

import os
import re
from functools import cache

from calibrate.errors import ProviderError

__all__ = ["api_key", "without_key"]

# Shorter "keys" are words such as `none` or `ollama`, which an answer may well hold.
MIN_KEY_LENGTH = 8
_BLOT = b"[key]"


def api_key(endpoint: str, variable: str | None) -> str | None:
    """Return the key in an environment variable; raises `ProviderError` where it is none."""
    if variable is None:
        return None
    key = os.environ.get(variable, "")
    if not key or key != key.strip() or not key.isascii() or not key.isprintable():
        raise ProviderError(
            f"endpoint {endpoint!r}: the environment variable {variable} "
            + ("is not set" if not key else "holds a key with spaces or line breaks")
        )
    return key


def without_key(text: bytes, key: str | None) -> bytes:
    """Return a text with the key blotted out: it must reach no cache, report or message."""
    if key is None or len(key) < MIN_KEY_LENGTH:
        return text
    text = text.replace(key.encode(), _BLOT)
    return _escaped(key).sub(_BLOT, text) if b"\\" in text else text


@cache
def _escaped(key: str) -> re.Pattern[bytes]:
    """Match a key however JSON may escape its characters."""
    spelled = (rf"(?:\\?{re.escape(c)}|\\u00{ord(c):02x})" for c in key)
    return re.compile("".join(spelled).encode(), re.IGNORECASE)
