"""TLS, as the transports that do not leave it to httpx set it up."""

from __future__ import annotations

import ssl

__all__ = ["client_context"]


def client_context(own: ssl.SSLContext | None) -> ssl.SSLContext:
    """Make ready the caller's context, or one that trusts what httpx trusts, for HTTP/1.1.

    Args:
        own: The caller's, if there is one.
    """
    if own is None:
        import httpcore  # noqa: PLC0415  knows httpx's certificates; not needed for a sandbox on loopback

        own = httpcore.default_ssl_context()
    own.set_alpn_protocols(["http/1.1"])
    return own
