"""`HttpxTransport`: the default transport, on asyncio and trio."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, Self

from pidj_async.errors import ConfigurationError
from pidj_async.transports.limits import Limits
from pidj_async.transports.own import OwnConnections

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

    from pidj_async.sansio import WireRequest, WireResponse
    from pidj_async.transports.base import Progress
    from pidj_async.transports.callers import CallersClient
    from pidj_async.transports.streaming import BodyStream

__all__ = ["HttpxTransport"]


class HttpxTransport:
    """Talks to Pidj over httpx's connections.

    It follows no redirect, reads no more of a reply than it was allowed to, notices a reply that was cut off, and tells
    of every failure whether the request may have been acted on. The connections belong to the event loop they were
    opened on.

    Args:
        client: Your own ``httpx.AsyncClient``, used as it is set up and not closed. Its limits, timeouts, proxies and
            certificates are then the ones that count, and none of the other arguments but `max_response_bytes` may be
            given. Its pool slows down as concurrency grows.
        max_connections: How many requests may be under way at once; the others wait.
        connect_timeout: Seconds for connecting, TLS included.
        read_timeout: Seconds of silence while waiting for the reply. The client's `deadline` bounds the whole.
        write_timeout: Seconds for each piece written.
        pool_timeout: Seconds to wait for one of the `max_connections`.
        idle_timeout: Seconds after which an idle connection is not used any more. Short, because a connection that
            the server closes just as a request goes out leaves that request's outcome unknown.
        max_response_bytes: The greatest size of a reply's body, decompressed.
        ssl_context: For certificates of your own. httpx's default (certifi) otherwise.
        proxy: The URL of an http or https proxy. ``HTTPS_PROXY`` and its kin otherwise, unless `trust_env` is False.
            Loopback addresses are never proxied.
        trust_env: Whether the environment may name a proxy.

    Raises:
        ConfigurationError: If an argument makes no sense, or is given together with `client`.
    """

    name: Final = "httpx"

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        *,
        max_connections: int | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        write_timeout: float | None = None,
        pool_timeout: float | None = None,
        idle_timeout: float | None = None,
        max_response_bytes: int = 64 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
    ) -> None:
        numbers = {
            "max_connections": max_connections,
            "connect_timeout": connect_timeout,
            "read_timeout": read_timeout,
            "write_timeout": write_timeout,
            "pool_timeout": pool_timeout,
            "idle_timeout": idle_timeout,
            "max_response_bytes": max_response_bytes,
        }
        limits = Limits(**{name: number for name, number in numbers.items() if number is not None})  # type: ignore[arg-type]
        self._engine: OwnConnections | CallersClient
        if client is not None:
            given = [name for name, number in numbers.items() if number is not None and name != "max_response_bytes"]
            given += [name for name, one in (("ssl_context", ssl_context), ("proxy", proxy)) if one is not None]
            if given:
                msg = f"{', '.join(given)} cannot be set for a client of your own; set it up in the client"
                raise ConfigurationError(msg)
            from pidj_async.transports.callers import CallersClient  # noqa: PLC0415  only here is httpx itself needed

            self._engine = CallersClient(client, max_response_bytes=max_response_bytes)
            return
        self._engine = OwnConnections(
            limits=limits,
            ssl_context=ssl_context,
            proxy=proxy,
            trust_env=trust_env,
        )

    def __repr__(self) -> str:
        return "<HttpxTransport>"

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        """See `Transport.send`."""
        return await self._engine.send(request, progress)

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> BodyStream:
        """See `StreamingTransport.stream`."""
        return await self._engine.stream(request, progress, max_bytes=max_bytes)

    async def aclose(self) -> None:
        """Close the connections this transport opened. A client of your own stays open."""
        await self._engine.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
