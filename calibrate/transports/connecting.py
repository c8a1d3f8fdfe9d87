"""Opening connections: the addresses of a host, the first of them that answers, and TLS."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import Sequence

from aiohappyeyeballs import AddrInfoType, start_connection

from calibrate.transports import tls
from calibrate.transports.base import CONNECT_TIMEOUT_S
from calibrate.transports.connection import Connection
from calibrate.transports.writing import Origin

__all__ = ["Connector"]

ANOTHER_ADDRESS_S = 0.25  # until a host's next address is tried beside one that does not answer
KNOWN_S = 10.0  # for which a host keeps the addresses that were found


class Connector:
    """Opens connections; a host is looked up once for all that want it at the time."""

    def __init__(self) -> None:
        self._trusted = tls.trusted()
        self._found: dict[Origin, tuple[float, Sequence[AddrInfoType]]] = {}
        self._looking_up: defaultdict[Origin, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def connect(self, origin: Origin, ends: float) -> Connection:
        """Return a new connection, within the usual time and that of the event loop's clock.

        Raises `OSError` where there is none (`TimeoutError` for none in time), and `UnicodeError`
        for a host that nobody could have.
        """
        loop = asyncio.get_running_loop()
        ends = min(ends, loop.time() + CONNECT_TIMEOUT_S)
        trusted, name = (self._trusted, origin.host.rstrip(".")) if origin.is_tls else (None, None)
        async with asyncio.timeout_at(ends):
            addresses = await self._addresses(origin)
            try:
                opened = await start_connection(addresses, happy_eyeballs_delay=ANOTHER_ADDRESS_S)
            except OSError:
                self._found.pop(origin, None)  # it may have moved
                raise
            _, connection = await loop.create_connection(
                Connection, sock=opened, ssl=trusted, server_hostname=name
            )
        return connection

    async def _addresses(self, origin: Origin) -> Sequence[AddrInfoType]:
        loop = asyncio.get_running_loop()
        async with self._looking_up[origin]:
            until, found = self._found.get(origin, (0.0, ()))
            if loop.time() < until:
                return found
            host, port = origin.host, origin.port
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self._found[origin] = (loop.time() + KNOWN_S, found)
            return found
