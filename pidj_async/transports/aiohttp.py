"""`AiohttpTransport`: aiohttp's connections, for those who have it installed.

What is known of a request that failed rests on one place in aiohttp: `aiohttp.ClientRequest.send` is the only one that
writes a request, so a request whose ``send`` was never entered has not left. aiohttp by itself repeats GET, PUT and
DELETE when a connection breaks; here a middleware refuses that, so that every try is the client's.
"""

from __future__ import annotations

import asyncio
import base64
import io
import ssl
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

import aiohttp
import anyio
from multidict import CIMultiDict
from yarl import URL

from pidj_async.errors import ConfigurationError, NotSentError, PidjError, ResponseError
from pidj_async.sansio import WireResponse
from pidj_async.transports.addresses import proxy_for, split_url
from pidj_async.transports.body import ACCEPT_ENCODING, BodyReader
from pidj_async.transports.dialing import watch
from pidj_async.transports.failures import badly_framed, not_sent, outcome_unknown
from pidj_async.transports.limits import Limits
from pidj_async.transports.slots import Slots
from pidj_async.transports.streaming import BodyStream
from pidj_async.transports.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from pidj_async.sansio import Headers, WireRequest
    from pidj_async.transports.base import Progress

__all__ = ["AiohttpTransport"]

_PREPARED = 64  # a client has two sets of headers and 24 paths; more clients may share a transport
# Bytes of a body that asyncio takes without waiting for the server. Of a later aiohttp nobody knows yet how it writes a
# head, so there all bodies are its own affair.
_WRITTEN_AT_ONCE = 64 * 1024 if aiohttp.__version__.startswith("3.14.") else 0

#: What aiohttp raises only before a request is written.
_BEFORE_SENDING: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    UnicodeError,  # a name that cannot be written for DNS
)

_NO_TRIO = (
    "AiohttpTransport runs on asyncio only; use HttpxTransport, or transport='auto', which takes what the loop allows"
)
_TWO_LOOPS = (
    "this AiohttpTransport belongs to another event loop, which is still there; make a client for each event loop"
)


class _StaleConnectionError(Exception):
    """A kept connection turned out to have ended, before anything was written to it."""


class _RepeatedError(Exception):
    """aiohttp wanted to send the request again."""


class _Exchange:
    """One try of one request.

    Attributes:
        begun: Whether a byte of it may have left.
        connection: asyncio's own handle of the connection it is on.
        content: Its body.
        write_timed_out: Whether that is how it ended.
    """

    __slots__ = ("begun", "connection", "content", "progress", "transport", "write_timed_out")

    def __init__(self, transport: AiohttpTransport, progress: Progress, content: bytes) -> None:
        self.transport = transport
        self.progress = progress
        self.content = content
        self.begun = False
        self.connection: asyncio.Transport | None = None
        self.write_timed_out = False

    def abort(self, response: aiohttp.ClientResponse | None = None) -> None:
        """End the connection at once. aiohttp by itself would take its leave of the server first, and wait for it."""
        if response is not None and response.connection is None:
            return  # it was read to its end, so its connection has gone back, and may carry another request by now
        if self.connection is not None:
            self.connection.abort()
        if response is not None:
            response.close()


_exchange: ContextVar[_Exchange] = ContextVar("_exchange")


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Refuse the second try before it opens a connection."""
    if _exchange.get().begun:
        raise _RepeatedError
    return await handler(request)


class _WithBody:
    """Stands in for a connection while a request's head is written to it, and writes the body in the same piece."""

    __slots__ = ("_connection", "_content")

    def __init__(self, connection: asyncio.Transport, content: bytes) -> None:
        self._connection = connection
        self._content = content

    def is_closing(self) -> bool:
        return self._connection.is_closing()

    def write(self, head: bytes) -> None:
        self._connection.write(head + self._content)


