"""The default engine: httpx's own connections (httpcore), without httpx's pool.

httpx's pool looks at every connection for every request, so its cost per request grows with concurrency. Here the idle
connections lie on a stack: taking one and putting it back cost the same whether there are ten or a thousand.

The rules of the stack:

1. The connection used last is taken first. The others grow old, and are closed when their time is over.
2. A connection whose request did not end cleanly is closed, never put back.
3. At most ``max_connections`` requests are under way; the others wait in the order they came.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import anyio
import httpcore

from pidj_async.errors import NotSentError, PidjError, ResponseError
from pidj_async.sansio import WireRequest, WireResponse
from pidj_async.transports.addresses import proxy_for, split_url
from pidj_async.transports.base import Progress
from pidj_async.transports.body import ACCEPT_ENCODING, BodyReader, RequestBody
from pidj_async.transports.failures import Tracer, Witness, meaning_of
from pidj_async.transports.limits import Limits
from pidj_async.transports.slots import Slots
from pidj_async.transports.streaming import BodyStream, drain

if TYPE_CHECKING:
    from pidj_async.sansio import Headers

__all__ = ["OwnConnections"]

logger = logging.getLogger("pidj_async.transports")

_WITNESS = Witness(traces=True)  # httpcore does

_PREPARED_HEADERS = 64  # a client has two sets of headers; more clients may share a transport
_CLOSE_AT_ONCE = 8  # how many stale connections one request may clean up after


class _Origin:
    """A scheme, host and port, and the connections to it."""

    def __init__(self, address: str, factory: httpcore.AsyncConnectionPool) -> None:
        parts = urlsplit(address)
        self.scheme = parts.scheme.encode()
        self.host = (parts.hostname or "").encode("idna" if not (parts.hostname or "").isascii() else "ascii")
        self.port = parts.port
        self.host_header = parts.netloc.encode()
        self.name = parts.netloc
        self.idle: deque[tuple[float, httpcore.AsyncConnectionInterface]] = deque()
        default_port = 443 if parts.scheme == "https" else 80
        self._core_origin = httpcore.Origin(self.scheme, self.host, self.port or default_port)
        self._factory = factory

    def new_connection(self) -> httpcore.AsyncConnectionInterface:
        return self._factory.create_connection(self._core_origin)


class OwnConnections:
    """Sends requests over connections of its own. See `HttpxTransport` for the arguments."""

    def __init__(
        self,
        *,
        limits: Limits,
        ssl_context: ssl.SSLContext | None,
        proxy: str | None,
        trust_env: bool,
    ) -> None:
        self._slots = Slots(limits.max_connections, patience=limits.pool_timeout)
        self._timeouts = {
            "connect": limits.connect_timeout,
            "read": limits.read_timeout,
            "write": limits.write_timeout,
        }
        self._idle_timeout = limits.idle_timeout
        self._max_response_bytes = limits.max_response_bytes
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._trust_env = trust_env
        self._origins: dict[str, _Origin] = {}
        self._open: set[httpcore.AsyncConnectionInterface] = set()
        self._encoded_headers: dict[Headers, list[tuple[bytes, bytes]]] = {}
        self._closed = False

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        """See `Transport.send`."""
        address, target = split_url(request.url)
        origin = self._origins.get(address) or self._new_origin(address)
        await self._slots.take(call=request.endpoint, host=origin.name)
        try:
            return await self._send(request, origin, target, progress)
        finally:
            self._slots.release()

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> BodyStream:
        """See `StreamingTransport.stream`."""
        address, target = split_url(request.url)
        origin = self._origins.get(address) or self._new_origin(address)
        await self._slots.take(call=request.endpoint, host=origin.name)
        try:
            return await self._begin(request, origin, target, progress, max_bytes)
        except BaseException:
            self._slots.release()
            raise

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        self._closed = True
        connections, self._open = self._open, set()
        for origin in self._origins.values():
            origin.idle.clear()
        with anyio.CancelScope(shield=True):
            for connection in connections:
                await _close(connection)

    # -------------------------------------------------------------------------------------------------- one request

    async def _send(self, request: WireRequest, origin: _Origin, target: str, progress: Progress) -> WireResponse:
        connection = await self._take_connection(request, origin)
        status_code: int | None = None
        clean = False
        try:
            response = await connection.handle_async_request(self._outgoing(request, origin, target, progress))
            status_code = response.status
            headers = _headers_of(response)
            content = await self._read(connection, response, headers)
            clean = True
        except Exception as error:  # noqa: BLE001  raised as what it means
            meaning = self._meaning(error, request, origin, progress, status_code)
            raise meaning from meaning.__cause__
        finally:
            await self._put_back(origin, connection, clean=clean)
        return WireResponse(status_code=status_code, headers=headers, content=content)

    async def _begin(
        self, request: WireRequest, origin: _Origin, target: str, progress: Progress, max_bytes: int | None
    ) -> BodyStream:
        connection = await self._take_connection(request, origin)
        try:
            response = await connection.handle_async_request(self._outgoing(request, origin, target, progress))
        except Exception as error:  # noqa: BLE001  raised as what it means
            await self._discard(connection)
            meaning = self._meaning(error, request, origin, progress, None)
            raise meaning from meaning.__cause__
        except BaseException:
            await self._discard(connection)
            raise
        chunks = response.aiter_stream()

        async def close(clean: bool) -> None:  # noqa: FBT001  as `BodyStream` calls it
            try:
                if clean:
                    await response.aclose()
                else:
                    await _close(connection)
                    await drain(chunks)
            finally:
                self._slots.release()
                await self._put_back(origin, connection, clean=clean)

        return BodyStream(
            status_code=response.status,
            headers=_headers_of(response),
            chunks=chunks,
            limit=max_bytes,
            meaning=lambda error: self._meaning(error, request, origin, progress, response.status),
            close=close,
        )

    def _outgoing(self, request: WireRequest, origin: _Origin, target: str, progress: Progress) -> httpcore.Request:
        return httpcore.Request(
            request.method,
            httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target),
            headers=self._headers(request, origin),
            content=RequestBody(request.content),
            extensions={"timeout": self._timeouts, "trace": Tracer(progress, _WITNESS)},
        )

    async def _read(
        self, connection: httpcore.AsyncConnectionInterface, response: httpcore.Response, headers: Mapping[str, str]
    ) -> bytes:
        chunks = response.aiter_stream()
        try:
            body = BodyReader(
                status_code=response.status,
                encoding=headers.get("content-encoding", ""),
                declared=headers.get("content-length", ""),
                limit=self._max_response_bytes,
            )
            async for chunk in chunks:
                body.feed(chunk)
            content = body.finish()
        except ResponseError:
            with anyio.CancelScope(shield=True):
                await _close(connection)
                await drain(chunks)
            raise
        await response.aclose()
        return content

    @staticmethod
    def _meaning(
        error: Exception, request: WireRequest, origin: _Origin, progress: Progress, status_code: int | None
    ) -> PidjError:
        return meaning_of(
            error,
            host=origin.name,
            progress=progress,
            witness=_WITNESS,
            call=request.endpoint,
            status_code=status_code,
        )

    def _headers(self, request: WireRequest, origin: _Origin) -> list[tuple[bytes, bytes]]:
        encoded = self._encoded_headers.get(request.headers)
        if encoded is None:
            encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in request.headers]
            encoded.append((b"Accept-Encoding", ACCEPT_ENCODING.encode()))
            if len(self._encoded_headers) < _PREPARED_HEADERS:
                self._encoded_headers[request.headers] = encoded
        headers = [(b"Host", origin.host_header), *encoded]
        # A POST or PUT without a body says so: some servers wait for one otherwise (RFC 9110, section 8.6).
        if request.content or request.method in {"POST", "PUT"}:
            headers.append((b"Content-Length", str(len(request.content)).encode()))
        return headers

    # ---------------------------------------------------------------------------------------------------- the stack

    async def _take_connection(self, request: WireRequest, origin: _Origin) -> httpcore.AsyncConnectionInterface:
        if self._closed:
            msg = f"{request.endpoint}: the transport is closed; nothing was sent"
            raise NotSentError(msg)
        while origin.idle:
            _, connection = origin.idle.pop()
            if connection.is_idle() and not connection.has_expired():
                return connection
            await self._discard(connection)
        connection = origin.new_connection()
        self._open.add(connection)
        return connection

    async def _put_back(self, origin: _Origin, connection: httpcore.AsyncConnectionInterface, *, clean: bool) -> None:
        if not clean or self._closed or not connection.is_idle():
            await self._discard(connection)
            return
        now = time.monotonic()
        origin.idle.append((now, connection))
        for _ in range(_CLOSE_AT_ONCE):
            # While one is closed, other requests take what is idle: there may be nothing left to look at.
            if not origin.idle or now - origin.idle[0][0] <= self._idle_timeout:
                break
            await self._discard(origin.idle.popleft()[1])

    async def _discard(self, connection: httpcore.AsyncConnectionInterface) -> None:
        self._open.discard(connection)
        with anyio.CancelScope(shield=True):
            await _close(connection)

    # ------------------------------------------------------------------------------------------------------ origins

    def _new_origin(self, address: str) -> _Origin:
        proxy = proxy_for(address, self._proxy, trust_env=self._trust_env)
        if self._ssl_context is None and address.startswith("https"):
            # Loading the certificates takes a while: once, and not for a sandbox on loopback.
            self._ssl_context = httpcore.default_ssl_context()
        factory = httpcore.AsyncConnectionPool(
            ssl_context=self._ssl_context,
            proxy=None if proxy is None else _proxy(proxy),
            keepalive_expiry=self._idle_timeout,
            network_backend=_backend(),
        )
        origin = self._origins[address] = _Origin(address, factory)
        return origin


def _proxy(url: str) -> httpcore.Proxy:
    parts = urlsplit(url)
    auth = None
    if parts.username is not None:
        auth = (unquote(parts.username), unquote(parts.password or ""))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return httpcore.Proxy(bare.geturl(), auth=auth)


def _headers_of(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


async def _close(connection: httpcore.AsyncConnectionInterface) -> None:
    try:
        await connection.aclose()
    except Exception:  # noqa: BLE001  it is being thrown away; that it broke first is no news
        logger.debug("a connection broke while it was being closed")


def _backend() -> httpcore.AsyncNetworkBackend:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        from pidj_async.transports.anyio_backend import AnyioBackend  # noqa: PLC0415  only one of the two is needed

        return AnyioBackend()
    from pidj_async.transports.asyncio_backend import AsyncioBackend  # noqa: PLC0415

    return AsyncioBackend()
