"""Where a request goes: the server's address, and the proxy on the way to it, if one is asked for."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pidj_async.sansio import is_loopback

__all__ = ["proxy_for", "split_url"]


def split_url(url: str) -> tuple[str, str]:
    """``https://host/path`` -> ``https://host``, ``/path``."""
    end = url.find("/", url.index("://") + 3)
    return (url, "/") if end < 0 else (url[:end], url[end:])


def proxy_for(address: str, proxy: str | None, *, trust_env: bool) -> str | None:
    """Find the proxy for an address such as ``https://host``. Loopback addresses are never proxied.

    Args:
        address: The server's.
        proxy: The one that was asked for, if any.
        trust_env: Whether ``HTTPS_PROXY`` and its kin count otherwise.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    if proxy is not None or not trust_env:
        return proxy
    if proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