class _Request(aiohttp.ClientRequest):
    """Marks the moment at which it is written. aiohttp makes CONNECT, for a proxy, of its own class instead.

    aiohttp knows of a body only if it is a large one: it would make a task of its own to write it.
    """

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Write it."""
        exchange = _exchange.get()
        exchange.connection = connection = conn.transport
        exchange.transport.check_kept_connection(conn)
        content = exchange.content
        if len(content) > _WRITTEN_AT_ONCE:
            self._write_bytes, self.write_bytes = self.write_bytes, self._write_bytes_in_time  # type: ignore[method-assign]
        elif content:
            self.headers["Content-Length"] = str(len(content))
        exchange.begun = exchange.progress.request_started = True
        if not content or len(content) > _WRITTEN_AT_ONCE or connection is None:
            return await super().send(conn)
        # Nothing waits in here, so nobody else sees it.
        protocol = conn.protocol
        protocol.transport = _WithBody(connection, content)
        try:
            return await super().send(conn)
        finally:
            protocol.transport = connection

    async def _write_bytes_in_time(self, *arguments: Any, **more: Any) -> None:
        """Write a body. Only what asyncio does not take at once can keep it waiting."""
        exchange = _exchange.get()
        try:
            async with asyncio.timeout(exchange.transport.write_timeout):
                await self._write_bytes(*arguments, **more)
        except TimeoutError:
            exchange.write_timed_out = True
            exchange.abort()  # which whoever waits for the reply will notice


class _BadFramingError(aiohttp.ClientPayloadError):
    """The body is not HTTP."""


class _Chunks:
    """A reply's body as it stands on the wire.

    When aiohttp finds a body to be nonsense after its headers were handed over, or is closed, it closes the connection
    and tells nobody: whoever reads on would wait for ever. So this watches the connection while there is more to come.
    """

    def __init__(self, response: aiohttp.ClientResponse, transport: AiohttpTransport) -> None:
        self._transport = transport
        self._content = response.content
        self._closed: asyncio.Future[None] | None = None
        connection = response.connection
        if connection is not None and connection.protocol is not None:  # not all of it is here
            self._closed = connection.protocol.closed
            if self._closed is None:
                self._connection_closed(None)
            else:
                self._closed.add_done_callback(self._connection_closed)

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self._content.at_eof():
            raise StopAsyncIteration
        return await self._content.readany()

    def close(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._connection_closed)

    def _connection_closed(self, _: asyncio.Future[None] | None) -> None:
        if not self._content.is_eof() and self._content.exception() is None:
            by_us = self._transport.is_closed
            self._content.set_exception(aiohttp.ClientPayloadError() if by_us else _BadFramingError())


class _Origin:
    """A scheme, host and port, and what is prepared for it."""

    def __init__(self, address: str, ssl_context: ssl.SSLContext | None, proxy: str | None) -> None:
        self.name = urlsplit(address).netloc
        self.options: dict[str, Any] = {"allow_redirects": False}
        if ssl_context is not None:
            self.options["ssl"] = ssl_context
        if proxy is not None:
            parts = urlsplit(proxy)
            self.options["proxy"] = URL(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
            if parts.username is not None:
                credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
                basic = f"Basic {base64.b64encode(credentials).decode()}"
                self.options["proxy_headers"] = {"Proxy-Authorization": basic}


class AiohttpTransport:
    """Talks to Pidj over aiohttp's connections, on asyncio.

    It keeps the promises of `HttpxTransport`, for a good half of the processor time, and needs the extra ``aiohttp``.
    The connections belong to the event loop they were opened on.

    Args:
        max_connections: How many requests may be under way at once; the others wait.
        connect_timeout: Seconds for connecting, TLS included.
        read_timeout: Seconds of silence while waiting for the reply. The client's `deadline` bounds the whole.
        write_timeout: Seconds for writing what asyncio does not take at once.
        pool_timeout: Seconds to wait for one of the `max_connections`.
        idle_timeout: Seconds after which an idle connection is not used any more. Short, because a connection that
            the server closes just as a request goes out leaves that request's outcome unknown.
        max_response_bytes: The greatest size of a reply's body, decompressed.
        ssl_context: For certificates of your own. httpx's default (certifi) otherwise.
        proxy: The URL of an http or https proxy. ``HTTPS_PROXY`` and its kin otherwise, unless `trust_env` is False.
            Loopback addresses are never proxied.
        trust_env: Whether the environment may name a proxy.

    Raises:
        ConfigurationError: If an argument makes no sense; on the first call, if it runs on trio.
    """

    name: Final = "aiohttp"

    def __init__(
        self,
        *,
        max_connections: int = 1_000,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        write_timeout: float = 30.0,
        pool_timeout: float = 30.0,
        idle_timeout: float = 5.0,
        max_response_bytes: int = 64 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
    ) -> None:
        self._limits = Limits(
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            write_timeout=write_timeout,
            pool_timeout=pool_timeout,
            idle_timeout=idle_timeout,
            max_response_bytes=max_response_bytes,
        )
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._trust_env = trust_env
        self._slots = Slots(max_connections, patience=pool_timeout)
        self._origins: dict[str, _Origin] = {}
        self._headers: dict[Headers, CIMultiDict[str]] = {}
        self._urls: dict[str, URL] = {}
        self._kept: weakref.WeakKeyDictionary[object, Callable[[], object]] = weakref.WeakKeyDictionary()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self.is_closed = False

    def __repr__(self) -> str:
        return "<AiohttpTransport>"

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        """See `Transport.send`."""
        session = self._session_here()
        address, _ = split_url(request.url)
        origin = self._origins.get(address) or self._new_origin(address)
        if not self._slots.take_at_once():
            await self._slots.take(call=request.endpoint, host=origin.name)
        exchange = _Exchange(self, progress, request.content)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._begin(session, request, origin, exchange)
            headers = _headers_of(response)
            content = await self._read(response, headers)
        except Exception as error:  # noqa: BLE001  raised as what it means
            exchange.abort(response)
            failure = self._meaning(error, exchange, request, origin, response)
        except BaseException:
            exchange.abort(response)
            raise
        else:
            return WireResponse(status_code=response.status, headers=headers, content=content)
        finally:
            self._slots.release()
        # Out here, so that aiohttp's own error, which holds the request's headers, is not attached as the context.
        raise failure from failure.__cause__

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> BodyStream:
        """See `StreamingTransport.stream`."""
        session = self._session_here()
        address, _ = split_url(request.url)
        origin = self._origins.get(address) or self._new_origin(address)
        await self._slots.take(call=request.endpoint, host=origin.name)
        exchange = _Exchange(self, progress, request.content)
        try:
            response = await self._begin(session, request, origin, exchange)
        except Exception as error:  # noqa: BLE001  raised as what it means
            exchange.abort()
            self._slots.release()
            failure = self._meaning(error, exchange, request, origin, None)
        except BaseException:
            exchange.abort()
            self._slots.release()
            raise
        else:
            return self._stream_of(response, exchange, request, origin, max_bytes)
        raise failure from failure.__cause__

    async def aclose(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self.is_closed = True
        if self._session is not None and self._loop is not None and not self._loop.is_closed():
            with anyio.CancelScope(shield=True):
                if self._session.connector is not None:
                    await self._session.connector.close(abort_ssl=True)
                await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # -------------------------------------------------------------------------------------------------- one request

    async def _begin(
        self, session: aiohttp.ClientSession, request: WireRequest, origin: _Origin, exchange: _Exchange
    ) -> aiohttp.ClientResponse:
        if self.is_closed:
            msg = f"{request.endpoint}: the transport is closed; nothing was sent"
            raise NotSentError(msg)
        headers = self._headers.get(request.headers) or self._prepare_headers(request.headers)
        url = self._urls.get(request.url) or self._prepare_url(request.url)
        # aiohttp warns of bytes by the megabyte.
        content = io.BytesIO(request.content) if len(request.content) > _WRITTEN_AT_ONCE else None
        # What aiohttp would repeat, it asks us about.
        middlewares = None if request.method == "POST" else (_once,)
        _exchange.set(exchange)
        while True:
            try:
                return await session.request(
                    request.method, url, headers=headers, data=content, middlewares=middlewares, **origin.options
                )
            except _StaleConnectionError:
                continue  # it is closed, so this ends with a new connection at the latest

    async def _read(self, response: aiohttp.ClientResponse, headers: Mapping[str, str]) -> bytes:
        body = BodyReader(
            status_code=response.status,
            encoding=headers.get("content-encoding", ""),
            declared=headers.get("content-length", ""),
            limit=self._limits.max_response_bytes,
        )
        if response.content.is_eof():
            body.feed(response.content.read_nowait())
            return body.finish()
        chunks = _Chunks(response, self)
        try:
            async for chunk in chunks:
                body.feed(chunk)
        finally:
            chunks.close()
        return body.finish()

    def _stream_of(
        self,
        response: aiohttp.ClientResponse,
        exchange: _Exchange,
        request: WireRequest,
        origin: _Origin,
        max_bytes: int | None,
    ) -> BodyStream:
        chunks = _Chunks(response, self)

        async def close(clean: bool) -> None:  # noqa: FBT001  as `BodyStream` calls it
            chunks.close()
            if not clean:  # else the connection has gone back already
                exchange.abort(response)
            self._slots.release()

        return BodyStream(
            status_code=response.status,
            headers=_headers_of(response),
            chunks=chunks,
            limit=max_bytes,
            meaning=lambda error: self._meaning(error, exchange, request, origin, response),
            close=close,
        )

    @staticmethod
    def _meaning(
        error: Exception,
        exchange: _Exchange,
        request: WireRequest,
        origin: _Origin,
        response: aiohttp.ClientResponse | None,
    ) -> PidjError:
        """Say what any exception of an exchange means, to be raised ``from`` its own ``__cause__``."""
        call, host = request.endpoint, origin.name
        if isinstance(error, NotSentError):
            return error
        if isinstance(error, ResponseError):
            return ResponseError(f"{call}: {error}", status_code=error.status_code)
        kind = _kind_of(error, exchange)
        if not exchange.begun and isinstance(error, _BEFORE_SENDING):
            reason = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or Exception()
            failure: PidjError = not_sent(kind, call=call, host=host, error=reason)
            failure.__cause__ = reason
            return failure
        exchange.progress.request_started = True
        if response is not None and isinstance(error, _BadFramingError):
            return badly_framed(response.status, call=call)
        return outcome_unknown(kind, call=call, host=host)

    # ------------------------------------------------------------------------------------- for the requests of aiohttp

    @property
    def write_timeout(self) -> float:
        """Seconds for writing a body."""
        return self._limits.write_timeout

    def check_kept_connection(self, connection: Any) -> None:
        """Refuse a connection that was used before and is not at rest. What there is to read can only be its end."""
        protocol = connection.protocol
        if protocol.writing_paused:
            raise _StaleConnectionError
        look = self._kept.get(protocol)
        if look is None:
            self._kept[protocol] = watch(connection.transport.get_extra_info("socket"))
            if protocol.closed is not None:
                protocol.closed.add_done_callback(_look_at)
        elif look():
            raise _StaleConnectionError

    # --------------------------------------------------------------------------------------------------- preparations

    def _session_here(self) -> aiohttp.ClientSession:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(_NO_TRIO) from None
        if loop is self._loop and self._session is not None:
            return self._session
        if self._loop is not None and not self._loop.is_closed():
            raise ConfigurationError(_TWO_LOOPS)
        self._loop = loop
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._limits.idle_timeout),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._limits.connect_timeout, sock_read=self._limits.read_timeout
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
            request_class=_Request,
        )
        return self._session

    def _new_origin(self, address: str) -> _Origin:
        proxy = proxy_for(address, self._proxy, trust_env=self._trust_env)
        secure = address.startswith("https:")
        if secure:  # loading the certificates takes a while: once
            self._ssl_context = client_context(self._ssl_context)
        origin = self._origins[address] = _Origin(address, self._ssl_context if secure else None, proxy)
        return origin

    def _prepare_headers(self, headers: Headers) -> CIMultiDict[str]:
        prepared = CIMultiDict([*headers, ("Accept-Encoding", ACCEPT_ENCODING)])
        if len(self._headers) < _PREPARED:
            self._headers[headers] = prepared
        return prepared

    def _prepare_url(self, url: str) -> URL:
        prepared = URL(url, encoded=True)
        if len(self._urls) < _PREPARED:
            self._urls[url] = prepared
        return prepared


def _look_at(closed: asyncio.Future[None]) -> None:
    """Take note of how a connection ended, or asyncio complains that nobody did."""
    if not closed.cancelled():
        closed.exception()


def _headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.raw_headers}


def _kind_of(error: Exception, exchange: _Exchange) -> str:
    """The name that httpx has for what happened."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return "ProxyError"
    if not exchange.begun:
        return "ConnectTimeout" if isinstance(error, TimeoutError) else "ConnectError"
    if exchange.write_timed_out:
        return "WriteTimeout"
    if isinstance(error, TimeoutError):
        return "ReadTimeout"
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError)):
        return "RemoteProtocolError"
    return "ReadError"
