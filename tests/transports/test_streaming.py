"""A reply that is read while it arrives: on each transport, both engines of `HttpxTransport`, and both event loops."""

from __future__ import annotations

import contextlib
import gzip
import warnings
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async import HttpxTransport, NotSentError, OutcomeUnknownError, ResponseError
from pidj_async.sansio import WireRequest
from pidj_async.transports import Progress, ReplyStream, StreamingTransport
from pidj_async.transports.body import BodyReader
from tests.carriers import CARRIERS, EVERY_TRANSPORT
from tests.faults.server import Behaviour, Connection, FaultServer, Request, http_reply

pytestmark = pytest.mark.anyio

PATIENCE = 5.0  # seconds: for what must come, however busy the machine is
HALF = b"x" * 50_000


#: With the connections of a transport, or of the caller's own client.
ON_EACH = pytest.mark.parametrize(
    ("carrier", "anyio_backend"),
    [
        *EVERY_TRANSPORT,
        pytest.param("callers", "asyncio", id="callers"),
        pytest.param("callers", "trio", id="callers-trio"),
    ],
)
ON_OURS = pytest.mark.parametrize(("carrier", "anyio_backend"), EVERY_TRANSPORT)


@contextlib.asynccontextmanager
async def transport_of(carrier: str, **options: Any) -> AsyncGenerator[StreamingTransport]:
    async with contextlib.AsyncExitStack() as stack:
        if carrier == "callers":
            connections = options.pop("max_connections", 100)
            options["client"] = await stack.enter_async_context(
                httpx.AsyncClient(timeout=PATIENCE, limits=httpx.Limits(max_connections=connections), trust_env=False)
            )
            carrier = "httpx"
        transport: StreamingTransport = await stack.enter_async_context(CARRIERS[carrier](**options))
        yield transport


def asking(server: FaultServer) -> WireRequest:
    return WireRequest(
        method="GET", url=f"{server.base_url}/contacts", headers=(), content=b"", endpoint="contacts.stream"
    )


def answering(body: bytes, *headers: str) -> Behaviour:
    return Behaviour(on_request=lambda connection, _: connection.send(http_reply("200 OK", body, *headers)))


def half(connection: Connection, _: Request) -> None:
    """Send the first half, and the second when released."""
    half_of(connection)
    connection.server.released.wait(PATIENCE)
    connection.send(HALF)


def half_and_gone(connection: Connection, _: Request) -> None:
    """Send the first half, then hang up."""
    half_of(connection)
    connection.close()


def half_and_silent(connection: Connection, _: Request) -> None:
    """Send the first half, then nothing."""
    half_of(connection)
    connection.await_client_close()


def half_of(connection: Connection) -> None:
    connection.send(http_reply("200 OK").replace(b"Content-Length: 0", b"Content-Length: %d" % (2 * len(HALF))) + HALF)


async def read(stream: ReplyStream) -> bytes:
    return b"".join([piece async for piece in stream])


@ON_EACH
async def test_the_first_half_is_there_before_the_second(carrier: str) -> None:
    """A piece is handed over when it comes, not when the reply is whole; the head is known before."""
    with FaultServer(Behaviour(on_request=half)) as server:
        async with transport_of(carrier) as transport:
            progress = Progress()
            stream = await transport.stream(asking(server), progress)
            assert (200, "application/json") == (stream.status_code, stream.headers["content-type"])
            assert progress.request_started
            first = b""
            while len(first) < len(HALF):
                first += await anext(stream)
            server.release()
            assert HALF + HALF == first + await read(stream)


@ON_EACH
async def test_a_reply_that_was_read_leaves_its_connection_to_the_next(carrier: str) -> None:
    """Ten replies, one connection; more than one may not be open."""
    with FaultServer(answering(b"{}")) as server:
        async with transport_of(carrier, max_connections=1) as transport:
            for _ in range(10):
                assert b"{}" == await read(await transport.stream(asking(server), Progress()))
        assert 1 == server.connections
        assert server.wait_all_closed(PATIENCE)


