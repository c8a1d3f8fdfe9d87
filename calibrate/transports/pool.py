"""The connections of a run: so many at a time, and used again."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from calibrate.transports.connecting import Connector
from calibrate.transports.connection import Connection
from calibrate.transports.writing import Origin

__all__ = ["Pool"]

UNHEARD_S = 1.0  # while the program computed, a server may have closed what was idle for so long


class Pool:
    """At most so many open connections, of which the idle ones wait to be used again."""

    def __init__(self, connections: int) -> None:
        self._most = connections
        self._room = asyncio.Semaphore(connections)
        self._taken = 0
        self._busy: set[Connection] = set()
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._connector = Connector()
        self._is_closed = False

    async def take(self, origin: Origin, ends: float) -> Connection:
        """Return a connection, which must be given back.

        Raises `OSError` where there is none, also for none at the end of the time-out by the event
        loop's clock, and `UnicodeError` for a host that nobody could have.
        """
        if self._room.locked():
            async with asyncio.timeout_at(ends):
                await self._room.acquire()
        else:
            await self._room.acquire()
        self._taken += 1
        try:
            connection = await self._idle_one(origin) or await self._new_one(origin, ends)
        except BaseException:
            self._leave()
            raise
        self._busy.add(connection)
        return connection

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next call where it can still be used."""
        self._busy.discard(connection)
        if connection.is_usable:
            self._idle[origin].append(connection)
        self._leave()

    async def close(self) -> None:
        """Close every connection; calls that are being exchanged fail, and so do further ones."""
        self._is_closed = True
        for connection in (*self._busy, *(one for some in self._idle.values() for one in some)):
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # the event loop closes the sockets

    async def _idle_one(self, origin: Origin) -> Connection | None:
        """Return the connection that was used last; those that are too old are closed."""
        now = asyncio.get_running_loop().time()
        idle = self._idle[origin]
        if idle and now - idle[-1].idle_since > UNHEARD_S:
            await asyncio.sleep(0)  # the event loop hears what has arrived,
            await asyncio.sleep(0)  # and tells the connections before it comes back here
        while idle:
            connection = idle.pop()
            if connection.is_usable_at(now):
                return connection
            connection.close()
        return None

    async def _new_one(self, origin: Origin, ends: float) -> Connection:
        self._close_surplus()
        connection = await self._connector.connect(origin, ends)
        if self._is_closed:
            connection.close()
            raise ConnectionAbortedError("the connections of this run are closed")
        return connection

    def _close_surplus(self) -> None:
        """Close idle connections to other hosts where there would be too many."""
        waiting = [some for some in self._idle.values() if some]
        surplus = self._taken + sum(map(len, waiting)) - self._most
        for some in waiting:
            while some and surplus > 0:
                some.pop(0).close()
                surplus -= 1

    def _leave(self) -> None:
        self._taken -= 1
        self._room.release()
