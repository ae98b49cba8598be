"""Where a request goes: the server's address, and the proxy on the way to it, if one is asked for."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pidj_async.errors import ConfigurationError
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

    Raises:
        ConfigurationError: If it is of another kind than http or https.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    if proxy is None and trust_env and not proxy_bypass(host):
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is not None and urlsplit(proxy).scheme not in {"http", "https"}:
        msg = (
            f"a proxy of kind {urlsplit(proxy).scheme!r} is not supported; "
            "pass your own httpx.AsyncClient, set up with it, as HttpxTransport(client=...)"
        )
        raise ConfigurationError(msg)
    return proxy
