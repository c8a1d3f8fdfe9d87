"""Writing calls: where a URL leads, and the bytes of a request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

import idna

from calibrate.providers.base import Call
from calibrate.transports.base import ACCEPTED_HEADERS

__all__ = ["Origin", "start_of", "written"]

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[\w.:%-]*[\w:]\.?", re.ASCII)
_SAFE = "/%:?[]@!$&'()*+,;=-._~"
_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ACCEPTED = [(name, f"{name}: {value}") for name, value in ACCEPTED_HEADERS.items()]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection leads."""

    host: str
    port: int
    is_tls: bool


@lru_cache(maxsize=256)
def start_of(method: str, url: str) -> tuple[Origin, str]:
    """Return where a URL leads, and how a request to it starts; raises `ValueError` for none.

    One with a user or a password in it is none: keys come from the environment.
    """
    parts = urlsplit(url)
    host, port = _ascii(parts.hostname or ""), parts.port
    if parts.scheme not in _PORTS or parts.username is not None or port == 0:
        raise ValueError("no address")
    named = f"[{host}]" if ":" in host else host
    if port is not None:
        named += f":{port}"
    path = quote(parts.path or "/", _SAFE) + (
        f"?{quote(parts.query, _SAFE)}" if parts.query else ""
    )
    origin = Origin(host, port or _PORTS[parts.scheme], parts.scheme == "https")
    return origin, f"{method} {path} HTTP/1.1\r\nhost: {named}"


def written(start: str, call: Call) -> bytes:
    """Return a call as it goes over the wire; raises `ValueError` for a header that is none."""
    lines = [start]
    for name, value in call.headers.items():
        if not _NAME.fullmatch(name) or _FORBIDDEN.search(value):
            raise ValueError("no header")
        lines.append(f"{name}: {value}")
    lines += [line for name, line in _ACCEPTED if name not in call.headers]
    if call.body or call.method == "POST":
        lines.append(f"content-length: {len(call.body)}")
    return "\r\n".join([*lines, "\r\n"]).encode() + call.body


def _ascii(host: str) -> str:
    """Return a host as it is looked up; raises `ValueError` where it can be none."""
    if not host.isascii():
        host = idna.encode(host, uts46=True).decode()
    if not _HOST.fullmatch(host):
        raise ValueError("no host")
    return host
