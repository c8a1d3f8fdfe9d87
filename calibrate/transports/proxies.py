"""Which proxy the environment names for an address."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ["are_plain", "from_environment", "proxy_for"]


def from_environment() -> dict[str, str]:
    """Return the proxies by the scheme they are for: `http`, `https` and, for both, `all`.

    Raises `ValueError` for one that is no address, unquoted: it may hold a password.
    """
    found = getproxies()
    named = {scheme: found[scheme] for scheme in ("http", "https", "all") if found.get(scheme)}
    return {scheme: _address(f"{scheme}_proxy", proxy) for scheme, proxy in named.items()}


def are_plain(proxies: dict[str, str]) -> bool:
    """Return whether all of them are spoken to in HTTP: not in TLS, and not SOCKS."""
    return all(urlsplit(proxy).scheme == "http" for proxy in proxies.values())


def proxy_for(url: str, proxies: dict[str, str]) -> str | None:
    """Return the proxy for a URL, or None where there is none or `NO_PROXY` names its host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None  # no address at all, which the library tells
    proxy = proxies.get(parts.scheme, proxies.get("all"))
    if proxy is None or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy


def _address(variable: str, proxy: str) -> str:
    address = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(address)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError(f"{variable} is no address")
    return address
