"""``transport="auto"``: the fastest transport that is installed and can do what is asked of it.

==================================================  =============
where and how                                       taken
==================================================  =============
httpcore is mocked (respx does it, for tests)       httpx
trio                                                httpx
the environment names a proxy for the address       httpx
asyncio, httptools is installed                     fast
asyncio, aiohttp is installed                       aiohttp
otherwise                                           httpx
==================================================  =============

The first rule that fits decides, with the first request, since only then the event loop and the address are known.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from pidj_async.errors import ConfigurationError, NotSentError
from pidj_async.transports.addresses import proxy_for, split_url

if TYPE_CHECKING:
    from pidj_async.sansio import WireRequest, WireResponse
    from pidj_async.transports.base import Progress, ReplyStream, StreamingTransport

__all__ = ["AutoTransport", "fastest", "transport_named"]

_OLDEST_AIOHTTP = (3, 14)  # as pyproject.toml has it: older ones read headers without end


class AutoTransport:
    """Takes a transport with the first request, by the rules at the head of this module, and stays with it.

    All of its options are left to themselves. Make the transport yourself to set them.
    """

    def __init__(self) -> None:
        self._taken: StreamingTransport | None = None
        self._taken_name = "auto"
        self._for_mocks: StreamingTransport | None = None
        self._closed = False

    def __repr__(self) -> str:
        return (
            f"<AutoTransport: {self._taken!r}>" if self._taken else "<AutoTransport: takes one with the first request>"
        )

    @property
    def name(self) -> str:
        """Which one it took: ``"fast"``, ``"aiohttp"`` or ``"httpx"``; ``"auto"`` until the first request."""
        return self._taken_name

    # Not a coroutine of its own: one more for every call would be for nothing.
    def send(self, request: WireRequest, progress: Progress) -> Coroutine[Any, Any, WireResponse]:
        """See `Transport.send`."""
        return self._carrier(request).send(request, progress)

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> ReplyStream:
        """See `StreamingTransport.stream`."""
        return await self._carrier(request).stream(request, progress, max_bytes=max_bytes)

    async def aclose(self) -> None:
        """Close the one it took. Closing twice is harmless."""
        self._closed = True
        for transport in (self._taken, self._for_mocks):
            if transport is not None:
                await transport.aclose()

    def _carrier(self, request: WireRequest) -> StreamingTransport:
        if _is_mocked():
            # Looked at each time: a request that was to go to a mock must never reach Pidj.
            if self._for_mocks is None:
                self._for_mocks = transport_named("httpx")
            return self._for_mocks
        return self._taken or self._take(request)

    def _take(self, request: WireRequest) -> StreamingTransport:
        if self._closed:
            msg = f"{request.endpoint}: the transport is closed; nothing was sent"
            raise NotSentError(msg)
        self._taken_name = fastest(split_url(request.url)[0])
        self._taken = transport_named(self._taken_name)
        return self._taken


def fastest(address: str) -> str:
    """Name the fastest transport that is installed, here on this event loop.

    Args:
        address: Where its requests are to go, such as ``https://host``.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "httpx"
    if proxy_for(address, None, trust_env=True) is not None:
        return "httpx"
    if importlib.util.find_spec("httptools") is not None:
        return "fast"
    return "aiohttp" if _has_aiohttp() else "httpx"


def transport_named(name: str) -> StreamingTransport:
    """Make a transport with its options left to themselves.

    Raises:
        ConfigurationError: If there is none of that name, or what it needs is not installed.
    """
    try:
        if name == "fast":
            from pidj_async.transports.fast import FastTransport  # noqa: PLC0415  each needs another library

            return FastTransport()
        if name == "aiohttp":
            from pidj_async.transports.aiohttp import AiohttpTransport  # noqa: PLC0415

            if not _has_aiohttp():
                msg = 'transport="aiohttp" needs a newer aiohttp; get it with: pip install -U "pidj-async[aiohttp]"'
                raise ConfigurationError(msg)
            return AiohttpTransport()
    except ModuleNotFoundError as error:
        msg = f'transport={name!r} needs {error.name}; install it with: pip install "pidj-async[{name}]"'
        raise ConfigurationError(msg) from error
    if name == "httpx":
        from pidj_async.transports.httpx import HttpxTransport  # noqa: PLC0415

        return HttpxTransport()
    msg = (
        f"no transport is called {name!r}; there are 'auto', 'httpx', 'aiohttp' and 'fast', or pass a Transport object"
    )
    raise ConfigurationError(msg)


def _has_aiohttp() -> bool:
    try:
        found = importlib.metadata.version("aiohttp").split(".")
    except importlib.metadata.PackageNotFoundError:
        return False
    return tuple(int(part) for part in found[:2]) >= _OLDEST_AIOHTTP


def _is_mocked() -> bool:
    # Whoever mocks httpcore has imported it. Another thread may be about to: then the class is not there yet.
    connection = getattr(sys.modules.get("httpcore"), "AsyncHTTPConnection", None)
    return connection is not None and not connection.handle_async_request.__module__.startswith("httpcore.")