@ON_EACH
async def test_a_reply_that_is_left_takes_its_connection_with_it(carrier: str) -> None:
    """Closed in the middle, twice: the server sees the end of it, and the next request has room."""
    with FaultServer(Behaviour(on_request=half_and_silent), then_ok=1) as server:
        async with transport_of(carrier, max_connections=1) as transport:
            stream = await transport.stream(asking(server), Progress())
            await anext(stream)
            await stream.aclose()
            await stream.aclose()
            assert await anyio.to_thread.run_sync(server.wait_all_closed, PATIENCE)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
            assert (await transport.send(asking(server), Progress())).status_code == 200


@ON_EACH
async def test_an_unread_reply_can_be_left(carrier: str) -> None:
    """Nothing of it was looked at, and nothing is left behind."""
    with warnings.catch_warnings(record=True) as warned, FaultServer(Behaviour(on_request=half_and_silent)) as server:
        warnings.simplefilter("always")
        async with transport_of(carrier) as transport:
            await (await transport.stream(asking(server), Progress())).aclose()
            assert await anyio.to_thread.run_sync(server.wait_all_closed, PATIENCE)
    assert [] == [str(one.message) for one in warned]


@ON_EACH
async def test_a_cancelled_reader_takes_its_connection_with_it(carrier: str) -> None:
    """Waiting for a piece is where most readers are when they are cancelled."""
    with FaultServer(Behaviour(on_request=half_and_silent), then_ok=1) as server:
        async with transport_of(carrier, max_connections=1) as transport:
            stream = await transport.stream(asking(server), Progress())
            with anyio.move_on_after(0.05) as scope:
                await read(stream)
            assert scope.cancelled_caught
            assert await anyio.to_thread.run_sync(server.wait_all_closed, PATIENCE)
            assert (await transport.send(asking(server), Progress())).status_code == 200


@ON_EACH
async def test_a_cancelled_opening_takes_its_connection_with_it(carrier: str) -> None:
    """No head has come yet."""
    with FaultServer(Behaviour(on_request=lambda connection, _: connection.await_client_close()), then_ok=1) as server:
        async with transport_of(carrier, max_connections=1) as transport:
            async with anyio.create_task_group() as group:
                group.start_soon(transport.stream, asking(server), Progress())
                assert await anyio.to_thread.run_sync(server.wait_for_requests, 1, PATIENCE)
                group.cancel_scope.cancel()
            assert await anyio.to_thread.run_sync(server.wait_all_closed, PATIENCE)
            assert (await transport.send(asking(server), Progress())).status_code == 200


@ON_EACH
async def test_a_reply_that_breaks_off_is_unknown(carrier: str) -> None:
    """The half that came has been handed over; that more was to come is not hidden."""
    with FaultServer(Behaviour(on_request=half_and_gone), then_ok=1) as server:
        async with transport_of(carrier, max_connections=1) as transport:
            stream = await transport.stream(asking(server), Progress())
            got = bytearray()

            async def collect() -> None:
                async for piece in stream:
                    got.extend(piece)

            with pytest.raises(OutcomeUnknownError, match=r"contacts\.stream"):
                await collect()
            assert got == HALF
            assert (await transport.send(asking(server), Progress())).status_code == 200


@ON_OURS
async def test_a_transport_that_is_closed_ends_its_streams(carrier: str) -> None:
    """Who still reads gets an error, not silence; who asks afterwards has sent nothing."""
    with FaultServer(Behaviour(on_request=half_and_silent)) as server:
        transport = CARRIERS[carrier]()
        stream = await transport.stream(asking(server), Progress())
        await transport.aclose()
        with pytest.raises(OutcomeUnknownError):
            await read(stream)
        with pytest.raises(NotSentError):
            await transport.stream(asking(server), Progress())
        assert await anyio.to_thread.run_sync(server.wait_all_closed, PATIENCE)


@ON_OURS
async def test_silence_is_bounded_by_the_read_timeout(carrier: str) -> None:
    """Also in the middle of a body."""
    with FaultServer(Behaviour(on_request=half_and_silent)) as server:
        async with CARRIERS[carrier](read_timeout=0.05) as transport:
            with pytest.raises(OutcomeUnknownError, match="timed out"):
                await read(await transport.stream(asking(server), Progress()))


