"""The standard transport: httpx, with its TLS verification and the environment's proxies."""

from __future__ import annotations

import asyncio

import httpx

from calibrate.completion import Failure, FailureReason
from calibrate.errors import ProviderError
from calibrate.providers.base import Call, bounded
from calibrate.transports.base import MAX_BODY_BYTES, Sent

__all__ = ["HttpxTransport"]

# What httpx and the resolver raise, as it comes, for a host or port that cannot be one.
_NO_ADDRESS = (
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    UnicodeError,
    OverflowError,
    ExceptionGroup,
)


class HttpxTransport:
    """One pooled client for the whole run; redirects are not followed, so no key travels."""

    def __init__(self) -> None:
        try:
            self._client = httpx.AsyncClient(
                follow_redirects=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=256),
            )
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            raise ProviderError(
                f"the environment's proxy or certificate settings cannot be used: {error}"
            ) from error

    async def send(self, call: Call, timeout_s: float) -> Sent | Failure:
        try:
            async with asyncio.timeout(timeout_s):  # the whole of it, however slowly bytes drip in
                return await self._read(call, timeout_s)
        except (TimeoutError, httpx.TimeoutException):
            return Failure(FailureReason.TIMEOUT, f"no answer within {timeout_s:g} s")
        except _NO_ADDRESS:
            return Failure(FailureReason.UNREACHABLE, bounded(f"{call.url} is no address"))
        except (httpx.ConnectError, httpx.ProxyError) as error:
            return Failure(FailureReason.UNREACHABLE, bounded(f"cannot be reached: {error}"))
        except httpx.RequestError as error:
            why = f"the connection broke: {type(error).__name__}: {error}"
            return Failure(FailureReason.BAD_RESPONSE, bounded(why))

    async def close(self) -> None:
        await self._client.aclose()

    async def _read(self, call: Call, timeout_s: float) -> Sent | Failure:
        async with self._client.stream(
            "POST", call.url, headers=dict(call.headers), content=call.body, timeout=timeout_s
        ) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    return Failure(FailureReason.BAD_RESPONSE, f"over {MAX_BODY_BYTES:,} bytes")
            return Sent(response.status_code, bytes(body), _retry_after_s(response.headers))


def _retry_after_s(headers: httpx.Headers) -> float | None:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None
