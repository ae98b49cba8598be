"""One HTTP/1.1 connection on asyncio: a request goes out in one piece, and httptools reads the reply.

The rules of a connection:

1. It carries one request at a time. The next may follow once the reply was read to its end and both sides keep it open.
2. Its request is begun by the line that hands it to asyncio: what fails before is proven not sent, all else is unknown.
3. Whatever goes wrong ends it. So does a byte, or the end, that comes while nothing was asked.
4. It has one timer, not one for each request: when that goes off, it looks whether the silence has lasted too long.
5. It reads into a buffer that all connections of its event loop share, and takes out what was read before it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import httptools

from pidj_async.errors import ResponseError
from pidj_async.sansio import WireResponse
from pidj_async.transports.body import BodyReader
from pidj_async.transports.dialing import read_buffer, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pidj_async.transports.base import Progress
    from pidj_async.transports.limits import Limits

__all__ = ["Arriving", "BadFramingError", "Connection", "LostReplyError"]

_LONGEST_HEAD = 64 * 1024  # bytes of a reply that are not its body: status, headers, and what surrounds chunks
_ENOUGH = 256 * 1024  # bytes received and not taken by who streams them, at which the server has to wait
_FRAMING_PER_BYTE = 16  # a body in chunks of one byte, with a few words of extension each, is still a body


class LostReplyError(Exception):
    """The request was begun, and no whole reply came.

    Attributes:
        kind: What happened, by httpx's name for it.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class BadFramingError(Exception):
    """The reply's headers came, and its body is not HTTP.

    Attributes:
        status_code: The reply's.
    """

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


