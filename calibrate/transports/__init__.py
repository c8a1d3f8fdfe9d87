"""The one seam to the network: `send(call) -> reply`."""

from __future__ import annotations

from calibrate.transports.base import Sent, Transport

__all__ = ["Sent", "Transport", "open_transport"]


def open_transport() -> Transport:
    """Return the standard transport; its library is loaded only here, when something is asked."""
    from calibrate.transports.standard import HttpxTransport

    return HttpxTransport()
