"""The standard transport: httpx, which knows every kind of proxy."""

from __future__ import annotations

import asyncio
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from calibrate.completion import Failure
from calibrate.providers.base import Call
from calibrate.transports import tls
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

__all__ = ["HttpxTransport"]

_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
# What httpx and the resolver raise, as it comes, for a host or port that cannot be one.
_NO_ADDRESS = (
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    UnicodeError,
    OverflowError,
    ExceptionGroup,
)


class HttpxTransport:
    """One pooled client for the whole run. It keeps no cookies."""

    def __init__(self, connections: int) -> None:
        self._client = httpx.AsyncClient(
            verify=tls.trusted(),
            headers=ACCEPTED_HEADERS,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
        )

    async def send(self, call: Call, timeout_s: float) -> Sent | Failure:
        try:
            async with asyncio.timeout(timeout_s):  # the whole of it, however slowly bytes drip in
                return await self._exchange(call)
        except _NOT_CONNECTED as error:
            return unreachable(str(error) or "no connection in time")
        except (TimeoutError, httpx.TimeoutException):
            return timed_out(timeout_s)
        except _NO_ADDRESS:
            return no_address(call)
        except httpx.LocalProtocolError:
            return unsendable()
        except httpx.RequestError as error:
            return broken(error)

    async def close(self) -> None:
        await self._client.aclose()

    async def _exchange(self, call: Call) -> Sent | Failure:
        async with self._client.stream(
            call.method,
            call.url,
            content=call.body or None,
            headers=dict(call.headers),
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
        ) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > call.most_bytes:
                    return too_large(call.most_bytes)
            return Sent(response.status_code, bytes(body), response.headers)
