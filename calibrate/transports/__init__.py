"""The one seam to the network: `send(call) -> reply`."""

from __future__ import annotations

import os

from calibrate.errors import ConfigError, ProviderError, did_you_mean
from calibrate.transports import proxies
from calibrate.transports.base import Sent, Transport

__all__ = ["CHOICE", "Sent", "Transport", "open_transport"]

CHOICE = "CALIBRATE_TRANSPORT"
_NAMES = ("fast", "standard")


def open_transport(connections: int) -> Transport:
    """Return the transport of a run, which opens at most so many connections at a time.

    It is the fast one (aiohttp), unless the environment variable `CALIBRATE_TRANSPORT` says
    `standard` (httpx) or names a proxy that is not spoken to in plain HTTP, such as SOCKS. Their
    libraries are loaded only here, when something is asked. Raises `ProviderError` where the
    environment's proxies or certificates cannot be used.
    """
    wanted = os.environ.get(CHOICE) or "fast"
    if wanted not in _NAMES:
        raise ConfigError(
            f"{CHOICE}: {wanted!r} is neither `fast` nor `standard`{did_you_mean(wanted, _NAMES)}"
        )
    try:
        if wanted == "fast" and proxies.are_plain(proxies.from_environment()):
            from calibrate.transports.fast import AiohttpTransport

            return AiohttpTransport(connections)
        from calibrate.transports.standard import HttpxTransport

        return HttpxTransport(connections)
    except (OSError, ValueError, ImportError) as error:
        raise ProviderError(
            f"the environment's proxy or certificate settings cannot be used: {error}"
        ) from error
