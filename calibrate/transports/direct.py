"""The direct transport: connections of our own, for thousands of answers a second."""

from __future__ import annotations

import asyncio

from calibrate.completion import Failure
from calibrate.providers.base import Call
from calibrate.transports.base import Sent, no_address, unreachable, unsendable
from calibrate.transports.pool import Pool
from calibrate.transports.writing import start_of, written

__all__ = ["DirectTransport"]


class DirectTransport:
    """Keep-alive connections straight to the servers. It knows no proxies and keeps no cookies."""

    def __init__(self, connections: int) -> None:
        self._pool = Pool(connections)

    async def send(self, call: Call, timeout_s: float) -> Sent | Failure:
        ends = asyncio.get_running_loop().time() + timeout_s
        try:
            origin, start = start_of(call.method, call.url)
        except ValueError:
            return no_address(call)
        try:
            request = written(start, call)
        except ValueError:
            return unsendable()
        try:
            connection = await self._pool.take(origin, ends)
        except UnicodeError:
            return no_address(call)
        except OSError as error:
            return unreachable(str(error) or "no connection in time")
        try:
            return await connection.exchange(call, request, timeout_s, ends)
        finally:
            self._pool.give_back(origin, connection)

    async def close(self) -> None:
        await self._pool.close()
