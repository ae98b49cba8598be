"""Who is measured. Each contender sends the same texts, and says so in its own way.

A contender is an async context manager: it is given the base URL and the concurrency, and yields a function that sends
a dose. What it imports it imports inside: each runs in a process of its own, with nothing else loaded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from benchmarks import rivals
from benchmarks.rivals import Drive, crew
from benchmarks.texts import ACCOUNT_KEY, AUTHORIZATION, GROUP_ID, NUMBERS, PATH, TEXT, TOKEN, Dose, form

if TYPE_CHECKING:
    import httpx

    from pidj_async import Pidj, SendText
    from pidj_async.sansio import WireRequest, WireResponse
    from pidj_async.transports import Progress, Transport, TransportName

__all__ = [
    "CLIENT_ALONE",
    "CONTENDERS",
    "FLOOR",
    "FLOOR_BUFFERED",
    "HTTPX",
    "HTTPX_FITTED",
    "SEND_MANY",
    "TRANSPORTS",
    "Contender",
    "alone",
    "client_and_transport",
    "over",
    "pidj_at",
    "send_many",
]

Contender = Callable[[str, int], AbstractAsyncContextManager[Drive]]

TRANSPORTS: Final[tuple[TransportName, ...]] = ("fast", "aiohttp", "httpx")
"""Our own, the fastest first."""

SEND_MANY: Final = "Pidj.messages.send_many"
HTTPX: Final = "httpx.AsyncClient"
HTTPX_FITTED: Final = "httpx.AsyncClient, fitted limits"
FLOOR: Final = "bare asyncio streams"
FLOOR_BUFFERED: Final = "bare asyncio protocol, one buffer"
CLIENT_ALONE: Final = "Pidj without I/O"


def over(transport: TransportName) -> str:
    """The contender that is our client over one of our transports."""
    return f"Pidj over {transport}"


def alone(transport: TransportName) -> str:
    """The contender that is one of our transports without the client."""
    return f"{transport} transport alone"


def pidj_at(base_url: str, transport: Transport | TransportName = "auto") -> Pidj:
    """Our client, for the server there."""
    from pidj_async import Pidj  # noqa: PLC0415  see the head of the module

    return Pidj(account_key=ACCOUNT_KEY, token=TOKEN, base_url=base_url, transport=transport)


@asynccontextmanager
async def _send(transport: TransportName, base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    async with pidj_at(base_url, transport) as pidj:

        async def send(number: str) -> object:
            return await pidj.messages.send(to_number=number, text_body=TEXT, group_id=GROUP_ID)

        yield crew(send, concurrency)


@asynccontextmanager
async def send_many(base_url: str, concurrency: int, transport: TransportName = "auto") -> AsyncGenerator[Drive, None]:
    """Our bulk call, an outcome for each text."""
    from pidj_async import OutcomeState, SendText  # noqa: PLC0415  see the head of the module

    def request(number: str) -> SendText:
        return SendText(to_number=number, text_body=TEXT, group_id=GROUP_ID)

    async with pidj_at(base_url, transport) as pidj:

        async def drive(dose: Dose) -> None:
            async for outcome in pidj.messages.send_many(map(request, dose), concurrency=concurrency):
                if outcome.state is not OutcomeState.ACCEPTED:
                    raise RuntimeError(str(outcome.error))

        yield drive


@asynccontextmanager
async def _httpx(base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    import httpx  # noqa: PLC0415  see the head of the module

    async with _plain_httpx(
        base_url, concurrency, httpx.Limits(max_connections=100, max_keepalive_connections=20)
    ) as drive:
        yield drive


@asynccontextmanager
async def _httpx_fitted(base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    import httpx  # noqa: PLC0415  see the head of the module

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with _plain_httpx(base_url, concurrency, limits) as drive:
        yield drive


@asynccontextmanager
async def _plain_httpx(base_url: str, concurrency: int, limits: httpx.Limits) -> AsyncGenerator[Drive, None]:
    import httpx  # noqa: PLC0415  see the head of the module

    url = f"{base_url}/send"
    # httpx's own 5 seconds are not enough for a thousand at once, whether they connect or wait for a connection.
    async with httpx.AsyncClient(limits=limits, timeout=120.0) as client:

        async def send(number: str) -> object:
            response = await client.post(
                url,
                data={"to_number": number, "text_body": TEXT, "group_id": GROUP_ID},
                auth=(ACCOUNT_KEY, TOKEN),
            )
            response.raise_for_status()
            return response.json()

        yield crew(send, concurrency)


@asynccontextmanager
async def _alone(transport: TransportName, base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    async with client_and_transport(transport, base_url, concurrency) as (_, drive):
        yield drive


@asynccontextmanager
async def client_and_transport(
    name: TransportName, base_url: str, concurrency: int
) -> AsyncGenerator[tuple[Drive, Drive], None]:
    """Two that share their connections: the client, and the transport below it with requests built beforehand."""
    from pidj_async.transports import Progress, make_transport  # noqa: PLC0415  see the head of the module

    requests = await _wire_requests(base_url)
    transport = make_transport(name)
    try:
        async with pidj_at(base_url, transport) as pidj:

            async def call(number: str) -> object:
                return await pidj.messages.send(to_number=number, text_body=TEXT, group_id=GROUP_ID)

            async def carry(number: str) -> object:
                return await transport.send(requests[number], Progress())

            yield crew(call, concurrency), crew(carry, concurrency)
    finally:
        await transport.aclose()


async def _wire_requests(base_url: str) -> dict[str, WireRequest]:
    """What the client hands to its transport, overheard, so that it is what the client really sends."""
    overheard = _Canned()
    async with pidj_at(base_url, overheard) as pidj:
        requests = {}
        for number in NUMBERS:
            await pidj.messages.send(to_number=number, text_body=TEXT, group_id=GROUP_ID)
            assert overheard.last is not None
            requests[number] = overheard.last
    return requests


class _Canned:
    """A transport that does nothing, and remembers what it was to do."""

    def __init__(self) -> None:
        from pidj_async.sansio import WireResponse  # noqa: PLC0415  see the head of the module

        self.last: WireRequest | None = None
        self._response = WireResponse(
            status_code=200,
            headers={"content-type": "application/json"},
            content=b'{"code": 200, "status": "success", "message": "Message sent."}',
        )

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        progress.request_started = True
        self.last = request
        return self._response

    async def aclose(self) -> None:
        self.last = None


@asynccontextmanager
async def _client_alone(base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    async with pidj_at(base_url, _Canned()) as pidj:

        async def send(number: str) -> object:
            return await pidj.messages.send(to_number=number, text_body=TEXT, group_id=GROUP_ID)

        yield crew(send, concurrency)


class _Streams:
    """As one writes it by hand: asyncio's streams, and no more HTTP than it takes to find the reply's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.close = writer.close

    async def send(self, request: bytes) -> bytes:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        return _checked(head, await self._reader.readexactly(_length(head)))

    @classmethod
    async def connect(cls, host: str, port: int) -> _Streams:
        return cls(*await asyncio.open_connection(host, port))


