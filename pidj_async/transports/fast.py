"""`FastTransport`: asyncio's own protocols and httptools, and nothing between them.

It knows the moment at which the first byte of a request is handed over, so what it tells of a failure is exact. The
idle connections lie on a stack, by the same rules as those of `OwnConnections`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import anyio

from pidj_async.errors import ConfigurationError, NotSentError, PidjError, ResponseError
from pidj_async.transports.addresses import proxy_for, split_url
from pidj_async.transports.body import ACCEPT_ENCODING
from pidj_async.transports.dialing import dial
from pidj_async.transports.failures import badly_framed, not_sent, outcome_unknown
from pidj_async.transports.fast_connection import BadFramingError, Connection, LostReplyError
from pidj_async.transports.limits import Limits
from pidj_async.transports.slots import Slots
from pidj_async.transports.streaming import BodyStream
from pidj_async.transports.tls import client_context

if TYPE_CHECKING:
    from types import TracebackType

    from pidj_async.sansio import Headers, WireRequest, WireResponse
    from pidj_async.transports.base import Progress

__all__ = ["FastTransport"]

_PREPARED = 64  # heads of requests: a client has 24 paths, and those with an id in them pass by
_CLOSE_AT_ONCE = 8  # how many stale connections one request may clean up after


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

_NO_PROXY = (
    "FastTransport knows no proxies, and one is asked for; use HttpxTransport, which does, or trust_env=False to go "
    "without the one that the environment names"
)
_NO_TRIO = (
    "FastTransport runs on asyncio only; use HttpxTransport, or transport='auto', which takes what the loop allows"
)
_TWO_LOOPS = "this FastTransport belongs to another event loop, which is still there; make a client for each event loop"


class _Origin:
    """A scheme, host and port, and the idle connections to it."""

    def __init__(self, address: str, ssl_context: ssl.SSLContext | None) -> None:
        parts = urlsplit(address)
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.name = parts.netloc
        self.ssl_context = ssl_context
        self.idle: deque[Connection] = deque()


class FastTransport:
    """The quickest way to Pidj, on asyncio (uvloop included), over connections of its own.

    It keeps the promises of `HttpxTransport`, for about a tenth of the processor time. It needs the extra ``fast``,
    and knows neither proxies nor trio. The connections belong to the event loop they were opened on.

    Args:
        max_connections: How many requests may be under way at once; the others wait.
        connect_timeout: Seconds for connecting, TLS included.
        read_timeout: Seconds of silence while waiting for the reply. The client's `deadline` bounds the whole.
        write_timeout: Seconds for writing what the operating system does not take at once.
        pool_timeout: Seconds to wait for one of the `max_connections`.
        idle_timeout: Seconds after which an idle connection is not used any more. Short, because a connection that
            the server closes just as a request goes out leaves that request's outcome unknown.
        max_response_bytes: The greatest size of a reply's body, decompressed.
        ssl_context: For certificates of your own. httpx's default (certifi) otherwise.
        proxy: Must be ``None``: this transport knows no proxies.
        trust_env: Whether the environment may name a proxy. If it does, calls fail rather than go round it.

    Raises:
        ConfigurationError: If an argument makes no sense; on the first call, if it runs on trio or needs a proxy.
    """

    name: Final = "fast"

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
        if proxy is not None:
            raise ConfigurationError(_NO_PROXY)
        self._ssl_context = ssl_context
        self._trust_env = trust_env
        self._slots = Slots(max_connections, patience=pool_timeout)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._origins: dict[str, _Origin] = {}
        self._prepared: dict[tuple[str, str, Headers], tuple[_Origin, bytes]] = {}
        self._open: set[Connection] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<FastTransport, connections: {len(self._open)}>"

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        """See `Transport.send`."""
        loop, origin, data = self._prepare(request)
        if not self._slots.take_at_once():
            await self._slots.take(call=request.endpoint, host=origin.name)
        try:
            connection = self._idle_connection(origin, loop.time()) or await self._new_connection(loop, request, origin)
            try:
                response = await connection.send(data, progress)
            except BaseException:
                connection.abort()
                raise
        except (LostReplyError, BadFramingError, ResponseError) as error:
            raise _meaning(error, request, origin) from None
        else:
            self._put_back(origin, connection)
            return response
        finally:
            self._slots.release()

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> BodyStream:
        """See `StreamingTransport.stream`."""
        loop, origin, data = self._prepare(request)
        await self._slots.take(call=request.endpoint, host=origin.name)
        try:
            connection = self._idle_connection(origin, loop.time()) or await self._new_connection(loop, request, origin)
            try:
                arriving = await connection.stream(data, progress)
            except BaseException:
                connection.abort()
                raise
        except LostReplyError as error:
            self._slots.release()
            raise _meaning(error, request, origin) from None
        except BaseException:
            self._slots.release()
            raise

        async def close(clean: bool) -> None:  # noqa: FBT001  as `BodyStream` calls it
            self._slots.release()
            if clean:
                self._put_back(origin, connection)
            else:
                connection.abort()

        return BodyStream(
            status_code=arriving.status_code,
            headers=arriving.headers,
            chunks=arriving,
            limit=max_bytes,
            meaning=lambda error: _meaning(error, request, origin),
            close=close,
        )

    async def aclose(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._closed = True
        for origin in self._origins.values():
            origin.idle.clear()
        if self._loop is None or self._loop.is_closed():
            return
        connections = tuple(self._open)
        for connection in connections:
            connection.abort()
        with anyio.CancelScope(shield=True):
            for connection in connections:
                await connection.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # -------------------------------------------------------------------------------------------------- one request

    def _prepare(self, request: WireRequest) -> tuple[asyncio.AbstractEventLoop, _Origin, bytes]:
        """Find out where a request goes, and write it down as it goes out."""
        loop = self._loop_here()
        key = request.method, request.url, request.headers
        prepared = self._prepared.get(key)
        if prepared is None:
            address, target = split_url(request.url)
            origin = self._origins.get(address) or self._new_origin(address)
            prepared = origin, _head_of(request, origin, target)
            if len(self._prepared) >= _PREPARED:
                self._prepared.clear()
            self._prepared[key] = prepared
        origin, head = prepared
        content = request.content
        # A POST or PUT without a body says so: some servers wait for one otherwise (RFC 9110, section 8.6).
        if content or request.method in {"POST", "PUT"}:
            return loop, origin, b"%bContent-Length: %d\r\n\r\n%b" % (head, len(content), content)
        return loop, origin, head + b"\r\n"

    # ---------------------------------------------------------------------------------------------------- the stack

    def _idle_connection(self, origin: _Origin, now: float) -> Connection | None:
        idle = origin.idle
        while idle:
            connection = idle.pop()
            if now - connection.idle_since <= self._limits.idle_timeout and connection.is_usable():
                return connection
            connection.abort()
        return None

    def _put_back(self, origin: _Origin, connection: Connection) -> None:
        idle = origin.idle
        idle.append(connection)
        oldest = connection.idle_since - self._limits.idle_timeout
        for _ in range(_CLOSE_AT_ONCE):
            if idle[0].idle_since >= oldest:
                break
            idle.popleft().abort()

    async def _new_connection(
        self, loop: asyncio.AbstractEventLoop, request: WireRequest, origin: _Origin
    ) -> Connection:
        if self._closed:
            msg = f"{request.endpoint}: the transport is closed; nothing was sent"
            raise NotSentError(msg)
        connection = Connection(loop, self._limits, self._open.discard)
        try:
            async with asyncio.timeout(self._limits.connect_timeout):
                await _connect(loop, connection, origin, patience=self._limits.connect_timeout)
        except TimeoutError as error:
            connection.abort()
            raise not_sent("ConnectTimeout", call=request.endpoint, host=origin.name, error=error) from error
        except (OSError, UnicodeError) as error:  # a name that cannot be written for DNS is a UnicodeError
            connection.abort()
            raise not_sent("ConnectError", call=request.endpoint, host=origin.name, error=error) from error
        except BaseException:
            connection.abort()
            raise
        if self._closed or connection.is_closed:
            connection.abort()
            msg = f"{request.endpoint}: the connection to {origin.name} was closed at once; nothing was sent"
            raise NotSentError(msg)
        self._open.add(connection)
        return connection

    # ------------------------------------------------------------------------------------------------------ origins

    def _loop_here(self) -> asyncio.AbstractEventLoop:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(_NO_TRIO) from None
        if loop is not self._loop:
            if self._loop is not None and not self._loop.is_closed():
                raise ConfigurationError(_TWO_LOOPS)
            # What was left open on a loop that has ended cannot be used, nor closed, on another.
            self._loop = loop
            self._origins.clear()
            self._prepared.clear()
            self._open.clear()
        return loop

    def _new_origin(self, address: str) -> _Origin:
        if proxy_for(address, None, trust_env=self._trust_env) is not None:
            raise ConfigurationError(_NO_PROXY)
        secure = address.startswith("https:")
        if secure:  # loading the certificates takes a while: once
            self._ssl_context = client_context(self._ssl_context)
        origin = self._origins[address] = _Origin(address, self._ssl_context if secure else None)
        return origin


async def _connect(
    loop: asyncio.AbstractEventLoop, connection: Connection, origin: _Origin, *, patience: float
) -> None:
    sock = await dial(origin.host, origin.port, patience=patience)
    try:
        await loop.create_connection(lambda: connection, sock=sock)
    except BaseException:
        sock.close()
        raise
    if origin.ssl_context is None:
        connection.opened()
        return
    secure = await loop.start_tls(connection.transport, connection, origin.ssl_context, server_hostname=origin.host)
    assert secure is not None  # noqa: S101  typed for a loop that is closing
    connection.opened(secure)


def _head_of(request: WireRequest, origin: _Origin, target: str) -> bytes:
    """What is the same for all requests of this kind: the request line and the headers, but for the body's length."""
    if not target.isprintable() or " " in target or not target.isascii():
        msg = f"{request.endpoint}: the URL must be encoded"
        raise ConfigurationError(msg)
    lines = [f"{request.method} {target} HTTP/1.1"]
    for name, value in (("Host", origin.name), *request.headers, ("Accept-Encoding", ACCEPT_ENCODING)):
        if not _HEADER_NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
            msg = f"a header cannot be written: {name!r}"
            raise ConfigurationError(msg)
        lines.append(f"{name}: {value}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _meaning(error: Exception, request: WireRequest, origin: _Origin) -> PidjError:
    """Say what became of a request that was begun."""
    if isinstance(error, ResponseError):
        return ResponseError(f"{request.endpoint}: {error}", status_code=error.status_code)
    if isinstance(error, BadFramingError):
        return badly_framed(error.status_code, call=request.endpoint)
    kind = error.kind if isinstance(error, LostReplyError) else type(error).__name__
    return outcome_unknown(kind, call=request.endpoint, host=origin.name)
