"""The one seam to the network: `send(call) -> reply`."""

from __future__ import annotations

import os

from calibrate.errors import ConfigError, ProviderError, did_you_mean
from calibrate.transports import proxies
from calibrate.transports.base import Sent, Transport

__all__ = ["CHOICE", "Sent", "Transport", "open_transport"]

CHOICE = "CALIBRATE_TRANSPORT"
_NAMES = ("direct", "fast", "standard")


def open_transport(connections: int) -> Transport:
    """Return the transport of a run, which opens at most so many connections at a time.

    The environment variable `CALIBRATE_TRANSPORT` names it: `direct` (httptools over sockets, the
    usual one), `fast` (aiohttp) or `standard` (httpx). Where the environment names proxies it is
    at least the fast one, and the standard one where they are not spoken to in plain HTTP, such as
    SOCKS. Their libraries are loaded only here, when something is asked. Raises `ProviderError`
    where the environment's proxies or certificates cannot be used.
    """
    wanted = os.environ.get(CHOICE) or "direct"
    if wanted not in _NAMES:
        names = ", ".join(f"`{name}`" for name in _NAMES)
        raise ConfigError(f"{CHOICE}: {wanted!r} is none of {names}{did_you_mean(wanted, _NAMES)}")
    try:
        named = proxies.from_environment()
        if wanted == "direct" and not named:
            from calibrate.transports.direct import DirectTransport

            return DirectTransport(connections)
        if wanted != "standard" and proxies.are_plain(named):
            from calibrate.transports.fast import AiohttpTransport

            return AiohttpTransport(connections)
        from calibrate.transports.standard import HttpxTransport

        return HttpxTransport(connections)
    except (OSError, ValueError, ImportError) as error:
        raise ProviderError(
            f"the environment's proxy or certificate settings cannot be used: {error}"
        ) from error
