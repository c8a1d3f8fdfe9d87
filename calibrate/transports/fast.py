"""The fast transport: aiohttp, which keeps hundreds of requests in flight at the wire's speed."""

from __future__ import annotations

import asyncio
import io

import aiohttp

from calibrate.completion import Failure
from calibrate.providers.base import Call
from calibrate.transports import proxies, tls
from calibrate.transports.base import (
    ACCEPTED_HEADERS,
    CONNECT_TIMEOUT_S,
    Sent,
    broken,
    no_address,
    timed_out,
    too_large,
    unreachable,
    unsendable,
)

__all__ = ["AiohttpTransport"]

_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)
_LARGE_BYTES = 1_000_000
_NO_ADDRESS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError)


class AiohttpTransport:
    """One session for the whole run. It keeps no cookies and reads no password file."""

    def __init__(self, connections: int) -> None:
        self._proxies = proxies.from_environment()
        self._proxy_of: dict[str, str | None] = {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls.trusted()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=ACCEPTED_HEADERS,
            timeout=aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT_S),
        )

    async def send(self, call: Call, timeout_s: float) -> Sent | Failure:
        try:
            async with asyncio.timeout(timeout_s):  # the whole of it, however slowly bytes drip in
                return await self._exchange(call)
        except _NOT_CONNECTED as error:
            return unreachable(error)
        except TimeoutError:
            return timed_out(timeout_s)
        except _NO_ADDRESS:
            return no_address(call)
        except aiohttp.ClientError as error:
            return broken(error)
        except ValueError:
            return unsendable()

    async def close(self) -> None:
        await self._session.close()

    async def _exchange(self, call: Call) -> Sent | Failure:
        async with self._session.request(
            call.method,
            call.url,
            data=_data(call.body),
            headers=call.headers,
            proxy=self._proxy(call.url),
            allow_redirects=False,
        ) as response:
            body = bytearray()
            while part := await response.content.readany():
                body += part
                if len(body) > call.most_bytes:
                    return too_large(call.most_bytes)
            return Sent(response.status, bytes(body), response.headers)

    def _proxy(self, url: str) -> str | None:
        if url not in self._proxy_of:  # the environment is asked once for each address
            self._proxy_of[url] = proxies.proxy_for(url, self._proxies)
        return self._proxy_of[url]


def _data(body: bytes) -> bytes | io.BytesIO | None:
    """Return a body as it is sent: a large one in pieces, for others wait for their turn."""
    return io.BytesIO(body) if len(body) > _LARGE_BYTES else body or None
