"""httpcore's network on asyncio, for about half of what anyio's streams cost there.

1. Nothing is written until the other side is read: a request's head and body leave in one piece, by one system call.
2. A timeout is one timer, set only while there is something to wait for.
3. Whatever is opened is closed, however a connection attempt or a handshake ends.
4. It reads into a buffer that all connections of an event loop share, instead of asyncio's 256 KiB of fresh memory for
   each read. What is read is taken out before anybody else reads.

trio has no such shortcut; there `anyio_backend` serves.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, cast

import anyio
import httpcore

from pidj_async.transports.dialing import dial, is_readable, read_buffer

__all__ = ["AsyncioBackend"]

_ENOUGH = 256 * 1024  # bytes received and not read yet, at which the server has to wait


class AsyncioBackend(httpcore.AsyncNetworkBackend):
    """Opens connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that answers."""
        options = list(socket_options or ())
        try:
            async with asyncio.timeout(timeout):
                sock = await dial(host, port, patience=timeout, local_address=local_address, options=options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:  # a name that cannot be written for DNS is a UnicodeError
            raise httpcore.ConnectError(str(error)) from error
        stream = _Stream()
        try:
            await asyncio.get_running_loop().create_connection(lambda: stream, sock=sock)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            sock.close()
            raise
        return stream

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream, asyncio.BufferedProtocol):
    """One connection: what arrives is kept until httpcore asks for it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = read_buffer(self._loop)
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._unsent = b""
        self._write_timeout: float | None = None
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._reading = True
        self._writable = True

    # ------------------------------------------------------------ what asyncio tells (asyncio.BufferedProtocol)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        self._received = self._received + data if self._received else data
        if len(self._received) > _ENOUGH and self._reading:
            self._reading = False
            self._open_transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._error = exc
        self._wake()
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    # ------------------------------------------------------------ what httpcore asks for

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:
            await self._flush()
        while not self._received:
            if self._ended:
                if self._error is not None:
                    raise httpcore.ReadError(str(self._error)) from self._error
                return b""
            await self._wait(timeout, httpcore.ReadTimeout)
        data = self._received[:max_bytes]
        self._received = self._received[max_bytes:]
        if not self._reading and not self._ended:
            self._reading = True
            self._open_transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._ended and not self._received:
            msg = "the connection is closed"
            raise httpcore.WriteError(msg)
        self._unsent = self._unsent + buffer if self._unsent else buffer
        self._write_timeout = timeout

    async def aclose(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            await self._closed

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        plain = self._open_transport
        try:
            async with asyncio.timeout(timeout):
                self._transport = await self._loop.start_tls(plain, self, ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            plain.abort()
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:  # ssl.SSLError is one
            plain.abort()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            plain.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # Of an idle connection nothing is expected: whatever there is to read, it cannot be used again.
            return self._ended or bool(self._received) or is_readable(self._open_transport.get_extra_info("socket"))
        return self._open_transport.get_extra_info(info)

    # ----------------------------------------------------------------------------------------------------

    @property
    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None  # noqa: S101  there is no stream before there is a connection
        return self._transport

    async def _flush(self) -> None:
        unsent, self._unsent = self._unsent, b""
        self._open_transport.write(unsent)
        while not self._writable and not self._ended:
            await self._wait(self._write_timeout, httpcore.WriteTimeout)

    async def _wait(self, timeout: float | None, error: type[Exception]) -> None:
        self._waiter = waiter = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, _expire, waiter, error)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _expire(waiter: asyncio.Future[None], error: type[Exception]) -> None:
    if not waiter.done():
        waiter.set_exception(error())