class Arriving:
    """A reply whose head has come, and its body as it stands on the wire, chunk by chunk.

    Attributes:
        status_code: The HTTP status.
        headers: Names in lower case; of a repeated header the last.
    """

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.status_code = 0
        self.headers: dict[str, str] = {}
        self._connection = connection
        self._loop = loop
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._end: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> Arriving:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._end is not None:
                raise self._end
            self._waiter = self._loop.create_future()
            await self._waiter
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        if not self._chunks:
            self._connection.let_more_come()
        return chunk

    def feed(self, chunk: bytes) -> bool:
        """Take a chunk, and say whether that is enough until somebody reads."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._wake()
        return self._size > _ENOUGH

    def finish(self, error: Exception | None = None) -> None:
        """Note that no more will come, or why."""
        if self._end is None:
            self._end = error or StopAsyncIteration()
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.BufferedProtocol):
    """Sends one request after another.

    Args:
        loop: The event loop it lives on.
        limits: How long and how much.
        on_close: Called with the connection once its socket is closed.

    Attributes:
        idle_since: When its last reply was complete, by the loop's clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        on_close: Callable[[Connection], object],
    ) -> None:
        self.idle_since = 0.0
        self._loop = loop
        self._limits = limits
        self._buffer = read_buffer(loop)
        self._on_close = on_close
        self._transport: asyncio.Transport | None = None
        self._has_something: Callable[[], object] = lambda: True
        self._parser = httptools.HttpResponseParser(self)
        self._shortest_wait = min(limits.read_timeout, limits.write_timeout)
        self._timer: asyncio.TimerHandle | None = None
        self._quiet_since = 0.0
        self._writable = True
        self._usable = True
        self._reading = True
        self._reply: asyncio.Future[Any] | None = None
        self._closed: asyncio.Future[None] = loop.create_future()
        self._start_reply()

    def _start_reply(self) -> None:
        self._arriving: Arriving | None = None
        self._status_code = 0  # until all headers of a final reply are here
        self._headers: dict[str, str] = {}
        self._body: BodyReader | None = None
        self._unusable: ResponseError | None = None
        self._content = b""
        self._complete = False
        self._received = 0
        self._body_received = 0

    # ------------------------------------------------------------ for the transport

    @property
    def transport(self) -> asyncio.Transport:
        """What asyncio made of the socket, or of TLS on top of it."""
        assert self._transport is not None  # noqa: S101  there is one from connection_made on
        return self._transport

    def opened(self, transport: asyncio.Transport | None = None) -> None:
        """Begin to use it: over TLS not the transport of the socket, but the one on top of it."""
        if transport is None:
            transport = self.transport
        else:
            self._transport = transport
            self._reading = True
        # Told of whatever could not be written at once, so that write_timeout means just that. Not zero: asyncio's TLS
        # takes "as much as the limit" for too much.
        transport.set_write_buffer_limits(high=1, low=0)
        self._has_something = watch(transport.get_extra_info("socket"))

    def is_usable(self) -> bool:
        """Whether a request may go out: nothing has come, or ended, since the last reply."""
        if not self._usable or self._transport is None or self._transport.is_closing():
            return False
        # What the event loop has not got round to telling, the operating system knows.
        return not self._has_something()

    def send(self, data: bytes, progress: Progress) -> asyncio.Future[WireResponse]:
        """Send a request. It must be usable, with no other request under way.

        Returns:
            The reply to come: a `LostReplyError`, `BadFramingError` or `ResponseError` if it is none.
        """
        loop = self._loop
        self._reply = reply = loop.create_future()
        self._quiet_since = now = loop.time()
        if self._timer is None:
            self._timer = loop.call_at(now + self._shortest_wait, self._look_at_the_clock)
        progress.request_started = True
        self._transport.write(data)  # type: ignore[union-attr]  # see is_usable
        if not self._reading:
            self.let_more_come()
        return reply

    def stream(self, data: bytes, progress: Progress) -> asyncio.Future[Arriving]:
        """Send a request as `send` does.

        Returns:
            The head of the reply to come.
        """
        self._arriving = Arriving(self, self._loop)
        return cast("asyncio.Future[Arriving]", self.send(data, progress))

    def let_more_come(self) -> None:
        """Read on, if there was enough for a while."""
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self._quiet_since = self._loop.time()
            self.transport.resume_reading()

    def abort(self) -> None:
        """Close the socket at once; `on_close` tells when it is done. Closing twice is harmless."""
        self._usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await self._closed

    @property
    def is_closed(self) -> bool:
        """Whether the socket is closed, or about to be."""
        return self._closed.done() or self.transport.is_closing()

    # ------------------------------------------------------------ what asyncio tells (asyncio.BufferedProtocol)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket's transport.

        Nothing is read before the first request is written: whether a server that hangs up at once is noticed before or
        after would be a matter of chance. (A handshake reads all the same, and leaves reading on; so does uvloop.)
        """
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()
        self._reading = False

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Say where to put what comes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        if self._reply is None:
            self.abort()
            return
        self._quiet_since = self._loop.time()
        self._received += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserUpgrade:
            self._usable = False
        except httptools.HttpParserError:
            self._usable = False
            if not self._complete:  # bytes after a complete reply spoil only the connection
                self._fail(self._what_is_wrong())
                return
        if self._complete:
            self._succeed()
        elif self._received - self._body_received > _LONGEST_HEAD + _FRAMING_PER_BYTE * self._body_received:
            self._fail(self._what_is_wrong())

    def eof_received(self) -> bool:
        """The server sends no more."""
        self._usable = False
        if self._reply is not None:
            if self._status_code and not _is_delimited(self._headers):
                with contextlib.suppress(ResponseError):  # kept, and told below
                    self._finish_body()
            if self._complete:
                self._succeed()
            else:
                self._fail(self._unusable or LostReplyError("RemoteProtocolError"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._fail(LostReplyError("ReadError" if exc is not None else "RemoteProtocolError"))
        self._on_close(self)
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """Not all could be written at once."""
        self._writable = False

    def resume_writing(self) -> None:
        """All has been written."""
        self._writable = True
        self._quiet_since = self._loop.time()

    # ------------------------------------------------------------ what httptools tells

    def on_message_begin(self) -> None:
        """Notice a second reply, which nobody asked for."""
        if self._complete:
            self._usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What follows a body is none."""
        if not self._status_code and not self._complete:
            self._headers[_name_of(name)] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """Make ready for the body; a `ResponseError` that comes of it is kept for later."""
        status_code = self._parser.get_status_code()
        if self._complete or (status_code < 200 and status_code != 101):
            return
        headers = self._headers
        if headers.get("transfer-encoding", "chunked").lower() != "chunked":
            msg = "no such transfer encoding was asked for"
            raise ValueError(msg)
        self._status_code = status_code
        if self._arriving is not None:
            self._arriving.status_code, self._arriving.headers = status_code, headers
            if self._reply is not None and not self._reply.done():
                self._reply.set_result(self._arriving)
            return
        try:
            self._body = BodyReader(
                status_code=status_code,
                encoding=headers.get("content-encoding", ""),
                declared=headers.get("content-length", ""),
                limit=self._limits.max_response_bytes,
            )
        except ResponseError as error:
            self._unusable = error
            raise

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._complete:
            return
        self._body_received += len(body)
        if self._arriving is not None:
            if self._arriving.feed(body) and self._reading:
                self._reading = False
                self.transport.pause_reading()
            return
        assert self._body is not None  # noqa: S101  there is one as soon as there is a status
        try:
            self._body.feed(body)
        except ResponseError as error:
            self._unusable = error
            raise

    def on_message_complete(self) -> None:
        """Notice the end of a reply."""
        if self._complete:
            return
        if not self._status_code:  # 1xx: the real one follows
            self._headers = {}
            return
        if not self._parser.should_keep_alive():
            self._usable = False
        self._finish_body()

    # ----------------------------------------------------------------------------------------------------

    def _finish_body(self) -> None:
        if self._arriving is not None:
            self._complete = True
            return
        assert self._body is not None  # noqa: S101  as in on_body
        try:
            self._content = self._body.finish()
            self._complete = True
        except ResponseError as error:
            self._unusable = error
            raise

    def _what_is_wrong(self) -> Exception:
        if self._unusable is not None:
            return self._unusable
        return BadFramingError(self._status_code) if self._status_code else LostReplyError("RemoteProtocolError")

    def _succeed(self) -> None:
        reply, self._reply = self._reply, None
        result: WireResponse | Arriving
        if self._arriving is None:
            result = WireResponse(status_code=self._status_code, headers=self._headers, content=self._content)
        else:
            result = self._arriving
            result.finish()
        self._start_reply()
        self.idle_since = self._quiet_since
        if not self._usable or not self._writable:  # a reply to a request that is not even written ends it too
            self.abort()
        if reply is not None and not reply.done():
            reply.set_result(result)

    def _fail(self, error: Exception) -> None:
        reply, self._reply = self._reply, None
        self.abort()
        if self._arriving is not None:
            self._arriving.finish(error)
        if reply is not None and not reply.done():
            reply.set_exception(error)

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if self._reply is None:
            return  # idle: the next request sets it again
        limit = self._limits.read_timeout if self._writable else self._limits.write_timeout
        now = self._loop.time()
        if not self._reading:  # then the silence is our own
            self._quiet_since = now
        if now - self._quiet_since >= limit:
            self._fail(LostReplyError("ReadTimeout" if self._writable else "WriteTimeout"))
            return
        # Never later than the shortest wait from now: a request that begins meanwhile may be the one to wait so long.
        wake = min(self._quiet_since + limit, now + self._shortest_wait)
        self._timer = self._loop.call_at(wake, self._look_at_the_clock)


@lru_cache(maxsize=256)  # servers send the same few names again and again
def _name_of(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _is_delimited(headers: dict[str, str]) -> bool:
    """Whether a body says where it ends; one that does not ends with the connection."""
    return "content-length" in headers or "transfer-encoding" in headers