@ON_EACH
@pytest.mark.parametrize("encoded", [False, True])
async def test_each_stream_has_a_limit_of_its_own(carrier: str, *, encoded: bool) -> None:
    """The transport's limit is for replies that are kept; a stream's holds for what it expands to."""
    body = gzip.compress(HALF) if encoded else HALF
    with FaultServer(answering(body, *(["Content-Encoding: gzip"] if encoded else []))) as server:
        async with transport_of(carrier, max_response_bytes=1_000) as transport:
            assert HALF == await read(await transport.stream(asking(server), Progress()))
            assert HALF == await read(await transport.stream(asking(server), Progress(), max_bytes=len(HALF)))
            with pytest.raises(ResponseError, match="larger than 49,999 bytes"):
                await read(await transport.stream(asking(server), Progress(), max_bytes=len(HALF) - 1))


@ON_EACH
@pytest.mark.parametrize(
    ("body", "encoding", "problem"),
    [
        pytest.param(gzip.compress(HALF)[:-9], "gzip", "cut off", id="cut off"),
        (b"no gzip at all", "gzip", "damaged"),
        (b"{}", "br", "not asked for"),
    ],
)
async def test_a_body_that_cannot_be_used_is_told(carrier: str, body: bytes, encoding: str, problem: str) -> None:
    """With the name of the call and the status, as when the whole is read at once."""
    with FaultServer(answering(body, f"Content-Encoding: {encoding}")) as server:
        async with transport_of(carrier) as transport:
            stream = await transport.stream(asking(server), Progress())
            with pytest.raises(ResponseError, match=rf"contacts\.stream: HTTP 200, .*{problem}") as caught:
                await read(stream)
            assert caught.value.status_code == 200


@ON_EACH
async def test_a_refused_connection_has_sent_nothing(carrier: str) -> None:
    """As with `send`."""
    with FaultServer(Behaviour()) as server:
        request = asking(server)
    async with transport_of(carrier) as transport:
        progress = Progress()
        with pytest.raises(NotSentError):
            await transport.stream(request, progress)
        assert not progress.request_started


async def test_a_mocked_client_of_the_callers_streams() -> None:
    """Httpx's MockTransport hands over whole replies, decompressed."""
    body = gzip.compress(HALF)
    mock = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers={"Content-Encoding": "gzip"}))
    async with httpx.AsyncClient(transport=mock) as own:
        with FaultServer(Behaviour()) as server:
            stream = await HttpxTransport(own).stream(asking(server), Progress())
            assert HALF == await read(stream)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_each_transport_streams(carrier: str) -> None:
    """Which is what the client asks before it opens one."""
    assert isinstance(CARRIERS[carrier](), StreamingTransport)


# ------------------------------------------------------------------------------------------------------------ pieces


def pieces_of(chunks: list[bytes], encoding: str, limit: int | None) -> list[bytes]:
    reader = BodyReader(status_code=200, encoding=encoding, declared="", limit=limit)
    pieces = [piece for chunk in chunks for piece in reader.pieces(chunk)]
    assert reader.finish() == b""
    return pieces


@given(data=st.binary(max_size=2_000), size=st.integers(1, 500), compress=st.sampled_from([bytes, gzip.compress]))
def test_the_pieces_are_the_body(data: bytes, size: int, compress: Callable[[bytes], bytes]) -> None:
    """Whatever the chunks, and none of the pieces is empty."""
    wire = compress(data)
    chunks = [wire[start : start + size] for start in range(0, len(wire), size)]
    pieces = pieces_of(chunks, "gzip" if compress is gzip.compress else "", None)
    assert (data, True) == (b"".join(pieces), all(pieces))


def test_a_bomb_goes_off_in_small_pieces() -> None:
    """Who streams without a limit still never holds more than a piece."""
    pieces = pieces_of([gzip.compress(bytes(50_000_000))], "gzip", None)
    assert (50_000_000, True) == (sum(map(len, pieces)), max(map(len, pieces)) <= 256 * 1024)