class _Buffered(asyncio.BufferedProtocol):
    """As one writes it who knows that asyncio asks for 256 KB of memory before each read, unless it is given some."""

    _buffer = memoryview(bytearray(64 * 1024))  # for all: what was read is taken out before the next read

    def __init__(self) -> None:
        self._received = b""
        self._reply: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> asyncio.Future[bytes]:
        assert self._transport is not None
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._reply

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received += self._buffer[:nbytes]
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._received = b""
        if self._reply is not None and not self._reply.done():
            try:
                self._reply.set_result(_checked(head, body))
            except RuntimeError as error:
                self._reply.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(exc or ConnectionResetError("the server hung up"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @classmethod
    async def connect(cls, host: str, port: int) -> _Buffered:
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection


def _length(head: bytes) -> int:
    _, _, after = head.partition(b"Content-Length: ")
    return int(after.partition(b"\r\n")[0])


def _checked(head: bytes, body: bytes) -> bytes:
    if not head.startswith(b"HTTP/1.1 200 "):
        msg = "the server said no"
        raise RuntimeError(msg)
    return body


@asynccontextmanager
async def _bare(kind: type[_Streams | _Buffered], base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    parts = urlsplit(base_url)
    idle: deque[_Streams | _Buffered] = deque()
    requests = {number: _bare_request(parts.netloc, number) for number in NUMBERS}
    async with AsyncExitStack() as stack:
        for _ in range(concurrency):
            connection = await kind.connect(parts.hostname or "", parts.port or 80)
            stack.callback(connection.close)
            idle.append(connection)

        async def send(number: str) -> object:
            connection = idle.pop()
            body = await connection.send(requests[number])
            idle.append(connection)
            return body

        yield crew(send, concurrency)


def _bare_request(host: str, number: str) -> bytes:
    body = form(number)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {AUTHORIZATION}\r\nAccept: application/json\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


CONTENDERS: Mapping[str, Contender] = MappingProxyType(
    {
        **{over(transport): partial(_send, transport) for transport in TRANSPORTS},
        SEND_MANY: send_many,
        rivals.AIOHTTP: rivals.by_hand,
        HTTPX: _httpx,
        HTTPX_FITTED: _httpx_fitted,
        rivals.TWILIO: rivals.twilio,
        rivals.TELNYX: rivals.telnyx,
        rivals.SLACK: rivals.slack,
        **{alone(transport): partial(_alone, transport) for transport in TRANSPORTS},
        FLOOR: partial(_bare, _Streams),
        FLOOR_BUFFERED: partial(_bare, _Buffered),
        CLIENT_ALONE: _client_alone,
    }
)
"""By name, in the order in which they run and are shown."""
