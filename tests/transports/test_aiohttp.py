"""`AiohttpTransport`: what aiohttp does by itself, and must not do here."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import anyio
import anyio.to_thread
import pytest

import pidj_async.transports.aiohttp as module
from pidj_async import NO_RETRIES, AiohttpTransport, OutcomeUnknownError, Pidj, PidjError, ResponseError
from tests.faults.server import OK_BODY, Behaviour, Connection, FaultServer, Request, answer_properly, http_reply

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


def client(transport: AiohttpTransport, base_url: str) -> Pidj:
    return Pidj(account_key="k", token="t", base_url=base_url, transport=transport, retry=NO_RETRIES)


async def failure(pidj: Pidj) -> PidjError:
    with pytest.raises(PidjError) as raised:
        await pidj.contacts.list()
    return raised.value


def hang_up(connection: Connection, request: Request) -> None:
    """Reply to a connection's first request, and hang up on its second."""
    if connection.requests_read == 1:
        answer_properly(connection, request)
    else:
        connection.close()


async def test_it_repeats_nothing_by_itself() -> None:
    """When a kept connection breaks, aiohttp would send a GET again: how often to try is the client's to say."""
    with FaultServer(Behaviour(on_request=hang_up)) as server:
        async with AiohttpTransport() as transport:
            pidj = client(transport, server.base_url)
            await pidj.contacts.list()
            assert isinstance(await failure(pidj), OutcomeUnknownError)
        assert (2, 1) == (len(server.requests), server.connections)


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
NONSENSE = b"3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("pause", "expected"), [(0.1, ResponseError), (0.0, OutcomeUnknownError)], ids=["after the head", "with the head"]
)
async def test_a_body_that_is_no_http_never_keeps_waiting(pause: float, expected: type[PidjError]) -> None:
    """Where aiohttp waits for ever, it ends. Of a head in the same packet aiohttp tells nothing: then it is unknown."""

    def answer(connection: Connection, _: Request) -> None:
        if pause:
            connection.send(CHUNKED)
            time.sleep(pause)
            connection.send(NONSENSE)
        else:
            connection.send(CHUNKED + NONSENSE)
        connection.await_client_close()

    with FaultServer(Behaviour(on_request=answer)) as server:
        async with AiohttpTransport(read_timeout=30.0) as transport:
            with anyio.fail_after(10):
                assert type(await failure(client(transport, server.base_url))) is expected


async def test_connections_that_are_not_used_are_closed() -> None:
    """After a burst, once idle_timeout is over."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with AiohttpTransport(idle_timeout=0.1) as transport:
            pidj = client(transport, server.base_url)
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(pidj.contacts.list)
            with anyio.fail_after(5):
                while server.open_connections > 1:
                    await anyio.sleep(0.2)
                    await pidj.contacts.list()


async def test_a_body_that_is_damaged_costs_no_other_request_its_connection() -> None:
    """All of it came, so aiohttp has taken the connection back, and may have given it to somebody else."""
    damaged = http_reply("200 OK", b"no gzip", "Content-Encoding: gzip")
    with FaultServer(Behaviour(on_request=lambda c, _: c.send(damaged)), then_ok=2) as server:
        async with AiohttpTransport() as transport:
            pidj = client(transport, server.base_url)
            assert isinstance(await failure(pidj), ResponseError)
            with pytest.raises(ResponseError):
                [contact async for contact in pidj.contacts.stream()]
            await pidj.contacts.list()
        assert (1, 3) == (server.connections, len(server.requests))


async def test_cookies_are_not_kept() -> None:
    """What one reply sets is not sent with the next request."""
    answer = Behaviour(on_request=lambda c, _: c.send(http_reply("200 OK", OK_BODY, "Set-Cookie: a=b; Path=/")))
    with FaultServer(answer) as server:
        async with AiohttpTransport() as transport:
            for _ in range(2):
                await client(transport, server.base_url).contacts.list()
        assert [False, False] == ["cookie" in request.headers for request in server.requests]


async def test_a_connection_that_has_ended_is_seen_before_it_is_used() -> None:
    """The end has arrived, and aiohttp, whose event loop was busy, does not know: nothing is written to it."""
    with FaultServer(Behaviour(on_request=reply_and_finish)) as server:
        async with AiohttpTransport() as transport:
            pidj = client(transport, server.base_url)
            await pidj.contacts.list()
            time.sleep(0.05)  # noqa: ASYNC251  that is how to keep an event loop busy
            await pidj.contacts.list()
        assert 2 == server.connections


def reply_and_finish(connection: Connection, request: Request) -> None:
    answer_properly(connection, request)
    connection.finish_sending()
    connection.await_client_close()


@pytest.mark.parametrize("size", [5, 1_500])
async def test_head_and_body_leave_in_one_piece(size: int) -> None:
    """The server's first look at a request finds all of it; by itself aiohttp has a task of its own write the body."""
    pieces: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            pieces.append(await reader.read(65_536))
            writer.write(http_reply("200 OK", OK_BODY))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, AiohttpTransport() as transport:
        pidj = client(transport, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(2):
            await pidj.messages.send(to_number="+12025550123", text_body="x" * size, group_id="gr:1")
    for piece in pieces:
        head, _, body = piece.partition(b"\r\n\r\n")
        assert body == b"to_number=%2B12025550123&text_body=" + b"x" * size + b"&group_id=gr%3A1"
        assert 1 == head.lower().count(b"content-length:")
        assert f"content-length: {len(body)}\r\n".encode() in head.lower() + b"\r\n"


async def test_a_later_aiohttp_writes_bodies_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """How it writes a head is not known; so all that it is told is what it documents."""
    monkeypatch.setattr(module, "_WRITTEN_AT_ONCE", 0)
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with AiohttpTransport() as transport:
            pidj = client(transport, server.base_url)
            for _ in range(2):
                await pidj.messages.send(to_number="+12025550123", text_body="Hi", group_id="gr:1")
        sent = [request.body for request in server.requests]
    assert [b"to_number=%2B12025550123&text_body=Hi&group_id=gr%3A1"] * 2 == sent


async def test_a_connection_that_still_writes_is_not_used_again() -> None:
    """A server may reply to what it has not read; what is left of that must not be followed by another request."""
    async with AiohttpTransport() as transport:
        still_writes = SimpleNamespace(protocol=SimpleNamespace(writing_paused=True))
        with pytest.raises(module._StaleConnectionError):
            transport.check_kept_connection(still_writes)
